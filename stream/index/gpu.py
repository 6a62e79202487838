"""Search on an NVIDIA GPU, for `library.device = "cuda"`: all rows of a run, at half precision.

Faiss's flat index there looks at every row, so it needs no codebook; what it finds is measured
exactly on the packed rows, as what the lists find. Needs faiss-gpu.
"""

from functools import cache
from typing import Any

import faiss
import numpy as np

from stream.contract.packed import CODE_SCALE
from stream.errors import SettingsError
from stream.index.protocol import Floats, Index, Nearest, Serials

MAX_NEAREST = 2048  # the nearest that Faiss gives on a GPU
BATCH_ROWS = 512  # each addition is a transfer and copies the serials


class GpuFrames(Index):
    """The frames of a run on the first GPU."""

    batch_rows = BATCH_ROWS

    def __init__(self, dimension: int, flat: Any = None) -> None:
        """Begin empty.

        Args:
            dimension: of the rows.
            flat: an empty index; one on the GPU when left out.

        Raises:
            SettingsError: there is no GPU, or this Faiss has none.
        """
        self._dimension = dimension
        self._index = _flat_on_gpu(dimension) if flat is None else flat
        self._serials = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._serials)

    def add(self, rows: Floats, serials: Serials) -> None:
        """Append frames: (N, D) float32 whole numbers, and their numbers."""
        if len(rows):
            self._index.add(rows / np.float32(CODE_SCALE))
            self._serials = np.concatenate((self._serials, serials))

    def search(self, queries: Floats, most: int, probes: int, *, below: int | None) -> Nearest:
        """The nearest frames of each query; as in `Index`, `probes` means nothing here."""
        if len(self) == 0:  # all frames of a young library still wait
            return Nearest.none(len(queries))
        wanted = min(most, MAX_NEAREST, len(self))
        values, places = self._index.search(queries / np.float32(CODE_SCALE), wanted)
        serials = np.where(places >= 0, self._serials[np.maximum(places, 0)], -1)
        if below is not None:
            serials[serials >= below] = -1
        return Nearest(serials, values * np.float32(CODE_SCALE**2))


def require_gpu() -> None:
    """Refuse `library.device = "cuda"` where Faiss sees none.

    Raises:
        SettingsError: says what to install, or to set.
    """
    if not hasattr(faiss, "StandardGpuResources") or faiss.get_num_gpus() == 0:
        raise SettingsError(
            f'library.device = "cuda": this Faiss ({faiss.__version__}) sees no GPU: install '
            'faiss-gpu instead of faiss-cpu on a machine with one, or set library.device = "cpu"'
        )


def _flat_on_gpu(dimension: int) -> Any:
    require_gpu()
    options = faiss.GpuIndexFlatConfig()
    options.useFloat16 = True
    return faiss.GpuIndexFlatIP(_resources(), dimension, options)


# One for the process: each sets aside some of the GPU's memory for itself.
@cache
def _resources() -> Any:
    return faiss.StandardGpuResources()
