"""Overlap of predicted and true intervals from one inner point; a box is two of them."""

import torch
from torch import Tensor


def interval_overlap(predicted: Tensor, truth: Tensor) -> Tensor:
    """Intersection over union of intervals that share an inner point.

    As UnitBox (Yu et al., ACM MM 2016, eq. 1) for one axis: the distances from the point to both
    ends are given, so the intersection is the sum of the shorter ones.

    Args:
        predicted: (..., 2) distances to the start and to the end, above 0.
        truth: the same shape.

    Returns:
        (...) in (0, 1].
    """
    inside = torch.minimum(predicted, truth).sum(dim=-1)
    around = torch.maximum(predicted, truth).sum(dim=-1)
    return inside / around.clamp(min=1e-6)
