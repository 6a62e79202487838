"""The pattern detector's network: a small anchor-free detector with a decoupled head.

After FCOS (Tian et al., ICCV 2019: a place predicts its distances to the four edges) and YOLOX
(Ge et al., 2021: separate towers for what and where). Fully convolutional: any picture whose
sides are multiples of `ALIGN` cells.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.detector.boxes import STRIDE, Run
from models.detector.grid import CHANNELS

# Natural logarithms of distances in cells: from a fiftieth of a cell to 200, more than a tile.
DISTANCE_LOGS = (-4.0, 5.3)


@dataclass(frozen=True)
class DetectorConfig:
    """Shape of the network.

    Attributes:
        widths: channels at strides 1, 2, 4, 8, 16.
        merged: channels of the merged map and of the head.
    """

    widths: tuple[int, int, int, int, int] = (16, 32, 48, 64, 64)
    merged: int = 32


def _layer(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Two layers and a way around them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(_layer(channels, channels), _layer(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        out: Tensor = x + self.layers(x)
        return out


class PatternNetwork(nn.Module):
    """Pictures of similarity matrices in, boxes at every second cell out."""

    def __init__(self, config: DetectorConfig | None = None) -> None:
        super().__init__()
        self.config = config or DetectorConfig()
        widths, merged = self.config.widths, self.config.merged
        self.stem = _layer(CHANNELS, widths[0])
        self.downs = nn.ModuleList(
            nn.Sequential(_layer(inputs, outputs, stride=2), Residual(outputs))
            for inputs, outputs in zip(widths, widths[1:], strict=False)
        )
        self.laterals = nn.ModuleList(nn.Conv2d(width, merged, 1) for width in widths[1:])
        self.mixes = nn.ModuleList(_layer(merged, merged) for _ in widths[1:])
        self.what = nn.Sequential(_layer(merged, merged), nn.Conv2d(merged, 2, 1))
        self.where = nn.Sequential(_layer(merged, merged), nn.Conv2d(merged, 4, 1))
        last = self.what[-1]
        if isinstance(last, nn.Conv2d) and last.bias is not None:
            nn.init.constant_(last.bias, -3.0)  # most places are no copy

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Score and direction, and the edges' distances, at every second cell.

        Args:
            picture: (N, 8, H, W) float32, H and W multiples of `ALIGN`.

        Returns:
            (N, 2, H/2, W/2) logits of "a copy" and "reversed"; (N, 4, H/2, W/2) distances in
            cells to query start, reference start, query end, reference end, above 0.
        """
        maps = []
        x = self.stem(picture)  # (N, 16, H, W)
        for down in self.downs:
            x = down(x)
            maps.append(x)
        merged: Tensor | None = None
        for lateral, mix, level in zip(
            reversed(self.laterals), reversed(self.mixes), reversed(maps), strict=True
        ):
            own = lateral(level)
            if merged is not None:
                own = own + functional.interpolate(merged, scale_factor=2.0, mode="nearest")
            merged = mix(own)
        assert merged is not None
        # Bounded: one wild logit early in training would make an infinite distance, and no loss.
        distances = torch.exp(self.where(merged).clamp(*DISTANCE_LOGS))
        return self.what(merged), distances


def place_centres(height: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    """Centres of the head's places, (H, W, 2) float32 (query, reference) in cells."""
    rows = (torch.arange(height, device=device) + 0.5) * STRIDE
    columns = (torch.arange(width, device=device) + 0.5) * STRIDE
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1)


class Scores(nn.Module):
    """The network with its logits as scores in [0, 1]: what is exported."""

    def __init__(self, network: PatternNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """As `PatternNetwork`."""
        what, distances = self.network(picture)
        return what.sigmoid(), distances


def torch_run(network: PatternNetwork) -> Run:
    """The network as `models.detector.boxes` takes it, in torch."""
    scores = Scores(network).eval()

    def run(pictures: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        with torch.inference_mode():
            what, distances = scores(torch.from_numpy(pictures))
        return what.numpy(), distances.numpy()

    return run
