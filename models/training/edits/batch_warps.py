"""Geometry on batches of pictures: homographies, windows, flat borders; serves the batched edits.

Pictures are (N, 3, S, S) float32 in [0, 1]. Places are in [-1, 1] from edge to edge, x to the right
and y down; a matrix says for a place of the result where in the picture it comes from.
"""

import torch
from torch import Tensor
from torch.nn import functional

from models.video.frames import EXTREME_MARGIN, FLAT_DEVIATION, MIN_KEPT, SAME_COLOUR

COARSE_BELOW = 0.62  # a window with a smaller side shows the picture of half the resolution


def places(side: int, device: torch.device) -> Tensor:
    """(S, S, 3) float32: x, y and 1 of every pixel's centre."""
    at = (torch.arange(side, device=device, dtype=torch.float32) + 0.5) * (2 / side) - 1
    y, x = torch.meshgrid(at, at, indexing="ij")
    return torch.stack([x, y, torch.ones_like(x)], dim=-1)


def matrices(rows: list[list[Tensor | float]], like: Tensor) -> Tensor:
    """(N, 3, 3) float32 of three rows of (N,) tensors or numbers.

    Args:
        rows: three times three.
        like: (N, …), whose length and device.
    """
    flat = [
        value if isinstance(value, Tensor) else torch.full((len(like),), value, device=like.device)
        for row in rows
        for value in row
    ]
    return torch.stack(flat, dim=1).view(-1, 3, 3)


def warp(pictures: Tensor, matrix: Tensor, outside: str = "border", side: int = 0) -> Tensor:
    """Pictures seen through homographies.

    Args:
        pictures: (N, C, S, S) float32.
        matrix: (N, 3, 3), places of the result to places in the picture.
        outside: "border" goes on with the edge's colour, "zeros" is black.
        side: of the result in pixels; the pictures' own if 0.

    Returns:
        (N, C, side, side) float32.
    """
    grid = _sources(matrix, side or pictures.shape[-1])
    return functional.grid_sample(pictures, grid, "bilinear", outside, align_corners=False)


def within(matrix: Tensor, side: int) -> Tensor:
    """(N, 1, S, S) bool: which places of the result come from inside the picture."""
    return (_sources(matrix, side).abs() <= 1).all(dim=-1)[:, None]


def windows(box: Tensor) -> Tensor:
    """(N, 3, 3) matrices that show the whole picture inside a box.

    Args:
        box: (N, 4) left, top, right, bottom in [-1, 1].
    """
    left, top, right, bottom = box.unbind(dim=1)
    x, y = 2 / (right - left), 2 / (bottom - top)
    return matrices(
        [[x, 0.0, -(left + right) / 2 * x], [0.0, y, -(top + bottom) / 2 * y], [0.0, 0.0, 1.0]], box
    )


def crops(box: Tensor) -> Tensor:
    """(N, 3, 3) matrices that show a box of the picture, enlarged.

    Args:
        box: (N, 4) left, top, right, bottom in [-1, 1].
    """
    left, top, right, bottom = box.unbind(dim=1)
    return matrices(
        [
            [(right - left) / 2, 0.0, (left + right) / 2],
            [0.0, (bottom - top) / 2, (top + bottom) / 2],
            [0.0, 0.0, 1.0],
        ],
        box,
    )


def put(base: Tensor, pictures: Tensor, box: Tensor, mask: Tensor | None = None) -> Tensor:
    """Lay pictures into boxes of others, antialiased where a box is small.

    Args:
        base: (N, 3, S, S), what is seen around them.
        pictures: (N, 3, S, S), squeezed into the boxes.
        box: (N, 4) left, top, right, bottom in [-1, 1].
        mask: (N, 1, S, S) in [0, 1], how opaque the picture is; opaque if None.
    """
    matrix, side = windows(box), base.shape[-1]
    coarse = warp(functional.avg_pool2d(pictures, 2), matrix, side=side)
    least = ((box[:, 2:] - box[:, :2]) / 2).amin(dim=1).view(-1, 1, 1, 1)
    shown = torch.where(least < COARSE_BELOW, coarse, warp(pictures, matrix))
    cover = within(matrix, side).to(base.dtype)
    if mask is not None:
        cover = cover * warp(mask, matrix)
    return torch.lerp(base, shown, cover)


def content_boxes(pictures: Tensor) -> Tensor:
    """`models.video.frames.content_box` of every picture: (N, 4) in [-1, 1], as `crops` takes them.

    Args:
        pictures: (N, 3, S, S) float32.
    """
    side = pictures.shape[-1]
    everything = torch.ones(pictures.shape[0], side, dtype=torch.bool, device=pictures.device)
    top, bottom = _cuts(pictures, everything)
    whole = side - top - bottom < MIN_KEPT * side
    at = torch.arange(side, device=pictures.device)
    kept = (at >= top[:, None]) & (at < side - bottom[:, None])
    left, right = _cuts(pictures.transpose(2, 3), kept)
    whole |= side - left - right < MIN_KEPT * side
    cut = torch.stack([left, top, right, bottom], dim=1).masked_fill(whole[:, None], 0)
    inside: Tensor = torch.cat([cut[:, :2], side - cut[:, 2:]], dim=1) * (2 / side) - 1
    return inside


def _cuts(pictures: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """How many lines are border at the start and at the end: (N,) int64 twice.

    Args:
        pictures: (N, 3, S, S); lines go along the last axis.
        seen: (N, S) bool, the part of each line that counts.
    """
    weight = seen[:, None, None, :].to(pictures.dtype)
    count = weight.sum(dim=-1)
    levels = 255 * pictures
    means = (levels * weight).sum(dim=-1) / count  # (N, 3, S)
    variance = ((levels - means[..., None]) ** 2 * weight).sum(dim=-1) / count
    deviation = variance.amax(dim=1).sqrt()  # (N, S)
    first, last = _run(means, deviation), _run(means.flip(-1), deviation.flip(-1))
    both = (first > 0) & (last > 0)
    both_ends = torch.stack([first, last]).masked_fill(both & (first == deviation.shape[1]), 0)
    alone = torch.stack(
        [
            first.masked_fill(~_extreme(means[..., 0]), 0),
            last.masked_fill(~_extreme(means[..., -1]), 0),
        ]
    )
    start, end = torch.where(both, both_ends, alone).unbind()
    return start, end


def _run(means: Tensor, deviation: Tensor) -> Tensor:
    """Length of the flat, one-coloured run at the start: (N,) int64."""
    near = (means - means[..., :1]).abs().amax(dim=1) < SAME_COLOUR
    same = (deviation < FLAT_DEVIATION) & near
    return same.to(torch.int64).cumprod(dim=1).sum(dim=1)


def _extreme(mean: Tensor) -> Tensor:
    """(N, 3) levels to (N,) bool: nearly black or nearly white."""
    return (mean.amax(dim=1) < EXTREME_MARGIN) | (mean.amin(dim=1) > 255 - EXTREME_MARGIN)


def _sources(matrix: Tensor, side: int) -> Tensor:
    """(N, side, side, 2) places in the picture of every place of the result."""
    seen = places(side, matrix.device).view(1, -1, 3) @ matrix.transpose(1, 2)  # (N, side², 3)
    depth = seen[..., 2:].clamp(min=1e-3)  # behind the viewer a place would come back mirrored
    return (seen[..., :2] / depth).view(-1, side, side, 2)
