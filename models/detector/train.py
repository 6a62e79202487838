"""Trains the pattern detector on pasted pairs: `samesource train spd`.

Seeded and resumable: batch `i` is a function of the seed and `i`, and a checkpoint holds weights,
their running mean, optimiser and step.
"""

from copy import deepcopy
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console
from torch import nn
from torch.utils.data import DataLoader, Subset

from models.detector.batches import Batch, PairBatches
from models.detector.loss import detection_loss
from models.detector.network import PatternNetwork
from models.detector.pasted_pairs import PastedPair
from models.detector.recipe import DetectorRecipe
from models.detector.validate import held_out_figures, split_pool, validation_pairs
from models.encoder.serve import FrameEncoder
from models.training.checkpoint import load_weights, rate_factor, read_checkpoint, write_checkpoint
from models.training.descriptor_pool import Footage, build_pictures, load_pool
from models.training.run import run_steps

KEPT = {"network", "mean", "optimiser", "step", "recipe", "curve"}


class DetectorTrainer:
    """One run: a network, the running mean of its weights, its optimiser and its step."""

    def __init__(self, recipe: DetectorRecipe, folder: Path, device: str = "cpu") -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.folder, self.device = recipe, folder, device
        folder.mkdir(parents=True, exist_ok=True)
        self.network = PatternNetwork(recipe.network).to(device)
        self.mean = deepcopy(self.network).eval()
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay
        )
        self.step = 0
        self.curve: list[dict[str, float]] = []

    def run(self, pool: list[Footage], minutes: float | None) -> None:
        """Train to the recipe's last step, or for so many minutes."""
        recipe, console = self.recipe, Console()
        learned, held = split_pool(pool)
        batches = Subset(PairBatches(learned, recipe), range(self.step, recipe.steps))
        loader = DataLoader(batches, batch_size=None, num_workers=1, prefetch_factor=4)
        check = validation_pairs(held, recipe) if len(held) >= 4 else []

        def show(figures: dict[str, float]) -> None:
            if self.step % 50 == 0:
                console.print(f"step {self.step} loss {figures['loss']:.3f}")

        run_steps(
            self,
            loader,
            lambda batch: {"loss": self.update(batch)},
            show=show,
            validate=(lambda: self._validate(check, console)) if check else None,
            validate_every=recipe.validate_every,
            minutes=minutes,
        )

    def update(self, batch: Batch) -> float:
        """Take one step; gives the loss."""
        self.network.train()
        self._set_rate()
        batch = Batch(
            batch.pictures.to(self.device),
            [boxes.to(self.device) for boxes in batch.boxes],
            [backwards.to(self.device) for backwards in batch.backwards],
        )
        loss = detection_loss(self.network, batch, self.recipe)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self.step += 1
        self.average(min(self.recipe.averaging, (self.step + 1) / (self.step + 10)))
        return float(loss.detach())

    def average(self, keep: float) -> None:
        """Move the running mean of the weights towards them, keeping so much of it."""
        with torch.no_grad():
            ours, theirs = self.mean.state_dict(), self.network.state_dict()
            for name, value in ours.items():
                if value.dtype.is_floating_point:
                    value.lerp_(theirs[name], 1 - keep)
                else:
                    value.copy_(theirs[name])

    def _set_rate(self) -> None:
        recipe = self.recipe
        factor = rate_factor(self.step, recipe.steps, recipe.warm_up)
        for group in self.optimiser.param_groups:
            group["lr"] = recipe.rate * max(factor, 0.01)

    def _validate(self, check: list[PastedPair], console: Console) -> None:
        figures = held_out_figures(self.mean, check)
        self.curve.append({"step": self.step, **figures})
        shown = " ".join(f"{name} {value:.4f}" for name, value in figures.items())
        console.print(f"step {self.step} validation {shown}")

    def save(self) -> None:
        """Write a checkpoint aside and rename it; the curve, as JSON and as a picture."""
        state = {
            "network": self.network.state_dict(),
            "mean": self.mean.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "recipe": asdict(self.recipe),
            "curve": self.curve,
        }
        write_checkpoint(self.folder, state)

    def start_from(self, folder: Path) -> None:
        """Begin with the mean weights of another run.

        Raises:
            MissingDataError: it has no checkpoint.
            ModelFileError: it is of another network, or damaged.
        """
        state = read_checkpoint(folder, self.device, keys=KEPT)
        load_weights(self.network, state["mean"], folder)
        load_weights(self.mean, state["mean"], folder)

    def resume(self) -> None:
        """Go on from the folder's checkpoint.

        Raises:
            MissingDataError: there is none.
            ModelFileError: it is of another network, or damaged.
        """
        state = read_checkpoint(self.folder, self.device, keys=KEPT)
        load_weights(self.network, state["network"], self.folder)
        load_weights(self.mean, state["mean"], self.folder)
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.curve = state["step"], state["curve"]


def train_detector(
    recipe: DetectorRecipe,
    data: Path,
    out: Path,
    *,
    encoder: FrameEncoder,
    pictures: Path | None = None,
    start: Path | None = None,
    minutes: float | None = None,
    resume: bool = False,
    device: str = "cpu",
) -> DetectorTrainer:
    """Train on a data folder.

    Args:
        recipe: what to train and how.
        data: holds `clips/*.mp4` and, if any, `photos/*.tar`.
        out: checkpoints and the curve go here.
        encoder: makes the descriptors.
        pictures: decoded footage, made where it is missing; `out/pictures` if None.
        start: a folder with the checkpoint of an earlier run, whose weights this one begins with.
        minutes: stop after so long; the recipe's last step if None.
        resume: go on from the checkpoint in `out`.
        device: a torch device.

    Returns:
        The trainer in its last state, saved.

    Raises:
        MissingDataError: no clips, or nothing to start or resume from.
        ModelFileError: the run to start or resume from has another network.
    """
    trainer = DetectorTrainer(recipe, out, device)
    if start is not None:
        trainer.start_from(start)
    if resume:
        trainer.resume()
    pictures = pictures or out / "pictures"
    build_pictures(data, pictures, size=encoder.input_size)
    trainer.run(load_pool(pictures, encoder), minutes)
    return trainer
