"""LVWM: a few significant words of a caption must find the clip, by its frames."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from models.text_video.methods.step import Step
from models.training.bounds import Count, Weight


@dataclass(frozen=True)
class LocalMatching:
    """Local Vision-Word Matching; defaults are the published ones.

    Attributes:
        weight: what the term counts beside a contrast of weight 1.
        words: so many significant words are drawn of each caption.
    """

    weight: Weight = 1.0
    words: Count = 3


def draw_words(
    significance: Tensor, words: int, generator: torch.Generator | None = None
) -> Tensor:
    """Places of significant words: all different ones first, then again from the first.

    Args:
        significance: (B, L), at least one word of each caption above 0.
        words: K.
        generator: of the choice.

    Returns:
        (B, K) int64.
    """
    candidates = significance > 0
    chances = torch.rand(significance.shape, generator=generator).to(significance.device)
    order = chances.masked_fill(~candidates, 2.0).argsort(1)  # (B, L), candidates first
    turn = torch.arange(words, device=order.device) % candidates.sum(1, keepdim=True)  # (B, K)
    return order.gather(1, turn)


def bag_similarities(words: Tensor, frames: Tensor, present: Tensor) -> Tensor:
    """Logarithm of the mean exponential over all pairs of a word and a frame.

    Args:
        words: (A, K, D), over the temperature.
        frames: (M, N, D) unit rows.
        present: (M, N) bool, frames that count.

    Returns:
        (A, M).
    """
    (captions, count, _), (clips, most, _) = words.shape, frames.shape
    logits = words.flatten(0, 1) @ frames.flatten(0, 1).T  # (A K, M N)
    logits = logits.masked_fill(~present.flatten(), float("-inf")).view(-1, clips, most)
    by_word = logits.logsumexp(2).view(captions, count, clips)  # (A, K, M)
    return by_word.logsumexp(1) - present.sum(1).log() - math.log(count)


def local_matching(
    step: Step, settings: LocalMatching | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """MIL-NCE over bags of significant words and frames.

    Local Vision-Word Matching (Dong et al., SNP-S3, IEEE TCSVT 2023, section on LVWM) with
    MIL-NCE (Miech et al., CVPR 2020, eq. 1): the bags' log-sum-exp s_ij of caption i and clip j,

        mean_i -log( exp s_ii / (sum_j exp s_ji + sum_{j != i} exp s_ij) ).

    The published code matches words with one vector a clip; here with each frame, and the mean in
    place of the sum over a bag, so that a clip of many frames is not nearer to everything. A
    caption without significant words takes no part; the published code lets other words stand in.

    Args:
        step: `text.tokens`, `visual.tokens`, `significance`, `same` and `temperature` are used.
        settings: the defaults where None.
        generator: of the choice of words.

    Returns:
        The term without its weight, a scalar; 0 where no caption has a significant word.
    """
    settings = settings or LocalMatching()
    told = ((step.significance > 0) & step.text.present).any(1)  # (B,)
    if not told.any():
        return 0.0 * (step.text.tokens.sum() + step.visual.tokens.sum())  # 0 that has a gradient
    places = draw_words((step.significance * step.text.present)[told], settings.words, generator)
    words = step.text.tokens[told].gather(
        1, places[..., None].expand(-1, -1, step.text.tokens.shape[2])
    )  # (A, K, D)
    bags = bag_similarities(
        words / step.temperature, step.visual.tokens[told], step.visual.present[told]
    )
    return mil_nce(bags, step.same[told][:, told])


def mil_nce(logits: Tensor, same: Tensor) -> Tensor:
    """One softmax a pair over its clip's captions and its caption's clips.

    Args:
        logits: (A, A), row i is caption i, column j is clip j.
        same: (A, A) bool; different pairs of one thing are left out.

    Returns:
        The mean loss, a scalar.
    """
    itself = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    captions = logits.masked_fill(same & ~itself, float("-inf")).T  # (A, A) of clip i
    clips = logits.masked_fill(same, float("-inf"))  # (A, A), no diagonal
    return (torch.cat([captions, clips], 1).logsumexp(1) - logits.diagonal()).mean()
