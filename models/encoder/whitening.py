"""PCA whitening of the descriptors, folded into the head; the export uses it."""

import numpy as np
import torch
from numpy.typing import NDArray

from models.encoder.network import FrameNetwork

SMALLEST_VARIANCE = 1e-6  # of the largest: directions with less are noise


def fold_whitening(network: FrameNetwork, frames: NDArray[np.uint8], strength: float = 0.5) -> None:
    """Fold PCA whitening of the descriptors into the head.

    Jégou and Chum, "Negative evidences and co-occurrences in image retrieval", ECCV 2012: centre,
    rotate, divide by a power of the standard deviation.

    Args:
        network: changed in place.
        frames: (N, S, S, 3) uint8, what the statistics are taken of; N well above D.
        strength: 0 only centres, 1 whitens fully.
    """
    network.eval()
    with torch.inference_mode():
        parts = [
            network.head(
                network.upper(network.lower(torch.from_numpy(frames[at : at + 128]), 0), 0)
            )
            for at in range(0, len(frames), 128)
        ]
    rows = torch.cat(parts).to(torch.float64)  # (N, D)
    scale = rows.norm(dim=1).mean()
    rows = rows / scale
    values, vectors = torch.linalg.eigh(torch.cov(rows.T))
    values = values.clamp(min=SMALLEST_VARIANCE * float(values[-1]))
    turn = (vectors / values.pow(strength / 2)).T  # (D, D)
    head = network.head
    with torch.no_grad():
        head.bias.copy_(turn @ (head.bias.double() / scale - rows.mean(dim=0)))
        head.weight.copy_(turn @ (head.weight.double() / scale))
