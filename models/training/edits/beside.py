"""What batched edits take besides the pictures: unrelated ones, drawn overlays, chance."""

from dataclasses import dataclass

from torch import Tensor

from models.training.edits.chance import Chance


@dataclass(frozen=True)
class Beside:
    """Of N pictures that are edited together.

    Attributes:
        others: (N, 3, S, S) float32 in [0, 1], an unrelated picture for each.
        overlays: by kind, (K, 4, S, S) uint8: colour and opacity of drawn things.
        chance: the only source of chance.
    """

    others: Tensor
    overlays: dict[str, Tensor]
    chance: Chance

    def of(self, rows: Tensor) -> "Beside":
        """The same for some of the pictures."""
        return Beside(self.others[rows], self.overlays, self.chance)
