"""Trains the text-video encoder: `samesource train text-video`.

Seeded and resumable: batch, dropout and every draw of step `i` are functions of the seed and `i`,
and a checkpoint holds weights, their running mean, optimiser and step. The trunk doesn't learn:
its regions are made once.
"""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor, nn

from models.errors import ModelFileError
from models.metrics.recall import Retrieval
from models.text_video.batches import Batch, PairBatches
from models.text_video.caption_tower import SentenceTower
from models.text_video.methods.combined import Methods
from models.text_video.methods.step import Step
from models.text_video.network import TextVideoNetwork
from models.text_video.recipe import TextRecipe
from models.text_video.shape import TextVideoConfig
from models.text_video.validate import Check, check_figures
from models.training.checkpoint import load_weights, read_checkpoint
from models.training.rates import MIN_RATE, rate_factor, set_rates
from models.training.recipe_file import fill
from models.training.run import TimeLimit, run_steps
from models.training.trainer import Trainer, descend, follow, shown, warming_up

KEPT = {"network", "mean", "methods", "optimiser", "step", "channels", "recipe", "curve"}
SHOW_EVERY = 50  # steps between two lines of figures; set by hand


class TextTrainer(Trainer):
    """One run: the towers, the running mean of their weights, the methods, optimiser and step."""

    recipe: TextRecipe
    network: TextVideoNetwork

    def __init__(
        self, recipe: TextRecipe, channels: int, folder: Path, device: str = "cpu"
    ) -> None:
        super().__init__(recipe, folder, device)
        self.channels = channels
        self.network = TextVideoNetwork(recipe.network, channels, recipe.temperature).to(device)
        self.mean = deepcopy(self.network).eval()
        self.methods = Methods(recipe.methods, recipe.network).to(device)
        self.optimiser = torch.optim.AdamW(
            decaying(
                [*self.network.named_parameters(), *self.methods.named_parameters()],
                recipe.weight_decay,
            ),
            lr=recipe.rate,
        )
        self.generator = torch.Generator()

    def parts(self) -> dict[str, nn.Module]:
        """Whose weights are in a checkpoint, by their keys there."""
        return {"network": self.network, "mean": self.mean, "methods": self.methods}

    def learning(self) -> list[nn.Parameter]:
        """The weights whose gradients `descend` bounds together."""
        return [*self.network.parameters(), *self.methods.parameters()]

    def standardise(self, regions: Tensor, sentences: NDArray[np.float16] | None = None) -> None:
        """Fit the towers to what they read: of training photos and their captions.

        Args:
            regions: (N, C) float32, the trunk's.
            sentences: (M, E), where the text tower reads those.
        """
        for network in (self.network, self.mean):
            network.video.standardise(regions.to(self.device))
            if sentences is not None and isinstance(network.text, SentenceTower):
                network.text.standardise(torch.from_numpy(sentences.astype(np.float32)))

    def run(self, batches: PairBatches, check: Check | None, minutes: float | None) -> None:
        """Train to the recipe's last step, or for so many minutes."""
        recipe, console = self.recipe, Console()
        limit, first = TimeLimit(minutes), self.step

        def show(parts: dict[str, float]) -> None:
            if self.step % SHOW_EVERY == 0:
                each = limit.seconds() / (self.step - first)
                console.print(f"step {self.step} {shown(parts)} ({each:.2f} s a step)")

        def measure() -> None:
            if check is not None:
                self.validate(check, console)

        run_steps(
            self,
            (batches[step] for step in range(first, recipe.steps)),
            self.update,
            limit=limit,
            show=show,
            validate=None if check is None else measure,
            validate_every=recipe.validate_every,
        )

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Take one step; gives the loss and its parts."""
        recipe = self.recipe
        self.network.train()
        torch.manual_seed(recipe.seed * 1_000_003 + self.step)
        self.generator.manual_seed(recipe.seed * 1_000_003 + self.step)
        factor = rate_factor(self.step, recipe.steps, recipe.warm_up)
        set_rates(self.optimiser, max(factor, MIN_RATE), recipe.rate)
        parts = self.methods(self._look(batch.to(self.device)), self.network, self.generator)
        loss: Tensor = torch.stack(list(parts.values())).sum()
        descend(loss, self)
        follow(self.mean, self.network, warming_up(recipe.averaging, self.step))
        single = {name: part.detach() for name, part in parts.items()} if len(parts) > 1 else {}
        return {"loss": loss.detach(), **single}

    def _look(self, batch: Batch) -> Step:
        """What both towers say of a batch."""
        ids, significance = self.methods.change_captions(
            batch.ids, batch.significance, self.generator
        )
        sentences = bool(self.recipe.network.read_sentences)
        return Step(
            visual=self.network.video(batch.regions, batch.present),
            text=self.network.text(batch.sentences if sentences else ids),
            ids=ids,
            significance=significance,
            same=batch.same,
            progress=self.step / self.recipe.steps,
            temperature=self.network.temperature,
            encode_text=self.network.text,
            orders=batch.orders if batch.orders.shape[2] else None,
        )

    def validate(self, check: Check, console: Console) -> dict[str, Retrieval]:
        """Rank held-out photos and captions by the mean weights; the figures join the curve."""
        figures = check_figures(self.mean, check, self.device)
        flat = {"temperature": float(self.network.temperature.detach())}
        for language, found in figures.items():
            flat[f"{language} r_sum"] = found.r_sum
            for name, way in (("t2v", found.text_to_video), ("v2t", found.video_to_text)):
                flat |= {f"{language} {name} {key}": value for key, value in asdict(way).items()}
        self.measured(flat, console)
        return figures

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds, the trunk's channels among it."""
        return {**super().state(), "channels": self.channels}

    def start_from(self, folder: Path) -> None:
        """Begin with the mean weights of another run, of the same tokenizer and shape.

        Raises:
            MissingDataError: it has no checkpoint.
            ModelFileError: its checkpoint is of another shape, or damaged.
        """
        state = read_fitting(folder, self.recipe.network, self.channels, self.device)
        load_weights(self.network, state["mean"], folder)
        load_weights(self.mean, state["mean"], folder)

    def resume(self) -> None:
        """Go on from the folder's checkpoint.

        Raises:
            MissingDataError: there is none.
            ModelFileError: it is of another shape or of other methods, or damaged.
        """
        state = read_fitting(self.folder, self.recipe.network, self.channels, self.device)
        theirs, ours = (
            sorted(recipe) for recipe in (state["recipe"]["methods"], self.recipe.methods)
        )
        if theirs != ours:
            raise ModelFileError(
                f"{self.folder}/checkpoint.pt is of the methods {theirs}, the recipe has {ours}: "
                "go on with the same ones"
            )
        self.take_over(state)


def decaying(
    named: Iterable[tuple[str, nn.Parameter]], weight_decay: float
) -> list[dict[str, object]]:
    """Weights for the optimiser: matrices decay; embeddings, norms, biases, places don't.

    Args:
        named: of a network, as `named_parameters` gives them.
        weight_decay: of the matrices.
    """
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for name, weight in named:
        alone = weight.ndim < 2 or "place" in name or "embedding" in name
        (kept if alone else decayed).append(weight)
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": kept, "weight_decay": 0.0},
    ]


def trained_network(folder: Path) -> TextVideoNetwork:
    """The mean weights of a run, in evaluation mode.

    Raises:
        MissingDataError: the folder has no checkpoint.
        ModelFileError: it is of another network, or damaged.
    """
    state, config = _read_run(folder, "cpu")
    network = TextVideoNetwork(config, state["channels"])
    load_weights(network, state["mean"], folder)
    return network.eval()


def read_fitting(
    folder: Path, config: TextVideoConfig, channels: int, device: str = "cpu"
) -> dict[str, Any]:
    """The checkpoint of a run whose weights fit other towers.

    Args:
        folder: of the run.
        config: of those towers, `entries` as their tokenizer has them.
        channels: of their trunk.
        device: where tensors go.

    Raises:
        MissingDataError: the folder has no checkpoint.
        ModelFileError: its towers have another shape or see another trunk, or it is damaged.
    """
    state, theirs = _read_run(folder, device)
    seen = {**_shape(theirs), "channels of the trunk": state["channels"]}
    for name, wanted in {**_shape(config), "channels of the trunk": channels}.items():
        if seen[name] != wanted:
            raise ModelFileError(
                f"{folder}/checkpoint.pt is of {name} = {seen[name]!r}, expected {wanted!r} as the "
                "recipe and the tokenizer have it: take those that it was trained with"
            )
    return state


def _read_run(folder: Path, device: str) -> tuple[dict[str, Any], TextVideoConfig]:
    """A checkpoint and the shape of its towers."""
    state = read_checkpoint(folder, device, keys=KEPT)
    return state, fill(
        TextVideoConfig, state["recipe"]["network"], folder / "checkpoint.pt", "network."
    )


def _shape(config: TextVideoConfig) -> dict[str, object]:
    """What weights depend on, by the recipe's keys; dropout changes none."""
    table = asdict(config)
    trunk = {f"network.trunk.{name}": value for name, value in table.pop("trunk").items()}
    shape = {f"network.{name}": table[name] for name in table if not name.endswith("dropout")}
    return shape | trunk
