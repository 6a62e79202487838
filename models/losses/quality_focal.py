"""The quality focal loss: a score learns how good its box is, not just whether there is one."""

from torch import Tensor
from torch.nn import functional


def quality_focal(logits: Tensor, quality: Tensor, power: float = 2.0) -> Tensor:
    """Cross-entropy against a soft target, weighted by how far off the score is.

    Li et al., "Generalized Focal Loss", NeurIPS 2020, eq. 2, with beta = `power`.

    Args:
        logits: any shape.
        quality: the same shape, in [0, 1]; 0 where there is nothing.
        power: of the distance of the score from the target.

    Returns:
        The sum, a scalar.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    return ((logits.sigmoid() - quality).abs().pow(power) * entropy).sum()
