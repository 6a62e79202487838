"""What the training of every network repeats: the step down a gradient, and the checkpoint.

Serves `models.training.run`, whose loop takes the steps.
"""

from dataclasses import Field, asdict
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.optim import Optimizer

from models.training.checkpoint import load_weights, read_checkpoint, write_checkpoint

# Longest gradient, by its norm over all weights that learn: longer ones are shortened to it, so
# that one odd batch throws no run. Set by hand.
MAX_GRADIENT = 5.0


class Recipe(Protocol):
    """A dataclass of all that a run depends on, besides the data."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def seed(self) -> int:
        """Of everything that is drawn."""


class Trainer:
    """One run: a network, its optimiser and the step that it has reached.

    A subclass makes both, after this has seeded torch.
    """

    network: nn.Module
    optimiser: Optimizer

    def __init__(self, recipe: Recipe, folder: Path, device: str = "cpu") -> None:
        """Seed torch and make the folder.

        Args:
            recipe: of the run.
            folder: where its checkpoints and its curve go.
            device: a torch device.
        """
        torch.manual_seed(recipe.seed)
        self.recipe, self.folder, self.device = recipe, folder, device
        folder.mkdir(parents=True, exist_ok=True)
        self.step = 0
        self.curve: list[dict[str, float]] = []

    def parts(self) -> dict[str, nn.Module]:
        """Whose weights are in a checkpoint, by their keys there."""
        return {"network": self.network}

    def learning(self) -> list[nn.Parameter]:
        """The weights whose gradients `descend` bounds together."""
        return list(self.network.parameters())

    def measured(self, figures: dict[str, float], console: Console) -> None:
        """Take a validation's figures into the curve, and show them."""
        self.curve.append({"step": self.step, **figures})
        console.print(f"step {self.step} validation {shown(figures)}")

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {
            **{name: part.state_dict() for name, part in self.parts().items()},
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "recipe": asdict(self.recipe),
            "curve": self.curve,
        }

    def take_over(self, state: dict[str, Any]) -> None:
        """Be as a checkpoint has it.

        Raises:
            ModelFileError: it is of another network.
        """
        for name, part in self.parts().items():
            load_weights(part, state[name], self.folder)
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.curve = state["step"], state["curve"]

    def save(self) -> None:
        """Write a checkpoint aside and rename it; the curve, as JSON and as a picture."""
        write_checkpoint(self.folder, self.state())

    def resume(self) -> None:
        """Go on from the folder's checkpoint.

        Raises:
            MissingDataError: there is none.
            ModelFileError: it is of another network or of another kind of run, or damaged.
        """
        self.take_over(read_checkpoint(self.folder, self.device, keys=self.state()))


def descend(loss: Tensor, *trainers: Trainer) -> None:
    """Take one step down a loss, each trainer with its own optimiser and its own bound."""
    for trainer in trainers:
        trainer.optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    for trainer in trainers:
        nn.utils.clip_grad_norm_(trainer.learning(), MAX_GRADIENT)
        trainer.optimiser.step()
        trainer.step += 1


def warming_up(keep: float, step: int) -> float:
    """How much of a running mean of weights a step keeps: less at first, when it is of few."""
    return min(keep, (step + 1) / (step + 10))


def follow(mean: nn.Module, network: nn.Module, keep: float) -> None:
    """Move a running mean of weights towards them, keeping so much of it; counts are copied."""
    with torch.no_grad():
        ours, theirs = mean.state_dict(), network.state_dict()
        for name, value in ours.items():
            if value.dtype.is_floating_point:
                value.lerp_(theirs[name], 1 - keep)
            else:
                value.copy_(theirs[name])


def shown(figures: dict[str, float]) -> str:
    """Figures with their names, for people to read."""
    return " ".join(f"{name} {value:.4g}" for name, value in figures.items())
