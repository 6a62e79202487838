"""Whether the pictures of a copy are those of its original, mirrored left and right.

Serves the console's evidence. What is compared is the direction of edges, which neither colours nor
an inverted picture change; by how one lies in the other, so that crops, insets and borders matter
little. The edit is the same in all pictures of a span, so all are laid at the same place.
"""

from itertools import product

import numpy as np
from numpy.fft import irfft2, rfft2
from numpy.typing import NDArray
from PIL import Image

from models.video.frames import Rgb

SIDE = 32  # pixels of the larger picture; set by hand, as the rest
SHARES = (1.0, 0.87, 0.75, 0.62, 0.5, 0.38)  # of its sides that the smaller one may take
MAX_STRETCH = 1.85  # of one side against the other
BEYOND = 3  # pixels that the smaller one may reach out of the larger
FAINT = 0.5  # of the mean edge: fainter ones count less
NOISE = 1.0  # levels of 255
MIN_ENERGY = 1e-3  # of what the smaller picture holds, where it lies on something flat
MARGIN = 0.1
"""Of `mirroring`, from which it is known. On training clips, unmirrored spans reach 0.02 and what
copies nothing 0.04 in either direction; mirrored ones have 0.16 at least."""

Floats = NDArray[np.float32]


def is_mirrored(copy: Rgb, original: Rgb) -> bool | None:
    """Whether a copy is mirrored; None where the pictures don't say.

    Args:
        copy: (N, S, S, 3) uint8, prepared pictures of one span.
        original: as `copy`, of the matching seconds.
    """
    more = mirroring(copy, original)
    return None if abs(more) < MARGIN else more > 0


def mirroring(copy: Rgb, original: Rgb) -> float:
    """How much more an original is like its mirrored copy than like the copy: -1 to 1.

    Args:
        copy: (N, S, S, 3) uint8, N ≥ 1.
        original: as `copy`.
    """
    one, other = _grey(copy), _grey(original)
    return _likeness(one[:, :, ::-1], other) - _likeness(one, other)


def _grey(pictures: Rgb) -> NDArray[np.uint8]:
    """(N, S, S, 3) to (N, S, S)."""
    return np.stack([np.asarray(Image.fromarray(each).convert("L")) for each in pictures])


def _likeness(copy: NDArray[np.uint8], original: NDArray[np.uint8]) -> float:
    """The best mean cosine of the edges, over places and sizes of one in the other."""
    return max(_best(copy, original), _best(original, copy))


def _best(smaller: NDArray[np.uint8], larger: NDArray[np.uint8]) -> float:
    """The same with one of them as the smaller.

    It counts by the root of its share of the larger: a small part is like something by chance.
    """
    padded = (2 * SIDE, 2 * SIDE)
    edges = _edges(larger, SIDE, SIDE)  # (N, 2, SIDE, SIDE)
    seen = rfft2(edges, padded)
    energies = rfft2(np.square(edges).sum(axis=1), padded)
    best = -1.0
    for across, down in product(SHARES, SHARES):
        if not 1 / MAX_STRETCH <= across / down <= MAX_STRETCH:
            continue
        height, width = round(down * SIDE), round(across * SIDE)
        part = _edges(smaller, height, width)
        own = np.square(part).sum(axis=(1, 2, 3))[:, None, None]
        products = irfft2((seen * rfft2(part, padded).conj()).sum(axis=1), padded)
        under = irfft2(energies * rfft2(np.ones((height, width)), padded).conj(), padded)
        rows = np.arange(-BEYOND, SIDE - height + BEYOND + 1)
        columns = np.arange(-BEYOND, SIDE - width + BEYOND + 1)
        there = np.ix_(np.arange(len(part)), rows, columns)
        floor = np.maximum(MIN_ENERGY * own, MIN_ENERGY)
        cosines = products[there] / np.sqrt(
            np.maximum(under[there], floor) * np.maximum(own, floor)
        )
        best = max(best, float(cosines.mean(axis=0).max()) * (across * down) ** 0.5)
    return best


def _edges(pictures: NDArray[np.uint8], height: int, width: int) -> Floats:
    """(N, S, S) to (N, 2, height, width) float32: of each edge twice its angle, at most 1 long.

    Twice, so that dark on bright is the same as bright on dark.
    """
    found = []
    for each in pictures:
        small = Image.fromarray(each).resize((width, height), Image.Resampling.BILINEAR)
        down, across = np.gradient(np.asarray(small, np.float32))
        length = np.hypot(across, down)
        doubled = np.stack([across**2 - down**2, 2 * across * down]) / (length + 1e-6)
        found.append(doubled / (length + FAINT * length.mean() + NOISE))
    return np.stack(found).astype(np.float32)
