"""The Kozachenko–Leonenko regulariser, where any two rows may be exempt."""

import torch
from torch import Tensor


def masked_entropy(rows: Tensor, alike: Tensor) -> Tensor:
    """Minus the mean log distance to the nearest row that shows something else.

    As `models/losses/differential_entropy.py` (Sablayrolles et al., ICLR 2019, eq. 4), which knows
    groups alone.

    Args:
        rows: (N, D) unit rows.
        alike: (N, N) bool, what is no neighbour; each row is alike to itself.

    Returns:
        A scalar; smaller is more spread.
    """
    with torch.no_grad():
        nearest = (rows @ rows.T).masked_fill(alike, -2.0).argmax(dim=1)  # (N,)
    # 1e-8: two equal rows would make the loss infinite.
    return -torch.log((rows - rows[nearest]).norm(dim=1) + 1e-8).mean()
