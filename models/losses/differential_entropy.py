"""The Kozachenko–Leonenko regulariser: descriptors spread over the whole sphere."""

import torch
from torch import Tensor


def differential_entropy(first: Tensor, second: Tensor, groups: Tensor) -> Tensor:
    """Minus the mean log distance to the nearest row that shows something else.

    Sablayrolles et al., "Spreading vectors for similarity search", ICLR 2019, eq. 4; SSCD
    (Pizzi et al., CVPR 2022, eq. 3) adds it with a weight of 10 to 30, leaving out a row's own
    positives. It makes distances comparable across the space: one threshold fits everywhere.

    Args:
        first: (N, D) unit rows, one view.
        second: (N, D) unit rows, the other view.
        groups: (N,) integers; equal ones show the same thing.

    Returns:
        A scalar; smaller is more spread.
    """
    rows = torch.cat([first, second])  # (2N, D)
    labels = groups.repeat(2)
    with torch.no_grad():
        similarity = rows @ rows.T
        similarity[labels[:, None] == labels[None, :]] = -2.0  # below every cosine: never nearest
        nearest = similarity.argmax(dim=1)  # (2N,)
    distance = (rows - rows[nearest]).norm(dim=1)  # (2N,)
    return -torch.log(distance + 1e-8).mean()
