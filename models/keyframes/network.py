"""The key-frame network in torch: thumbnails in order of time to how good a key frame each is.

Serves training and export; serving runs the exported file (`models/keyframes/serve.py`).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = 5  # red, green, blue, change since the frame before, change to the next
GREY = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class KeyFrameConfig:
    """Shape of the network.

    Attributes:
        widths: channels at strides 2, 4, 8.
        look: dimensions of the look, what frames are compared by where no descriptors are.
        reach: frames to each side that a frame's quality depends on, besides the change.
    """

    widths: tuple[int, int, int] = (16, 32, 64)
    look: int = 32
    reach: int = 2


class KeyFrameNetwork(nn.Module):
    """A small convolutional network on each frame, and one over time."""

    def __init__(self, config: KeyFrameConfig | None = None) -> None:
        super().__init__()
        self.config = config or KeyFrameConfig()
        layers: list[nn.Module] = []
        inputs = CHANNELS
        for width in self.config.widths:
            layers += [
                nn.Conv2d(inputs, width, 3, 2, 1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
            inputs = width
        self.picture = nn.Sequential(*layers)
        self.look = nn.Linear(16 * inputs, self.config.look)  # of the 4x4 map: where counts
        self.pooled = nn.Linear(2 * inputs, 32)
        self.over_time = nn.Conv1d(32, 32, 2 * self.config.reach + 1, padding=0)
        self.quality = nn.Conv1d(32, 1, 1)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Quality and look of every frame.

        Args:
            frames: (B, T, 32, 32, 3) uint8 RGB, each row one video's frames in order of time.

        Returns:
            quality (B, T) in (0, 1), what share of the similarity of its surroundings an edit
            leaves; looks (B, T, L), unit rows.
        """
        batch, length = frames.shape[:2]
        rgb = frames.permute(0, 1, 4, 2, 3).float() / 255 - 0.5  # (B, T, 3, 32, 32)
        grey = (rgb * rgb.new_tensor(GREY)[:, None, None]).sum(dim=2, keepdim=True)
        change = (grey[:, 1:] - grey[:, :-1]).abs()  # (B, T - 1, 1, 32, 32)
        still = torch.zeros_like(grey[:, :1])
        since, to_next = torch.cat((still, change), 1), torch.cat((change, still), 1)
        seen = torch.cat((rgb, since, to_next), dim=2).flatten(0, 1)  # (B T, 5, 32, 32)
        maps = self.picture(seen)  # (B T, C, 4, 4)
        looks = functional.normalize(self.look(maps.flatten(1)), dim=1)
        pooled = torch.cat((maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))), dim=1)
        row = functional.relu(self.pooled(pooled)).reshape(batch, length, -1).transpose(1, 2)
        reach = self.config.reach
        # The ends repeat their own frame: zeros would be something that no frame is.
        padded = torch.cat(
            (row[:, :, :1].expand(-1, -1, reach), row, row[:, :, -1:].expand(-1, -1, reach)), dim=2
        )
        quality = self.quality(functional.relu(self.over_time(padded))).squeeze(1)  # (B, T)
        return torch.sigmoid(quality), looks.reshape(batch, length, -1)
