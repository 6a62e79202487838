"""Chance on a device: what batched edits draw from, without waiting for the GPU."""

from collections.abc import Sequence
from random import Random

import torch
from torch import Tensor


class Chance:
    """Random numbers of one device; the same seed gives the same numbers there."""

    def __init__(self, device: str | torch.device, seed: int) -> None:
        self.device = torch.device(device)
        self._generator = torch.Generator(self.device)
        self._here = Random(seed)
        self.restart(seed)

    def restart(self, seed: int) -> None:
        """Begin again from a seed."""
        self._generator.manual_seed(seed)
        self._here.seed(seed)

    def uniform(self, count: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """(count,) float32 in [low, high)."""
        drawn = torch.rand(count, generator=self._generator, device=self.device)
        return low + (high - low) * drawn

    def field(self, count: int, low: float = 0.0, high: float = 1.0, channels: int = 1) -> Tensor:
        """(count, channels, 1, 1) float32 in [low, high): a value for each picture or channel."""
        return self.uniform(count * channels, low, high).view(count, channels, 1, 1)

    def one_in(self, count: int, share: float) -> Tensor:
        """(count, 1, 1, 1) bool, true for so large a share of the pictures."""
        return self.uniform(count).view(count, 1, 1, 1) < share

    def below(self, count: int, end: int) -> Tensor:
        """(count,) int64 in [0, end)."""
        return torch.randint(end, (count,), generator=self._generator, device=self.device)

    def noise(self, *shape: int) -> Tensor:
        """Normal noise of a shape, float32."""
        return torch.randn(*shape, generator=self._generator, device=self.device)

    def pick(self, values: Sequence[int]) -> int:
        """One of the values, for all pictures; drawn here, so that nothing waits for a GPU."""
        return self._here.choice(values)
