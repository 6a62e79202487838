"""Trains the pattern detector on pasted pairs: `samesource train detector`.

Seeded and resumable: batch `i` is a function of the seed and `i`, and a checkpoint holds weights,
their running mean, optimiser and step.
"""

from copy import deepcopy
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from models.detector.batches import Batch, PairBatches
from models.detector.loss import detection_loss
from models.detector.network import PatternNetwork
from models.detector.recipe import DetectorRecipe
from models.detector.validate import held_out_figures, split_pool, validation_pairs
from models.encoder.serve import FrameEncoder
from models.errors import MissingDataError
from models.training.checkpoint import load_weights, read_checkpoint
from models.training.descriptor_pool import Footage, load_pool
from models.training.pool_pictures import build_pictures
from models.training.rates import MIN_RATE, rate_factor, set_rates
from models.training.run import TimeLimit, run_steps
from models.training.trainer import Trainer, descend, follow, shown, warming_up


class DetectorTrainer(Trainer):
    """One run: a network, the running mean of its weights, its optimiser and its step."""

    recipe: DetectorRecipe
    network: PatternNetwork

    def __init__(self, recipe: DetectorRecipe, folder: Path, device: str = "cpu") -> None:
        super().__init__(recipe, folder, device)
        self.network = PatternNetwork(recipe.network).to(device)
        self.mean = deepcopy(self.network).eval()
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay
        )

    def parts(self) -> dict[str, nn.Module]:
        """Whose weights are in a checkpoint, by their keys there."""
        return {"network": self.network, "mean": self.mean}

    def run(self, pool: list[Footage], minutes: float | None) -> None:
        """Train to the recipe's last step, or for so many minutes.

        Raises:
            MissingDataError: there are too few clips to make pairs of.
        """
        recipe, console, limit = self.recipe, Console(), TimeLimit(minutes)
        learned, held = split_pool(pool)
        try:
            made = PairBatches(learned, recipe)
        except ValueError as error:
            raise MissingDataError(
                f"no pairs can be made of the clips beside those that are held out: {error}"
            ) from error
        batches = Subset(made, range(self.step, recipe.steps))
        loader = DataLoader(batches, batch_size=None, num_workers=1, prefetch_factor=4)
        check = validation_pairs(held, recipe) if len(held) >= 4 else []

        def show(figures: dict[str, float]) -> None:
            if self.step % 50 == 0:
                console.print(f"step {self.step} {shown(figures)}")

        def measure() -> None:
            self.measured(held_out_figures(self.mean, check), console)

        run_steps(
            self,
            loader,
            self.update,
            limit=limit,
            show=show,
            validate=measure if check else None,
            validate_every=recipe.validate_every,
        )

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Take one step; gives its loss."""
        recipe = self.recipe
        self.network.train()
        factor = rate_factor(self.step, recipe.steps, recipe.warm_up)
        set_rates(self.optimiser, max(factor, MIN_RATE), recipe.rate)
        batch = Batch(
            batch.pictures.to(self.device),
            [boxes.to(self.device) for boxes in batch.boxes],
            [backwards.to(self.device) for backwards in batch.backwards],
        )
        loss = detection_loss(self.network, batch, recipe)
        descend(loss, self)
        follow(self.mean, self.network, warming_up(recipe.averaging, self.step))
        return {"loss": loss.detach()}

    def start_from(self, folder: Path) -> None:
        """Begin with the mean weights of another run.

        Raises:
            MissingDataError: it has no checkpoint.
            ModelFileError: it is of another network, or damaged.
        """
        state = read_checkpoint(folder, self.device, keys=self.state())
        load_weights(self.network, state["mean"], folder)
        load_weights(self.mean, state["mean"], folder)


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
    workers: int = 1,
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
        workers: processes that make pictures.

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
    pages = recipe.made.family_share > 0
    build_pictures(data, pictures, size=encoder.input_size, pages=pages, workers=workers)
    trainer.run(load_pool(pictures, encoder), minutes)
    return trainer
