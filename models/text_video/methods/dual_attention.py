"""DMAE: similarity from the words and frames themselves, words of content counting more."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from models.text_video.methods.token_maxima import Companions, token_maxima
from models.text_video.side import Side
from models.text_video.tokenizer import CLS, PAD
from models.training.bounds import Natural, Share, Weight

CAPTIONS, CLIPS = 16, 64  # at a time: what they make together stays near the cache


class Weighed(NamedTuple):
    """Tokens (B, N, D), those that are present first, and weights (B, N) that sum to 1.

    Behind the present ones the first is repeated, which changes no maximum, at weight 0.
    """

    tokens: Tensor
    weights: Tensor


@dataclass(frozen=True)
class DualAttention:
    """Dual-modal attention; defaults are the published ones.

    Attributes:
        weight: what InfoNCE over this similarity counts beside the contrast of vectors; ours.
        emphasis: a word of significance s weighs 1 + emphasis * s beside other words.
        companion: how much the frame most like the best frame adds to it.
        sentence: the share of the similarity that whole captions have, words have the rest.
        max_dropped: so many uninformative words may go from a caption in training,
        max_dropped_share: and no greater share of its words.
    """

    weight: Weight = 1.0
    emphasis: Weight = 1.0
    companion: Weight = 0.5
    sentence: Share = 0.5
    max_dropped: Natural = 5
    max_dropped_share: Share = 0.5


def dual_attention(
    visual: Side, text: Side, significance: Tensor, settings: DualAttention | None = None
) -> Tensor:
    """Similarity of every caption to every clip from the tokens of both sides.

    Dual-Modal Attention-Enhanced module (Jiang et al., DMAE, ACM MM 2023, section on DMAE), over
    the token-wise interaction of Wang et al. (DRL, 2022). Per caption and clip

        (sum_w a_w max_f e_wf + mean_f max_w s_wf) / 2,    e_wf = s_wf + c r_fg s_wg,

    s_wf the cosine of word and frame, a_w the weight of a word by its part of speech (`emphasis`,
    sums to 1), g the frame of the clip most like f and r_fg their cosine; the maximum over f is
    taken of s. The same of the caption's vector in the place of its words, then the mean of both.
    The weights are those of the published interaction without parameters; it multiplies padded
    cosines by 0, which then beat negative ones, while here padding is never the maximum. There it
    ranks in training and in search; a library is searched by one vector a clip, so here it is
    trained beside the contrast of vectors.

    Args:
        visual: of M clips.
        text: of B captions; B and M may differ, to evaluate.
        significance: (B, L) in [0, 1], L the words of `text.tokens`.
        settings: the defaults where None.

    Returns:
        (B, M), row i is caption i; above 1 where frames repeat.
    """
    settings = settings or DualAttention()
    words = _packed(text, 1 + settings.emphasis * significance)
    whole = Weighed(text.vectors[:, None], torch.ones_like(words.weights[:, :1]))
    blocks = list(_by_length(words, CAPTIONS))
    captions = torch.cat([rows for rows, _ in blocks]).argsort()
    columns, order = [], []
    for clips, frames in _by_length(_packed(visual), CLIPS):
        companions = _companions(frames, settings.companion)
        by_word = torch.cat([_interaction(part, frames, companions) for _, part in blocks])
        by_caption = _interaction(whole, frames, companions)
        columns.append(torch.lerp(by_word[captions], by_caption, settings.sentence))
        order.append(clips)
    return torch.cat(columns, 1)[:, torch.cat(order).argsort()]


def drop_words(
    ids: Tensor,
    significance: Tensor,
    settings: DualAttention | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Captions of which some uninformative words are gone, for training.

    DMAE's random dropping: of each caption's words of significance 0, at most `max_dropped` and
    `max_dropped_share` of all its words, a random number is left out before it is encoded. The
    published code ranks a caption's words by their TF-IDF among its clip's captions; here the
    part of speech says which are uninformative, since one caption is all that a search has.

    Args:
        ids: (B, L) int64, 0 is padding, `<cls>` stays.
        significance: (B, L) in [0, 1].
        settings: the defaults where None.
        generator: of the choice.

    Returns:
        ids and significance, (B, L) each: what stays, moved together, then padding.
    """
    settings = settings or DualAttention()
    words = (ids != PAD) & (ids != CLS)
    candidates = words & (significance == 0)
    most = (words.sum(1) * settings.max_dropped_share).long()
    most = torch.minimum(most, candidates.sum(1)).clamp_max(settings.max_dropped)  # (B,)
    chosen = (torch.rand(len(ids), generator=generator).to(ids.device) * (most + 1)).long()
    chances = torch.rand(ids.shape, generator=generator).to(ids.device)
    order = chances.masked_fill(~candidates, 2.0).argsort(1).argsort(1)  # rank among candidates
    gone = candidates & (order < chosen[:, None])
    together = (gone | (ids == PAD)).long().argsort(dim=1, stable=True)
    ids, significance = ids.masked_fill(gone, PAD), significance.masked_fill(gone, 0.0)
    return ids.gather(1, together), significance.gather(1, together)


def _packed(side: Side, weights: Tensor | None = None) -> Weighed:
    """All tokens of a side; `weights` (B, N) are even where None."""
    order = side.present.long().argsort(dim=1, descending=True, stable=True)  # (B, N)
    present = side.present.gather(1, order)
    tokens = side.tokens.gather(1, order[..., None].expand_as(side.tokens))
    # Not zeros: a cosine of 0 would win over the negative ones of what is there.
    tokens = torch.where(present[..., None], tokens, tokens[:, :1])
    chosen = present.to(tokens.dtype)
    if weights is not None:
        chosen = chosen * weights.gather(1, order)
    return Weighed(tokens, chosen / chosen.sum(1, keepdim=True).clamp_min(1e-9))


def _by_length(side: Weighed, size: int) -> Iterator[tuple[Tensor, Weighed]]:
    """Blocks of like length, so that photos beside clips cost what photos cost; their rows."""
    lengths, order = (side.weights > 0).sum(1).sort()
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        most = max(int(lengths[start : start + size][-1]), 1)
        yield rows, Weighed(side.tokens[rows, :most], side.weights[rows, :most])


def _companions(frames: Weighed, weight: float) -> Companions:
    """The frame of its clip that each frame is most like, at `weight` times their cosine."""
    tokens, present = frames.tokens.detach(), frames.weights > 0
    alike = tokens @ tokens.transpose(1, 2)  # (M, N, N)
    itself = torch.eye(alike.shape[1], dtype=torch.bool, device=alike.device)
    barred = ~present[:, None, :] | ~present[:, :, None] | itself
    cosine, place = alike.masked_fill(barred, -2.0).max(2)  # (M, N)
    return Companions(place, weight * cosine.masked_fill(cosine < -1.5, 0.0))


def _interaction(words: Weighed, frames: Weighed, companions: Companions) -> Tensor:
    """Token-wise interaction of b captions and M clips: (b, M)."""
    by_word, by_frame = token_maxima(words.tokens, frames.tokens, companions)
    words_found = torch.einsum("blm,bl->bm", by_word, words.weights)
    frames_found = torch.einsum("bmn,mn->bm", by_frame, frames.weights)
    return (words_found + frames_found) / 2
