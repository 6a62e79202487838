"""Trains the text-video encoder: `samesource train text`.

Seeded and resumable: batch, dropout and every draw of step `i` are functions of the seed and `i`,
and a checkpoint holds weights, their running mean, optimiser and step. The trunk doesn't learn:
its regions are made once.
"""

import time
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from models.errors import ModelFileError
from models.metrics.recall import Retrieval
from models.text_video.batches import Batch, PairBatches
from models.text_video.methods.combined import Methods
from models.text_video.methods.step import Step
from models.text_video.network import TextVideoConfig, TextVideoNetwork
from models.text_video.recipe import TextRecipe
from models.text_video.validate import Check, check_figures
from models.training.checkpoint import load_weights, rate_factor, read_checkpoint, write_checkpoint
from models.training.recipe_file import fill
from models.training.run import run_steps

KEPT = {"network", "mean", "methods", "optimiser", "step", "channels", "recipe", "curve"}
SHOW_EVERY = 50
MIN_RATE = 0.01
MAX_GRADIENT = 5.0


class TextTrainer:
    """One run: the towers, the running mean of their weights, the methods, optimiser and step."""

    def __init__(
        self, recipe: TextRecipe, channels: int, folder: Path, device: str = "cpu"
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.folder, self.device = recipe, folder, device
        self.channels = channels
        folder.mkdir(parents=True, exist_ok=True)
        self.network = TextVideoNetwork(recipe.network, channels, recipe.temperature).to(device)
        self.mean = deepcopy(self.network).eval()
        self.methods = Methods(recipe.methods, recipe.network).to(device)
        self.optimiser = torch.optim.AdamW(self._groups(), lr=recipe.rate)
        self.step = 0
        self.curve: list[dict[str, float]] = []
        self.generator = torch.Generator()

    def _groups(self) -> list[dict[str, object]]:
        """Matrices decay; embeddings, norms, biases and the temperature don't."""
        named = [*self.network.named_parameters(), *self.methods.named_parameters()]
        kept = [p for name, p in named if p.ndim < 2 or "place" in name or "embedding" in name]
        inside = {id(p) for p in kept}
        decayed = [p for _, p in named if id(p) not in inside]
        return [
            {"params": decayed, "weight_decay": self.recipe.weight_decay},
            {"params": kept, "weight_decay": 0.0},
        ]

    def standardise(self, regions: Tensor) -> None:
        """Fit the video tower to the trunk's channels: (N, C) float32 of training photos."""
        self.network.video.standardise(regions.to(self.device))
        self.mean.video.standardise(regions.to(self.device))

    def run(self, batches: PairBatches, check: Check | None, minutes: float | None) -> None:
        """Train to the recipe's last step, or for so many minutes."""
        recipe, console = self.recipe, Console()
        start, first = time.monotonic(), self.step

        def show(parts: dict[str, float]) -> None:
            if self.step % SHOW_EVERY == 0:
                each = (time.monotonic() - start) / (self.step - first)
                console.print(f"step {self.step} {_shown(parts)} ({each:.2f} s a step)")

        def measure() -> None:
            if check is not None:
                self.validate(check, console)

        run_steps(
            self,
            (batches[step] for step in range(first, recipe.steps)),
            self.update,
            show=show,
            validate=None if check is None else measure,
            validate_every=recipe.validate_every,
            minutes=minutes,
        )

    def update(self, batch: Batch) -> dict[str, float]:
        """Take one step; gives the loss and its parts."""
        self.network.train()
        torch.manual_seed(self.recipe.seed * 1_000_003 + self.step)
        self.generator.manual_seed(self.recipe.seed * 1_000_003 + self.step)
        self._set_rate()
        parts = self.methods(self._look(batch.to(self.device)), self.network, self.generator)
        loss: Tensor = torch.stack(list(parts.values())).sum()
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(
            [*self.network.parameters(), *self.methods.parameters()], MAX_GRADIENT
        )
        self.optimiser.step()
        self.step += 1
        self._average(min(self.recipe.averaging, (self.step + 1) / (self.step + 10)))
        return {"loss": float(loss.detach())} | (
            {name: float(part.detach()) for name, part in parts.items()} if len(parts) > 1 else {}
        )

    def _look(self, batch: Batch) -> Step:
        """What both towers say of a batch."""
        ids, significance = self.methods.change_captions(
            batch.ids, batch.significance, self.generator
        )
        return Step(
            visual=self.network.video(batch.regions, batch.present),
            text=self.network.text(ids),
            ids=ids,
            significance=significance,
            same=batch.same,
            progress=self.step / self.recipe.steps,
            temperature=self.network.temperature,
            encode_text=self.network.text,
        )

    def _average(self, keep: float) -> None:
        """Move the running mean of the weights towards them, keeping so much of it."""
        with torch.no_grad():
            for ours, theirs in zip(self.mean.parameters(), self.network.parameters(), strict=True):
                ours.lerp_(theirs, 1 - keep)

    def _set_rate(self) -> None:
        factor = rate_factor(self.step, self.recipe.steps, self.recipe.warm_up)
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate * max(factor, MIN_RATE)

    def validate(self, check: Check, console: Console) -> dict[str, Retrieval]:
        """Rank held-out photos and captions by the mean weights; the figures join the curve."""
        figures = check_figures(self.mean, check, self.device)
        flat = {"temperature": float(self.network.temperature.detach())}
        for language, found in figures.items():
            flat[f"{language} r_sum"] = found.r_sum
            for name, way in (("t2v", found.text_to_video), ("v2t", found.video_to_text)):
                flat |= {f"{language} {name} {key}": value for key, value in asdict(way).items()}
        self.curve.append({"step": self.step, **flat})
        console.print(f"step {self.step} validation {_shown(flat)}")
        return figures

    def save(self) -> None:
        """Write a checkpoint aside and rename it; the curve, as JSON and as a picture."""
        state = {
            "network": self.network.state_dict(),
            "mean": self.mean.state_dict(),
            "methods": self.methods.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "channels": self.channels,
            "recipe": asdict(self.recipe),
            "curve": self.curve,
        }
        write_checkpoint(self.folder, state)

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
        load_weights(self.network, state["network"], self.folder)
        load_weights(self.mean, state["mean"], self.folder)
        load_weights(self.methods, state["methods"], self.folder)
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.curve = state["step"], state["curve"]


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


def _shown(figures: dict[str, float]) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in figures.items())
