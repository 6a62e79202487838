"""How alike the frames of two videos are: the one formula that all of the project compares by.

Serves the library, the aligners, training and the benchmarks. After the score normalisation of SSCD
(Pizzi et al., CVPR 2022, section 3.4), made symmetric: half of each side's bias is subtracted.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]


def similarities(
    queries: Rows,
    references: Rows,
    query_biases: NDArray[Any] | None = None,
    reference_biases: NDArray[Any] | None = None,
    *,
    scale: int = 1,
) -> NDArray[np.float32]:
    """Cosine of every pair of frames, less half of both frames' score biases.

    Args:
        queries: (Nq, D) float32, unit rows; or whole numbers, unit rows times `scale`, whose sums
            of products are exact in any order, and so the same on every machine.
        references: (Nr, D) float32, the same.
        query_biases: (Nq,), times `scale`; None on either side is none on both.
        reference_biases: (Nr,), times `scale`.
        scale: 1 of unit rows, 127 of the library's codes.

    Returns:
        (Nq, Nr) float32; the cosine of codes in [-1, 1], that of unit rows but for their rounding.
    """
    values: NDArray[np.float32] = queries @ references.T
    if scale != 1:  # rounded rows are longer or shorter than one, by more than arithmetic is off
        values = np.clip(values / np.float32(scale**2), -1, 1)
    if query_biases is not None and reference_biases is not None:
        ours, theirs = (each.astype(np.float32) for each in (query_biases, reference_biases))
        values -= (ours[:, None] + theirs[None, :]) / np.float32(2 * scale)
    return values
