"""InfoNCE over a batch of pairs and a bank of everything else, for the frame encoder."""

import torch
from torch import Tensor
from torch.nn import functional


def bank_nce(
    rows: Tensor,
    bank: Tensor,
    temperature: float,
    *,
    alike_rows: Tensor,
    alike_bank: Tensor,
) -> Tensor:
    """Every row finds its partner among the batch and the last descriptor of every picture.

    NT-Xent as in `models/losses/info_nce.py`, with the memory bank of Wu et al., "Unsupervised
    feature learning via non-parametric instance discrimination", CVPR 2018, as further negatives:
    the nearest pictures of the whole set are there in every step.

    Args:
        rows: (2N, D) unit rows; row i and row i + N are looks at one moment.
        bank: (P, D) unit rows without gradient; rows of zeros are unknown and harm little.
        temperature: divides the similarities.
        alike_rows: (2N, 2N) bool, pairs of rows that are no negatives.
        alike_bank: (2N, P) bool, the same against the bank.

    Returns:
        The mean loss, a scalar.

    Raises:
        ValueError: the shapes differ.
    """
    count = len(rows)
    if count % 2 or alike_rows.shape != (count, count) or alike_bank.shape != (count, len(bank)):
        raise ValueError(
            f"{rows.shape = }, {bank.shape = }, {alike_rows.shape = }, {alike_bank.shape = }"
        )
    own = torch.arange(count, device=rows.device)
    partner = own.roll(count // 2)
    hidden = torch.cat([alike_rows, alike_bank], dim=1)  # (2N, 2N + P)
    hidden[own, partner] = False
    hidden[own, own] = True
    logits = torch.cat([rows @ rows.T, rows @ bank.T], dim=1) / temperature
    return functional.cross_entropy(logits.masked_fill(hidden, float("-inf")), partner)
