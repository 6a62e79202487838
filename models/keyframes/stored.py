"""From encoded frames to what a library stores: the key frames, and one descriptor for each.

Serves fingerprinting and the benchmarks, which measure the same choice.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.encoder.serve import EncodedFrames
from models.keyframes.base import CandidateFrames, KeyFrameSelector
from models.keyframes.pooling import owners_of, pool_description


def stored_frames(
    selector: KeyFrameSelector,
    candidates: CandidateFrames,
    encoded: NDArray[np.intp],
    described: EncodedFrames,
    *,
    pooled: bool,
) -> tuple[NDArray[np.intp], EncodedFrames]:
    """Choose key frames among those that are encoded, to search with, anyway.

    Args:
        selector: what chooses.
        candidates: all frames that were decoded.
        encoded: (M,) ascending indices of the frames that are encoded.
        described: M rows, of those.
        pooled: whether a key frame's descriptor is the mean over what it stands for.

    Returns:
        (K,) ascending indices of the key frames among the candidates, and K rows that describe
        them.
    """
    rows = replace(candidates, described=encoded, descriptors=described.descriptors)
    key = selector.select(rows)
    places = np.searchsorted(encoded, key)
    if not pooled or len(key) == 0:
        own = EncodedFrames(described.descriptors[places], described.score_biases[places])
        return key, own
    owners = owners_of(candidates.seconds[encoded], candidates.cut_seconds, places)
    return key, pool_description(described, owners, len(key))
