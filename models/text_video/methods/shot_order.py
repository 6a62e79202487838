"""Order: a clip of several shots is nearer to its sentence than to the sentence the other way."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from models.text_video.methods.step import Step
from models.text_video.tokenizer import PAD
from models.training.bounds import Weight


@dataclass(frozen=True)
class ShotOrder:
    """Sentences whose events are in the opposite order, as negatives of their clip; ours.

    Attributes:
        weight: beside the contrast.
    """

    weight: Weight = 0.5


def shot_order(step: Step) -> Tensor:
    """How unlikely each clip of several shots finds its sentence beside the same one backwards.

    The contrast of a batch never asks for order: its other sentences speak of other shots. Here
    the negative differs in nothing else, as the swapped captions of Yuksekgonul et al., "When and
    Why Vision-Language Models Behave like Bags-of-Words", ICLR 2023, section 4.

    Args:
        step: `visual`, `temperature`, `orders` and `encode_text` are used. Both sentences are read
            anew, as no word of them is masked: a mask would tell them apart.

    Returns:
        The mean of softplus((s_backwards - s_own) / temperature), a scalar; 0 without such clips.
    """
    if step.orders is None or not bool((told := (step.orders != PAD).any(dim=2)[:, 0]).any()):
        return 0.0 * step.text.vectors.sum()  # 0 that has a gradient
    ids = step.orders[told]  # (M, 2, L')
    longest = int((ids != PAD).sum(dim=2).max())
    read = step.encode_text(ids[..., :longest].flatten(0, 1)).vectors  # (2 M, D)
    ahead = (step.visual.vectors[told] * (read[0::2] - read[1::2])).sum(dim=1)
    return functional.softplus(-ahead / step.temperature).mean()
