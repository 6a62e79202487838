"""TPM-CL: a pair above the same pair with its important tokens masked, and that above strangers."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.text_video.methods.importance import TokenImportance, most_important, pooled
from models.text_video.methods.step import Step
from models.text_video.tokenizer import MASK
from models.training.bounds import Share, Weight


@dataclass(frozen=True)
class PartialMargin:
    """Triplet Partial Margin Contrastive Learning; defaults are the published ones.

    Attributes:
        weight: what the term counts beside a contrast of weight 1.
        masked_share: tokens are masked from the most important on, to this share of importance.
        margin: of a pair's cosine above that of the partly masked pair. 0.6 stays out of reach of
            cosines that InfoNCE leaves near 0.5: the term then pulls evenly; less makes it a hinge.
        stranger_margin: of the partly masked pair above the nearest stranger; ours.
    """

    weight: Weight = 1.0
    masked_share: Share = 0.6
    margin: float = 0.6
    stranger_margin: float = 0.0


class PartialMarginLoss(nn.Module):
    """The term and the two predictors of importance that are trained with it.

    Triplet Partial Margin Contrastive Learning (Jiang et al., DMAE, ACM MM 2023, section on
    TPM-CL). For a pair with caption t and clip v, their tokens pooled by importance t_g and v_g,
    the sum of the means of

        [margin - s(t, v) + s(t', v)]+, [margin - s(t, v_g) + s(t, v_g')]+,
        [margin - s(t_g, v) + s(t_g', v)]+, [stranger_margin - s(t', v) + max_k s(t_k, v)]+

    over the pairs that have something to mask; ' is without the most important tokens, and k runs
    over captions of other things. Differences from the published code: t' is the caption encoded
    anew with `<mask>` for those words, not one with their features at zero, whose neighbours
    still tell of them; only significant words are candidates, as a caption without "the" is no
    negative; the last hinge completes the order that the paper describes, so that half a caption
    is not pushed below a stranger's.
    """

    def __init__(self, dimension: int, settings: PartialMargin | None = None) -> None:
        super().__init__()
        self.settings = settings or PartialMargin()
        self.word_importance = TokenImportance(dimension)
        self.frame_importance = TokenImportance(dimension)

    def forward(self, step: Step) -> Tensor:
        """The term without its weight; encodes B captions once more.

        Args:
            step: all but `progress` and `temperature` is used.

        Returns:
            A scalar, 0 where no pair has two tokens that could be masked.
        """
        return self._of_words(step) + self._of_frames(step)

    def _of_words(self, step: Step) -> Tensor:
        """The hinges of masked captions."""
        text, clips, settings = step.text, step.visual.vectors, self.settings
        candidates = text.present & (step.significance > 0)
        importance: Tensor = self.word_importance(text.tokens, clips, candidates)
        # Which tokens go has no gradient; how much they count in `pooled` has.
        masked = most_important(importance.detach(), candidates, settings.masked_share)
        changed = masked.any(1)
        if not changed.any():
            return (importance.sum() + clips.sum() + text.vectors.sum()) * 0.0
        rest = _cosines(pooled(text.tokens, importance * ~masked), clips)
        whole = _cosines(pooled(text.tokens, importance), clips)
        partly = _cosines(step.encode_text(step.ids.masked_fill(masked, MASK)).vectors, clips)
        terms = (
            _hinge(settings.margin, _cosines(text.vectors, clips), partly)
            + _hinge(settings.margin, whole, rest)
            + _hinge(settings.stranger_margin, partly, nearest_strangers(step))
        )
        return terms[changed].mean()

    def _of_frames(self, step: Step) -> Tensor:
        """The hinge of masked clips."""
        captions, visual = step.text.vectors, step.visual
        importance: Tensor = self.frame_importance(visual.tokens, captions, visual.present)
        masked = most_important(importance.detach(), visual.present, self.settings.masked_share)
        changed = masked.any(1)
        if not changed.any():
            return (importance.sum() + captions.sum()) * 0.0
        whole = _cosines(captions, pooled(visual.tokens, importance))
        rest = _cosines(captions, pooled(visual.tokens, importance * ~masked))
        return _hinge(self.settings.margin, whole, rest)[changed].mean()


def nearest_strangers(step: Step) -> Tensor:
    """(B,) each clip's cosine with the most similar caption of another thing; -1 if none is."""
    cosines = step.visual.vectors @ step.text.vectors.T  # (B, B)
    return cosines.masked_fill(step.same, -1.0).amax(1)


def _cosines(first: Tensor, second: Tensor) -> Tensor:
    """Row by row: (B, D), (B, D) unit rows -> (B,)."""
    return (first * second).sum(1)


def _hinge(margin: float, higher: Tensor, lower: Tensor) -> Tensor:
    return torch.relu(margin - higher + lower)
