"""InfoNCE between captions and clips, what every method here builds on or is compared with."""

import torch
from torch import Tensor
from torch.nn import functional

from models.text_video.methods.step import Step


def logits_of(similarities: Tensor, step: Step) -> Tensor:
    """Similarities over the temperature; pairs of one thing are left out.

    Args:
        similarities: (B, B), row i is caption i, column j is clip j.
        step: its `temperature` and `same` are used.

    Returns:
        (B, B), -inf where two different pairs show the same thing.
    """
    others = step.same & ~torch.eye(len(step.same), dtype=torch.bool, device=step.same.device)
    return (similarities / step.temperature).masked_fill(others, float("-inf"))


def positive_losses(logits: Tensor) -> Tensor:
    """How unlikely each row finds its own partner on the diagonal.

    Args:
        logits: (B, B).

    Returns:
        (B,) cross-entropies, 0 or more.
    """
    own = torch.arange(len(logits), device=logits.device)
    return functional.cross_entropy(logits, own, reduction="none")


def info_nce(step: Step, similarities: Tensor) -> Tensor:
    """The mean of both directions: captions find clips, clips find captions.

    Radford et al., ICML 2021, figure 3 (CLIP); van den Oord et al., 2018, eq. 4.

    Args:
        step: its `temperature` and `same` are used.
        similarities: (B, B), row i is caption i, column j is clip j.

    Returns:
        The mean loss, a scalar.
    """
    logits = logits_of(similarities, step)
    return (positive_losses(logits).mean() + positive_losses(logits.T).mean()) / 2
