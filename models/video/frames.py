"""What happens to a frame before the encoder, in training and in serving alike.

Flat borders are found and cut, flat frames are named as blank, the rest becomes a square.
"""

import numpy as np
from numpy.typing import NDArray

# Levels of 255, but for shares and counts. Deviations are the largest of the three colours.
FLAT_DEVIATION = 7.0  # a row of a border varies less: it is flat but for the noise of a codec
ROUNDING = 0.1  # what the quicker look at an edge may be off, so that it never misses a border
SAME_COLOUR = 9.0  # between the means of rows of one border
EXTREME_MARGIN = 20.0  # from black or white: video's own black is 16, and a codec adds to it
MIN_KEPT = 0.2  # of a side: where less would be left, it is no border but a plain picture
BLANK_DEVIATION = 5.0  # a frame that varies less shows nothing; dim ones that do vary more
# Noise of a sensor in the dark, by its brightness: means of tiles vary by less than 0.26 of what
# pixels vary, and the brightest one is 5.5 to 7 deviations above the mean. Of 9,000 dark and
# darkened frames of videos with such a brightest one, tiles of none vary by less than 0.44.
DARK_MEAN = 40.0
GRAIN_SHARE = 0.33
GRAIN_PEAKS = (4.0, 8.0)  # pale paper has less, text and stars have more
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
TILES = 8  # on a side
REPEAT_DIFFERENCE = 1.0  # on average over a tile: a codec alters less of a still picture

Rgb = NDArray[np.uint8]
Box = tuple[int, int, int, int]


def content_box(rgb: Rgb) -> Box:
    """Where the picture is inside flat borders: bars, letterbox, pillarbox, frames.

    Coloured borders are cut only where both opposite sides have one, so that a plain sky stays;
    black and white ones also on one side.

    Args:
        rgb: (H, W, 3) uint8.

    Returns:
        (left, top, right, bottom) in pixels, right and bottom exclusive; the whole frame where
        there is no border, or where less than a fifth of a side would be left.
    """
    height, width = rgb.shape[:2]
    if not (_may_be_flat(rgb) or _may_be_flat(rgb.swapaxes(0, 1))):
        return (0, 0, width, height)  # most frames have no border, and their four edges tell
    top, bottom = _cuts(rgb)
    if height - top - bottom < MIN_KEPT * height:
        return (0, 0, width, height)
    left, right = _cuts(rgb[top : height - bottom].swapaxes(0, 1))
    if width - left - right < MIN_KEPT * width:
        return (0, 0, width, height)
    return (left, top, width - right, height - bottom)


def is_blank(rgb: Rgb) -> bool:
    """Whether a frame shows nothing: one flat colour, or what a sensor sees in the dark.

    Args:
        rgb: (H, W, 3) uint8.
    """
    step = max(1, min(rgb.shape[:2]) // 48)
    seen = rgb[::step, ::step].reshape(1, -1, 3)
    return bool(_mean_and_deviation(seen)[1] < BLANK_DEVIATION) or (
        float(seen.mean()) < DARK_MEAN and _is_grain(rgb)
    )


def _is_grain(rgb: Rgb) -> bool:
    """Whether a frame is noise: pixels vary, each apart from others, and none stands out."""
    tall, wide = rgb.shape[0] // TILES, rgb.shape[1] // TILES
    if not (tall and wide):
        return False
    luma = rgb[: tall * TILES, : wide * TILES] @ LUMA  # (H, W)
    tiles = luma.reshape(TILES, tall, TILES, wide).mean(axis=(1, 3))  # (8, 8)
    deviation = luma.std()
    least, most = GRAIN_PEAKS
    peak = luma.max() - luma.mean()
    return bool(
        tiles.std() < GRAIN_SHARE * deviation and least * deviation < peak < most * deviation
    )


def is_repeat(before: Rgb, frame: Rgb) -> bool:
    """Whether a frame shows the same as another one, but for the noise of a codec.

    Every one of 8x8 tiles must agree, so that a small thing that moves is seen.

    Args:
        before: (S, S, 3) uint8.
        frame: (S, S, 3) uint8.
    """
    side = before.shape[0] // TILES * TILES
    difference = np.abs(before[:side, :side].astype(np.int16) - frame[:side, :side])
    tile = side // TILES
    tiles = difference.reshape(TILES, tile, TILES, tile, 3).mean(axis=(1, 3, 4))  # (8, 8)
    return bool(tiles.max() < REPEAT_DIFFERENCE)


def difference(before: Rgb, frame: Rgb) -> float:
    """How far the pixels of two frames are apart, the mean in levels of 255; every fourth is seen.

    Args:
        before: (S, S, 3) uint8.
        frame: (S, S, 3) uint8.
    """
    return float(np.abs(before[::4, ::4].astype(np.int16) - frame[::4, ::4]).mean())


def prepare(rgb: Rgb, size: int) -> Rgb:
    """The encoder's view of a frame: borders cut, antialiased, square.

    Args:
        rgb: (H, W, 3) uint8.
        size: side of the result in pixels.

    Returns:
        (size, size, 3) uint8.

    Raises:
        ValueError: not (H, W, 3) uint8.
    """
    _check(rgb)
    return squared(rgb, content_box(rgb), size)


def squared(rgb: Rgb, box: Box, size: int) -> Rgb:
    """A part of a frame as a square, antialiased.

    Args:
        rgb: (H, W, 3) uint8.
        box: what `content_box` found.
        size: side of the result in pixels.

    Returns:
        (size, size, 3) uint8.

    Raises:
        ValueError: not (H, W, 3) uint8.
    """
    from PIL import Image  # here: whoever reads settings comes by this file

    _check(rgb)
    picture = Image.fromarray(np.ascontiguousarray(rgb))
    square = picture.resize((size, size), Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)
    return np.asarray(square)


def _check(rgb: Rgb) -> None:
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"{rgb.shape = }, {rgb.dtype = }, expected (H, W, 3) uint8")


def _may_be_flat(rgb: Rgb) -> bool:
    """Whether the first or the last row varies little; quicker than to say by how much."""
    rows = rgb[:: max(1, len(rgb) - 1), :: max(1, rgb.shape[1] // 64)].astype(np.float32)
    means = rows.mean(axis=1)
    variances = np.einsum("hwc,hwc->hc", rows, rows) / rows.shape[1] - means * means
    return bool((variances.max(axis=1) < (FLAT_DEVIATION + ROUNDING) ** 2).any())


def _cuts(rgb: Rgb) -> tuple[int, int]:
    """How many rows are border at the top and at the bottom."""
    thin = rgb[:, :: max(1, rgb.shape[1] // 64)]  # (H, ≤ 128, 3)
    if (_mean_and_deviation(thin[[0, -1]])[1] >= FLAT_DEVIATION).all():
        return (0, 0)  # two rows tell
    means, deviation = _mean_and_deviation(thin)
    flat = deviation < FLAT_DEVIATION  # (H,)
    first, last = _run(means, flat), _run(means[::-1], flat[::-1])
    if first and last:
        return (0, 0) if first == len(rgb) else (first, last)
    return (
        first if _extreme(means[0]) else 0,
        last if _extreme(means[-1]) else 0,
    )


def _mean_and_deviation(
    rows: NDArray[np.uint8],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean colour of each row, (H, 3), and its largest standard deviation of a channel, (H,)."""
    planes = np.ascontiguousarray(rows.transpose(2, 0, 1), dtype=np.float32)  # (3, H, W)
    means = planes.mean(axis=2)
    planes -= means[:, :, None]
    variance = np.einsum("chw,chw->ch", planes, planes) / planes.shape[2]
    return means.T, np.sqrt(variance.max(axis=0))


def _run(means: NDArray[np.float32], flat: NDArray[np.bool_]) -> int:
    """Length of the flat, one-coloured run at the start."""
    same = flat & (np.abs(means - means[0]).max(axis=1) < SAME_COLOUR)
    return len(same) if same.all() else int(same.argmin())


def _extreme(mean: NDArray[np.float32]) -> bool:
    return bool(mean.max() < EXTREME_MARGIN or mean.min() > 255 - EXTREME_MARGIN)
