"""Each frame is classified as its segment by the segments' key frames: the loss of SSAN."""

from torch import Tensor
from torch.nn import functional


def segment_classification(
    frames: Tensor, keys: Tensor, segments: Tensor, temperature: float = 0.05
) -> Tensor:
    """Multi-frame classification on pseudo-segments.

    Jiang et al., "Learning segment similarity and alignment in large-scale content based video
    retrieval", ACM MM 2021, section 3.2: a key frame is good where all frames of its segment find
    it among the key frames of all segments. Here the frames are those of an edited copy.

    Args:
        frames: (N, D) unit rows.
        keys: (K, D) unit rows, the key frame of each segment.
        segments: (N,) int64, the segment that each frame is of.
        temperature: of the softmax over the segments.

    Returns:
        Scalar, the mean cross-entropy.
    """
    loss: Tensor = functional.cross_entropy(frames @ keys.T / temperature, segments)
    return loss
