"""HSCL: batches of hard negatives come more often as training goes on."""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.text_video.methods.contrast import logits_of, positive_losses
from models.text_video.methods.step import Step
from models.training.bounds import Positive, Share


@dataclass(frozen=True)
class Curriculum:
    """Hard Sample Curriculum Learning; defaults are those of the published configuration.

    Attributes:
        stage_share: the probability of hard sampling rises after each such share of the training.
            Published: every 5,000 steps, of 20 rounds over 3.5 million pairs by 1,024.
        stage_rise: by so much, up to 1.
        kept_share: how many of the negatives a hard batch keeps. Published: eight processes
            gather theirs and each keeps one batch of them.
        min_weight: floor of the weight of pairs that are easy already.
    """

    stage_share: Positive = 0.073
    stage_rise: Share = 0.15
    kept_share: Share = 0.125
    min_weight: Share = 0.2


def hard_probability(progress: float, settings: Curriculum) -> float:
    """How likely this step samples hard negatives.

    Args:
        progress: share of the training that is done, [0, 1].
        settings: `stage_share` and `stage_rise` make the stairs.

    Returns:
        0 in the first stage, then a stair up to 1.
    """
    # 1e-9: a quotient that should be whole may come out just below, and a stage begin a step late.
    stages = int(progress / settings.stage_share + 1e-9)
    return min(stages * settings.stage_rise, 1.0)


def hard_negatives(logits: Tensor, share: float) -> Tensor:
    """The negatives nearest in similarity to the row's own positive, on either side of it.

    Args:
        logits: (B, B), -inf where the pair is no negative.
        share: of the B - 1 negatives, kept, rounded up.

    Returns:
        (B, B) bool; the diagonal is False.
    """
    count = len(logits)
    distance = (logits - logits.diagonal()[:, None]).abs()
    distance.fill_diagonal_(float("inf"))
    most = -int(-(count - 1) * share // 1)  # rounded up: small batches keep one at least
    nearest, places = distance.topk(most, dim=1, largest=False)
    kept = torch.zeros_like(logits, dtype=torch.bool)
    return kept.scatter_(1, places, nearest.isfinite())


def row_weights(positives: Tensor, least: float) -> Tensor:
    """Pairs that are more alike than the mean pair count less.

    1 up to the mean, then (mean - minimum) / (own - minimum), at least `least`.

    Args:
        positives: (B,) similarities of the pairs.
        least: floor of the weights.

    Returns:
        (B,) weights in [least, 1].
    """
    mean, minimum = positives.mean(), positives.min()
    above = (mean - minimum) / (positives - minimum).clamp_min(1e-12)
    return torch.where(positives > mean, above.clamp_min(least), torch.ones_like(above))


def curriculum_contrast(
    step: Step,
    similarities: Tensor,
    settings: Curriculum | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """InfoNCE over all negatives or, ever more often, over the hard ones alone.

    Hard Sample Curriculum Learning (Gan et al., CNVid-3.5M, CVPR 2023, section on pre-training):
    a coin per step says whether each row keeps only the negatives near its own positive; rows of
    easy pairs weigh less throughout. The published code samples clips for captions and reads the
    other direction from columns that then mix clips; here each direction samples its own. It
    ranks by the dual encoder and trains a fusion encoder; we have the dual encoder only, so one
    matrix does both. Its schedule counts steps, ours shares of the training.

    Args:
        step: `temperature`, `same` and `progress` are used.
        similarities: (B, B), row i is caption i, column j is clip j.
        settings: the defaults where None.
        generator: for the coin.

    Returns:
        The mean of both directions, a scalar.
    """
    settings = settings or Curriculum()
    logits = logits_of(similarities, step)
    coin = float(torch.rand((), generator=generator))
    hard = coin < hard_probability(step.progress, settings)
    weights = row_weights(similarities.detach().diagonal(), settings.min_weight)
    losses = [
        weights * positive_losses(_hardened(direction, settings) if hard else direction)
        for direction in (logits, logits.T)
    ]
    return torch.stack(losses).mean()


def _hardened(logits: Tensor, settings: Curriculum) -> Tensor:
    """All but the positive and its hard negatives out."""
    kept = hard_negatives(logits.detach(), settings.kept_share)
    kept.fill_diagonal_(True)
    return logits.masked_fill(~kept, float("-inf"))
