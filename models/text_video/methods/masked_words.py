"""MSSM: the words that matter are masked, and told from what the clip shows."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.text_video.methods.step import Step
from models.text_video.side import Side
from models.text_video.tokenizer import CLS, MASK
from models.training.bounds import Count, Share, Weight


@dataclass(frozen=True)
class MaskedWords:
    """Masked Significant Semantic Modeling; defaults are the published ones.

    Attributes:
        weight: what the term counts beside a contrast of weight 1.
        budget: share of a caption's tokens that are chosen.
        round_up_from: a rest of the budget of at least this is one more token.
        mask_share: of the chosen tokens become `<mask>`,
        random_share: another significant word of the batch; the rest stay.
        heads: of the cross-attention; ours.
    """

    weight: Weight = 1.0
    budget: Share = 0.15
    round_up_from: Share = 0.3
    mask_share: Share = 0.8
    random_share: Share = 0.1
    heads: Count = 4


def choose_words(
    step: Step, settings: MaskedWords, generator: torch.Generator | None = None
) -> Tensor:
    """Spend each caption's budget on its significant words.

    Args:
        step: `text.present`, `ids` and `significance` are used.
        settings: `budget` and `round_up_from`.
        generator: of the choice.

    Returns:
        (B, L) bool.
    """
    budget = (step.text.present & (step.ids != CLS)).sum(1) * settings.budget  # (B,)
    count = (budget + 1 - settings.round_up_from + 1e-6).long()
    chances = torch.rand(step.ids.shape, generator=generator).to(step.ids.device)
    candidates = step.text.present & (step.significance > 0)
    rank = chances.masked_fill(~candidates, 2.0).argsort(1).argsort(1)
    return candidates & (rank < count[:, None])


def mask_words(
    step: Step, chosen: Tensor, settings: MaskedWords, generator: torch.Generator | None = None
) -> Tensor:
    """Captions whose chosen words are masked, exchanged for others, or left as they are.

    Args:
        step: `ids` and `significance` are used.
        chosen: (B, L) bool.
        settings: `mask_share` and `random_share`.
        generator: of the choice.

    Returns:
        (B, L) int64.
    """
    words = step.ids[step.significance > 0]
    if not len(words):
        return step.ids
    coin = torch.rand(step.ids.shape, generator=generator).to(step.ids.device)
    drawn = torch.randint(len(words), step.ids.shape, generator=generator).to(step.ids.device)
    exchanged = coin < settings.mask_share + settings.random_share
    ids = torch.where(chosen & exchanged, words[drawn], step.ids)
    return ids.masked_fill(chosen & (coin < settings.mask_share), MASK)


def packed(chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Chosen places side by side, so that what follows costs what they cost.

    Args:
        chosen: (R, L) bool.

    Returns:
        (R, K) int64, places in rows, the chosen ones first, and (R, K) bool, which are chosen; K
        is the most that a row has.
    """
    counts = chosen.sum(1, keepdim=True)  # (R, 1)
    most = int(counts.max())
    order = chosen.long().argsort(dim=1, descending=True, stable=True)[:, :most]
    return order, torch.arange(most, device=chosen.device) < counts


class MaskedWordsLoss(nn.Module):
    """The term and its head: masked words look at the clip's tokens and name themselves.

    Masked Significant Semantic Modeling (Dong et al., SNP-S3, IEEE TCSVT 2023, section on MSSM;
    masking of Devlin et al., BERT, NAACL 2019). Significant by part of speech, not by the rank of
    nouns, verbs and adjectives in a collection. Differences from the published code: a budget
    above the number of significant words is not spent on others; the fusion is one layer of
    cross-attention, as the towers here meet nowhere else; a random word is one of the batch.
    """

    def __init__(self, dimension: int, settings: MaskedWords | None = None) -> None:
        super().__init__()
        self.settings = settings or MaskedWords()
        self.attention = nn.MultiheadAttention(dimension, self.settings.heads, batch_first=True)
        self.attended = nn.LayerNorm(dimension)
        self.forth = nn.Sequential(
            nn.Linear(dimension, 2 * dimension), nn.GELU(), nn.Linear(2 * dimension, dimension)
        )
        self.predicted = nn.LayerNorm(dimension)

    def forward(
        self,
        step: Step,
        embedding: Tensor,
        bias: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The term without its weight; encodes B captions once more.

        Args:
            step: `visual`, `text.present`, `ids`, `significance` and `encode_text` are used.
            embedding: (V, D), what the text tower embeds ids with.
            bias: (V,), of the output.
            generator: of the masking.

        Returns:
            The mean cross-entropy of the chosen words; 0 where none was.
        """
        chosen = choose_words(step, self.settings, generator)
        if not chosen.any():
            return 0.0 * (step.visual.vectors.sum() + embedding.sum())  # 0 that has a gradient
        text = step.encode_text(mask_words(step, chosen, self.settings, generator))
        rows = chosen.any(1)
        places, there = packed(chosen[rows])  # (R, K)
        words = text.tokens[rows].gather(1, places[..., None].expand(-1, -1, embedding.shape[1]))
        # Chosen words alone: each costs logits over all entries.
        hidden = self.hidden(words, step.visual, rows)[there]
        return functional.cross_entropy(
            functional.linear(hidden, embedding, bias), step.ids[rows].gather(1, places)[there]
        )

    def hidden(self, words: Tensor, visual: Side, rows: Tensor) -> Tensor:
        """Words that have looked at their clips.

        Args:
            words: (R, K, D), of the captions `rows`.
            visual: of all B clips.
            rows: (B,) bool, R of them True.

        Returns:
            (R, K, D).
        """
        frames = visual.tokens[rows]
        seen, _ = self.attention(
            words, frames, frames, key_padding_mask=~visual.present[rows], need_weights=False
        )
        mixed = self.attended(words + seen)
        found: Tensor = self.predicted(mixed + self.forth(mixed))
        return found
