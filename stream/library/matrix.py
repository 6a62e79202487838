"""From an upload's query frames and a library video's key frames to their similarity matrix."""

import numpy as np
from numpy.typing import NDArray

from models.aligners.matrix import SimilarityMatrix
from models.video.motion import coarse_curve
from models.video.similarity import similarities
from stream.contract.fingerprint import Fingerprint
from stream.contract.packed import CODE_SCALE
from stream.library.entry import Entry


def similarity_of(upload: Fingerprint, entry: Entry, rows: NDArray[np.float32]) -> SimilarityMatrix:
    """The exact matrix of an upload's query frames and a library video's key frames.

    Of several looks at one moment the best counts, for each key frame its own.

    Args:
        upload: what was uploaded.
        entry: of the library video.
        rows: (R, D) whole numbers: unit descriptors of its key frames times 127.
    """
    query = upload.query_frames
    values = similarities(query.whole, rows, query.bias_codes, entry.bias_codes, scale=CODE_SCALE)
    seconds, first = np.unique(query.seconds, return_index=True)
    if len(seconds) < len(query):
        values = np.maximum.reduceat(values, first, axis=0)
    return SimilarityMatrix(
        values=np.clip(values, -1, 1),
        query_seconds=seconds,
        reference_seconds=entry.seconds,
        query_duration_seconds=upload.duration_seconds,
        reference_duration_seconds=entry.duration_seconds,
        query_cuts_seconds=upload.cut_seconds,
        reference_cuts_seconds=entry.cut_seconds,
        query_motion=upload.motion,
        reference_motion=coarse_curve(entry.motion_levels),
    )
