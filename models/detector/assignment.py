"""Which places of the head answer for which copied span; serves training.

Our own rule: a span is a line on the matrix, so the places along its line answer for it, each
with the distances to the edges of the box.
"""

import torch
from torch import Tensor

# How far beside its line a place still answers for a span; set by hand.
BESIDE_CELLS = 1.3  # two or three of the places in each row, as places are two cells apart
BESIDE_SHARE = 0.06  # of the shorter side, on top: long spans are rarely quite straight


def assign(
    centres: Tensor, boxes: Tensor, backwards: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Give every place at most one span.

    A place answers for a span if it lies inside the box and near its diagonal, forward or
    backward; of several spans, for the one whose line is nearest.

    Args:
        centres: (H, W, 2) float32, (query, reference) in cells.
        boxes: (M, 4) float32, query start, reference start, query end, reference end, in cells.
        backwards: (M,) bool.

    Returns:
        (H, W) bool whether a place answers; (H, W) int64 for which span, 0 where for none;
        (H, W, 4) float32 distances to its edges in cells, above 0; (H, W) float32 weights that
        give each span the same share, whatever its length.
    """
    height, width = centres.shape[:2]
    if len(boxes) == 0:
        nothing = torch.zeros(height, width, device=centres.device)
        distances = torch.ones(height, width, 4, device=centres.device)
        return nothing.bool(), nothing.long(), distances, nothing
    lengths = boxes[:, 2:] - boxes[:, :2]  # (M, 2)
    along = (centres[:, :, None, :] - boxes[:, :2]) / lengths.clamp(min=1e-3)  # (H, W, M, 2)
    query, reference = along[..., 0], along[..., 1]
    reference = torch.where(backwards, 1 - reference, reference)
    beside = (query - reference).abs() * lengths.min(dim=1).values / 2  # (H, W, M) cells
    inside = ((along > 0) & (along < 1)).all(dim=-1)
    near = inside & (beside <= BESIDE_CELLS + BESIDE_SHARE * lengths.min(dim=1).values)
    # Inside before outside, then near the line, then near the middle: weights in that order.
    middle = beside + 1e3 * (~inside) + 1e-3 * (query - 0.5).abs()
    nearest = middle.flatten(0, 1).argmin(dim=0)  # (M,) a short span has one place at least
    near.flatten(0, 1)[nearest, torch.arange(len(boxes), device=boxes.device)] = True
    cost = torch.where(near, beside, torch.inf)
    best, chosen = cost.min(dim=-1)  # (H, W)
    answers = torch.isfinite(best)
    own = boxes[chosen]  # (H, W, 4)
    distances = torch.cat([centres - own[..., :2], own[..., 2:] - centres], dim=-1)
    counts = torch.bincount(chosen[answers], minlength=len(boxes)).clamp(min=1)
    weights = torch.where(answers, 1.0 / counts[chosen], torch.zeros_like(best))
    # A span's one place may lie outside of it, where distances are negative: the loss takes
    # their logarithms.
    return answers, chosen, distances.clamp(min=0.05), weights
