"""Each word's best frame and each frame's best word, with a gradient that is cheap to compute."""

from typing import Any, NamedTuple

import torch
from torch import Tensor


class Companions(NamedTuple):
    """What each frame is added to by: another frame of its clip.

    Attributes:
        place: (M, N) int64, which frame of the same clip.
        weight: (M, N), what its cosine is multiplied with; 0 where there is none. No gradient.
    """

    place: Tensor
    weight: Tensor


class _Maxima(torch.autograd.Function):
    """The gradient by hand: autograd's passes over (b, L, M, N) cost more than the products."""

    @staticmethod
    def forward(
        ctx: Any, words: Tensor, frames: Tensor, place: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See `token_maxima`."""
        (b, length, _), (clips, count, _) = words.shape, frames.shape
        cosines = words.flatten(0, 1) @ frames.flatten(0, 1).T  # (b L, M N)
        cosines = cosines.view(b, length, clips, count)
        best, frame = cosines.max(3)  # (b, L, M)
        heard, word = cosines.max(1)  # (b, M, N)
        flat = frame + torch.arange(clips, device=frame.device) * count  # (b, L, M) of M N
        beside, share = place.flatten()[flat], weight.flatten()[flat]  # (b, L, M)
        second = cosines.gather(3, beside[..., None])[..., 0]
        ctx.save_for_backward(words, frames, frame, word, beside, share)
        return best + share * second, heard

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Put each gradient where its maximum came from, then multiply."""
        by_word, by_frame = gradients
        words, frames, frame, word, beside, share = ctx.saved_tensors
        (b, length, _), (clips, count, _) = words.shape, frames.shape
        cosines = words.new_zeros(b, length, clips, count)
        cosines.scatter_(3, frame[..., None], by_word[..., None])
        cosines.scatter_add_(3, beside[..., None], (by_word * share)[..., None])
        cosines.scatter_add_(1, word[:, None], by_frame[:, None])
        flat = cosines.view(b * length, clips * count)
        to_words = (flat @ frames.flatten(0, 1)).view_as(words)
        to_frames = (flat.T @ words.flatten(0, 1)).view_as(frames)
        return to_words, to_frames, None, None


def token_maxima(words: Tensor, frames: Tensor, companions: Companions) -> tuple[Tensor, Tensor]:
    """Maxima of the cosines of all words and all frames.

    Memory is b * L * M * N floats at a time: give few captions, and sum over the calls.

    Args:
        words: (b, L, D) unit rows.
        frames: (M, N, D) unit rows.
        companions: of the frames.

    Returns:
        (b, L, M): each word's largest cosine with a frame of the clip, and, times its weight, the
        cosine with that frame's companion; (b, M, N): each frame's largest cosine with a word.
    """
    found: tuple[Tensor, Tensor] = _Maxima.apply(words, frames, *companions)
    return found
