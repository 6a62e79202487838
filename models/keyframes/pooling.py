"""What is stored for a key frame: the mean look of the frames that it stands for.

Serves fingerprinting. The frames around a key frame are encoded anyway, to search with; their mean
resembles an edited copy of any of them more than the key frame alone does.
"""

import numpy as np
from numpy.typing import NDArray

from models.encoder.serve import EncodedFrames
from models.keyframes.shot_numbers import shot_numbers


def owners_of(
    seconds: NDArray[np.float32], cut_seconds: NDArray[np.float32], keys: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Which key frame stands for each frame: the nearest in time of its own shot.

    Args:
        seconds: (N,) ascending.
        cut_seconds: (C,) ascending.
        keys: (K,) ascending indices of the key frames.

    Returns:
        (N,) places in `keys`; -1 where the shot has no key frame.
    """
    shots = shot_numbers(seconds, cut_seconds)
    owners = np.full(len(seconds), -1, np.intp)
    for shot in np.unique(shots[keys]).tolist():
        inside = np.flatnonzero(shots == shot)
        own = np.flatnonzero(shots[keys] == shot)
        at = seconds[keys[own]]
        owners[inside] = own[np.searchsorted((at[1:] + at[:-1]) / 2, seconds[inside])]
    return owners


def pool_description(
    described: EncodedFrames, owners: NDArray[np.intp], count: int
) -> EncodedFrames:
    """Descriptors and score biases of the key frames, each a mean over what it stands for.

    Args:
        described: N frames.
        owners: (N,) of `owners_of`; every key frame owns at least itself.
        count: of the key frames, K.
    """
    owned = owners >= 0
    sizes = np.bincount(owners[owned], minlength=count)
    sums = np.zeros((count, described.descriptors.shape[1]))
    np.add.at(sums, owners[owned], described.descriptors[owned])
    biases = np.bincount(owners[owned], described.score_biases[owned], minlength=count) / sizes
    rows = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    return EncodedFrames(rows.astype(np.float32), biases.astype(np.float32))
