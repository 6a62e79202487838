"""InfoNCE over a batch of pairs, where any two rows may be exempt, for the frame encoder."""

import torch
from torch import Tensor
from torch.nn import functional


def masked_nce(rows: Tensor, temperature: float, alike: Tensor) -> Tensor:
    """Every row finds its partner among all other rows that it must be told apart from.

    NT-Xent as in `models/losses/info_nce.py` (Chen et al., ICML 2020, eq. 1), which knows groups
    alone: a picture in a picture is alike to two that differ from each other.

    Args:
        rows: (2N, D) unit rows; row i and row i + N are looks at one moment.
        temperature: divides the similarities.
        alike: (2N, 2N) bool, pairs of rows that are no negatives.

    Returns:
        The mean loss, a scalar.

    Raises:
        ValueError: the shapes differ.
    """
    count = len(rows)
    if count % 2 or alike.shape != (count, count):
        raise ValueError(f"{rows.shape = }, {alike.shape = }")
    own = torch.arange(count, device=rows.device)
    partner = own.roll(count // 2)
    hidden = alike.clone()
    hidden[own, partner] = False
    hidden[own, own] = True
    logits = (rows @ rows.T / temperature).masked_fill(hidden, float("-inf"))  # (2N, 2N)
    return functional.cross_entropy(logits, partner)
