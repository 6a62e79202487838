"""NegNCE: a term of its own for the negatives that outrank the positive."""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.text_video.methods.contrast import logits_of
from models.text_video.methods.step import Step
from models.training.bounds import Weight


@dataclass(frozen=True)
class NegativeNce:
    """Negative-aware InfoNCE; defaults are the published ones.

    Attributes:
        weight: what the term counts beside an InfoNCE of weight 1.
        margin: a negative outranks when it comes so near to the positive, in similarity.
    """

    weight: Weight = 0.5
    margin: float = 0.0


def outranking(similarities: Tensor, same: Tensor, margin: float = 0.0) -> Tensor:
    """Negatives above the positive of their caption or of their clip.

    Args:
        similarities: (B, B), row i is caption i, column j is clip j.
        same: (B, B) bool, never negatives.
        margin: added to the negatives.

    Returns:
        (B, B) bool.
    """
    own = similarities.diagonal()
    lowest = torch.minimum(own[:, None], own[None, :])
    return (similarities + margin > lowest) & ~same


def negative_nce(step: Step, similarities: Tensor, settings: NegativeNce | None = None) -> Tensor:
    """Minus log of one minus the probability of each negative that outranks a positive.

    The second term of the NegNCE loss (Jiang et al., DMAE, ACM MM 2023, section on NegNCE), to be
    added to InfoNCE with `settings.weight`: over rows of softmax probabilities p, the mean of
    -log(1 - p_ij) over the hard negatives ij, for both directions. As published, a negative is
    hard where it beats the positive of its row or of its column. The published code clips p to
    1 - 1e-6, which takes the gradient from the worst negatives; here 1 - p of a row's strongest
    is summed from the others, and nothing is clipped.

    Args:
        step: `temperature` and `same` are used.
        similarities: (B, B), row i is caption i, column j is clip j.
        settings: the defaults where None.

    Returns:
        The mean of both directions without the weight; 0 where no negative outranks.
    """
    settings = settings or NegativeNce()
    hard = outranking(similarities.detach(), step.same, settings.margin)
    if not hard.any():
        return similarities.sum() * 0.0  # 0 with a gradient: the training step needs one
    logits = logits_of(similarities, step)
    terms = [-_log_rest(logits)[hard].mean(), -_log_rest(logits.T)[hard.T].mean()]
    return torch.stack(terms).mean()


def _log_rest(logits: Tensor) -> Tensor:
    """(B, B) logarithms of one minus the softmax of each row."""
    log_chances = logits.log_softmax(1)
    strongest = logits.detach().argmax(1, keepdim=True)  # (B, 1)
    others = logits.scatter(1, strongest, torch.finfo(logits.dtype).min)
    rest = others.logsumexp(1, keepdim=True) - logits.logsumexp(1, keepdim=True)  # (B, 1)
    is_strongest = torch.zeros_like(logits, dtype=torch.bool).scatter_(1, strongest, True)
    chances = log_chances.exp().masked_fill(is_strongest, 0.0)
    return torch.where(is_strongest, rest, torch.log1p(-chances))
