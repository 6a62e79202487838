"""InfoNCE over a batch of pairs, for the frame encoder."""

import torch
from torch import Tensor
from torch.nn import functional


def info_nce(first: Tensor, second: Tensor, temperature: float, groups: Tensor) -> Tensor:
    """Every row finds its partner among all other rows of both views.

    The NT-Xent form that SSCD uses (Pizzi et al., CVPR 2022, eq. 1; Chen et al., ICML 2020,
    eq. 1). Rows of the same group (frames of one moment) are no negatives of each other.

    Args:
        first: (N, D) unit rows, one view.
        second: (N, D) unit rows, the other view of the same pictures.
        temperature: divides the similarities; SSCD uses 0.05.
        groups: (N,) integers; equal ones show the same thing.

    Returns:
        The mean loss, a scalar.

    Raises:
        ValueError: the shapes differ.
    """
    if first.shape != second.shape or len(groups) != len(first):
        raise ValueError(f"{first.shape = }, {second.shape = }, {groups.shape = }")
    count = len(first)
    rows = torch.cat([first, second])  # (2N, D)
    logits = rows @ rows.T / temperature  # (2N, 2N)
    partner = torch.arange(2 * count, device=rows.device).roll(count)  # (2N,)
    same = groups.repeat(2)[:, None] == groups.repeat(2)[None, :]  # (2N, 2N)
    same[torch.arange(2 * count, device=rows.device), partner] = False
    return functional.cross_entropy(logits.masked_fill(same, float("-inf")), partner)
