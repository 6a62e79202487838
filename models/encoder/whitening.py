"""PCA whitening of the descriptors, folded into the head; the export uses it."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

SMALLEST_VARIANCE = 1e-6  # of the largest: directions with less are noise


def fold_whitening(head: nn.Linear, features: NDArray[np.float32], strength: float = 0.5) -> None:
    """Fold PCA whitening of the descriptors into the head.

    Jégou and Chum, "Negative evidences and co-occurrences in image retrieval", ECCV 2012: centre,
    rotate, divide by a power of the standard deviation.

    Args:
        head: makes descriptors of features; changed in place.
        features: (N, F) float32, what the statistics are taken of; N well above D.
        strength: 0 only centres, 1 whitens fully.
    """
    with torch.inference_mode():
        rows = head(torch.from_numpy(features)).to(torch.float64)  # (N, D)
    scale = rows.norm(dim=1).mean()
    rows = rows / scale
    values, vectors = torch.linalg.eigh(torch.cov(rows.T))
    values = values.clamp(min=SMALLEST_VARIANCE * float(values[-1]))
    turn = (vectors / values.pow(strength / 2)).T  # (D, D)
    with torch.no_grad():
        head.bias.copy_(turn @ (head.bias.double() / scale - rows.mean(dim=0)))
        head.weight.copy_(turn @ (head.weight.double() / scale))
