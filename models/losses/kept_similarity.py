"""What an edit leaves of a key frame's similarity to its surroundings: its quality's target."""

from torch import Tensor


def kept_similarity(quality: Tensor, plain: Tensor, edited: Tensor, near: Tensor) -> Tensor:
    """Squared error of `quality[m] * plain[t, m]` as a forecast of `edited[t, m]`.

    Its minimum over many edits is the share of the similarity that the mean edit leaves: high
    where a frame is recognised in spite of edits, low where it is dark, empty or soon covered.

    Args:
        quality: (B, T) in [0, 1].
        plain: (B, T, T), cosine of every frame t with every frame m.
        edited: (B, T, T), the same with t edited.
        near: (B, T, T) bool, pairs for which m may stand for t.

    Returns:
        Scalar, the mean over the near pairs.
    """
    error = (quality[:, None, :] * plain.clamp(min=0) - edited) ** 2  # (B, T, T)
    return (error * near).sum() / near.sum().clamp(min=1)
