"""The Kozachenko–Leonenko regulariser against a bank: descriptors spread over the whole sphere."""

import torch
from torch import Tensor


def bank_entropy(rows: Tensor, bank: Tensor, alike_bank: Tensor) -> Tensor:
    """Minus the mean log distance to the nearest bank row that shows something else.

    As `models/losses/differential_entropy.py` (Sablayrolles et al., ICLR 2019, eq. 4), with the
    neighbour from all pictures instead of the batch.

    Args:
        rows: (N, D) unit rows.
        bank: (P, D) unit rows without gradient.
        alike_bank: (N, P) bool, what is no neighbour.

    Returns:
        A scalar; smaller is more spread.
    """
    with torch.no_grad():
        nearest = (rows @ bank.T).masked_fill(alike_bank, -2.0).argmax(dim=1)  # (N,)
    return -torch.log((rows - bank[nearest]).norm(dim=1) + 1e-8).mean()
