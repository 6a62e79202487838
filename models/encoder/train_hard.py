"""Trains the frame encoder at the harder school: `samesource train encoder-hard --help`.

All pictures lie on the device, edits run there, and a bank of every picture's last descriptor says
which pictures are hard to tell apart and belong into one batch. Made for a GPU; a CPU is slow.
"""

import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional

from models.encoder.folded import fold_norms, unfolded_state
from models.encoder.hard_pairs import HardPairConfig, HardPairs, Looks
from models.encoder.network import EncoderConfig, FrameNetwork, load_imagenet_trunk
from models.encoder.validate import RetrievalTask, retrieval
from models.encoder.warm_start import load_exported
from models.losses.masked_entropy import masked_entropy
from models.losses.masked_nce import masked_nce
from models.training.bounds import Count, Positive, Seed, Weight
from models.training.checkpoint import read_checkpoint, write_checkpoint
from models.training.edits.batch_edits import as_frames
from models.training.recipe_file import read_recipe_file

KEPT = {"network", "optimiser", "bank", "step", "recipe", "curve"}
SAVE_EVERY_SECONDS = 60.0
LOG_EVERY = 20
ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class HardRecipe:
    """Everything that a run depends on, besides the data.

    Attributes:
        entropy_weight: lambda of the differential-entropy term.
        sizes: input sizes in turn by chance, so that one network serves at each of them.
        side: of the stored pictures and of the canvas that edits work on.
        overlays: drawn overlays of each kind.
        page_families: families of drawn pages of each kind.
        pages: in a family.
        held_families: families of each kind that the run is measured on.
        mine_every: steps after which the nearest pictures of each are looked up again.
        half: compute in bfloat16, where the device is a GPU.
    """

    seed: Seed = 1
    steps: Count = 5000
    trunk_rate: Positive = 3e-4
    head_rate: Positive = 1e-3
    weight_decay: Weight = 1e-4
    warm_up: Count = 150
    temperature: Positive = 0.05
    entropy_weight: Weight = 0.5
    validate_every: Count = 1000
    sizes: tuple[Count, ...] = (160,)
    side: Count = 192
    overlays: Count = 400
    page_families: Count = 70
    pages: Count = 10
    held_families: Count = 8
    mine_every: Count = 200
    half: bool = True
    network: EncoderConfig = field(default_factory=lambda: EncoderConfig(input_size=160))
    pairs: HardPairConfig = field(default_factory=HardPairConfig)


def read_hard_recipe(path: Path) -> HardRecipe:
    """Read a recipe.

    Raises:
        RecipeError: it isn't there, can't be read, or has a key or value that it shouldn't.
    """
    return read_recipe_file(path, HardRecipe)


class HardTrainer:
    """One run: a network, its optimiser, the bank of descriptors, and the step it has reached."""

    def __init__(
        self,
        recipe: HardRecipe,
        folder: Path,
        device: str = "cpu",
        start: Path | None = None,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.folder, self.device = recipe, folder, device
        folder.mkdir(parents=True, exist_ok=True)
        self.network = FrameNetwork(recipe.network)
        if start is not None:
            load_exported(self.network, start)
        else:
            load_imagenet_trunk(self.network)
        fold_norms(self.network)
        self.network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = torch.optim.AdamW(
            self._groups(), weight_decay=recipe.weight_decay, fused=device != "cpu"
        )
        self.bank = torch.zeros(0, recipe.network.dimension, device=device)
        self.step = 0
        self.curve: list[dict[str, float]] = []
        self._losses: list[Tensor] = []

    def _groups(self) -> list[dict[str, Any]]:
        inside = {id(p) for p in self.network.stages.parameters()}
        head = [p for p in self.network.parameters() if id(p) not in inside]
        return [
            {"params": list(self.network.stages.parameters()), "rate": self.recipe.trunk_rate},
            {"params": head, "rate": self.recipe.head_rate},
        ]

    def run(
        self, pairs: HardPairs, tasks: dict[str, RetrievalTask], minutes: float | None = None
    ) -> None:
        """Train to the recipe's last step, or for so many minutes.

        With minutes, the learning rate comes down to nothing when they are over.

        Args:
            pairs: makes the batches.
            tasks: by name, what the network is measured on every so often.
            minutes: stop after so long.
        """
        start = saved = time.monotonic()
        console = Console()
        if len(self.bank) != len(pairs.pack):
            self.fill_bank(pairs)
        while self.step < self.recipe.steps:
            now = time.monotonic()
            passed = 0.0 if minutes is None else (now - start) / max(60 * minutes, 1e-9)
            if passed >= 1:
                break
            if self.step % self.recipe.mine_every == 0 or pairs.nearest is None:
                pairs.mine(self.bank)
            size = Random(self.step + self.recipe.seed).choice(self.recipe.sizes)
            self.update(pairs.batch(self.step, size), pairs.alike, passed)
            if self.step % LOG_EVERY == 0:
                self._log(console, now - start)
            if self.step % self.recipe.validate_every == 0:
                self._validate(tasks, console)
            if now - saved > SAVE_EVERY_SECONDS:
                self.save()
                saved = now
        self._log(console, time.monotonic() - start)
        if self.step % self.recipe.validate_every != 0:
            self._validate(tasks, console)
        self.save()

    def fill_bank(self, pairs: HardPairs) -> None:
        """Describe every picture as it is."""
        size, pictures = self.recipe.network.input_size, pairs.pack.pictures
        with torch.inference_mode(), self._precision():
            parts = [
                self.network(
                    as_frames(pictures[at : at + ROWS_AT_ONCE].float() / 255, size)
                ).float()
                for at in range(0, len(pictures), ROWS_AT_ONCE)
            ]
        self.bank = torch.cat(parts).clone()

    def update(self, looks: Looks, alike: Tensor, passed: float = 0.0) -> None:
        """Take one step.

        Args:
            looks: a batch.
            alike: (P, P) bool, which pictures must not be told apart.
            passed: share of the time that is over.
        """
        recipe = self.recipe
        self.network.train()
        self._set_rates(passed)
        with self._precision():
            features = self.network.upper(self.network.lower(looks.frames, 0), 0)
        rows = functional.normalize(self.network.head(features.float()), dim=1)
        near = alike_looks(looks, alike)
        loss = masked_nce(rows, recipe.temperature, near)
        loss = loss + recipe.entropy_weight * masked_entropy(rows, near)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        plain = looks.plain[: len(rows) // 2]  # only first looks can be plain
        at = looks.picture[: len(plain)]
        kept = torch.where(plain[:, None], rows[: len(plain)].detach(), self.bank[at])
        self.bank[at] = kept
        self.step += 1
        self._losses.append(loss.detach())

    def _precision(self) -> torch.autocast:
        device = self.device.partition(":")[0]
        return torch.autocast(device, torch.bfloat16, self.recipe.half and device != "cpu")

    def _set_rates(self, passed: float) -> None:
        done = max(self.step / self.recipe.steps, passed)
        factor = min(1.0, (self.step + 1) / self.recipe.warm_up)
        factor *= 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        for group in self.optimiser.param_groups:
            group["lr"] = group["rate"] * factor

    def encode(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, S, S, 3) uint8 to (N, D) float32 unit rows, with the network as it is."""
        self.network.eval()
        with torch.inference_mode():
            parts = [
                self.network(torch.from_numpy(frames[at : at + ROWS_AT_ONCE]).to(self.device))
                for at in range(0, len(frames), ROWS_AT_ONCE)
            ]
        return torch.cat(parts).cpu().numpy()

    def _log(self, console: Console, seconds: float) -> None:
        if not self._losses:
            return
        loss = float(torch.stack(self._losses).mean())
        self._losses.clear()
        self.curve.append({"step": self.step, "loss": loss})
        console.print(f"step {self.step} loss {loss:.3f} after {seconds:.1f} s")

    def _validate(self, tasks: dict[str, RetrievalTask], console: Console) -> None:
        row: dict[str, float] = {"step": self.step}
        for name, task in tasks.items():
            figures = asdict(retrieval(task, self.encode))
            row |= {f"{name} {key}": value for key, value in figures.items()}
            shown = " ".join(f"{key} {value:.4f}" for key, value in figures.items())
            console.print(f"step {self.step} {name}: {shown}")
        if tasks:
            self.curve.append(row)

    def save(self) -> None:
        """Write a checkpoint aside and rename it; `samesource export encoder` takes its network."""
        state = {
            "network": unfolded_state(self.network),
            "optimiser": self.optimiser.state_dict(),
            "bank": self.bank,
            "step": self.step,
            "recipe": asdict(self.recipe),
            "curve": self.curve,
        }
        write_checkpoint(self.folder, state)

    def resume(self) -> None:
        """Go on from the folder's checkpoint.

        Raises:
            MissingDataError: there is none.
            ModelFileError: it is of another network, or damaged.
        """
        state = read_checkpoint(self.folder, self.device, keys=KEPT)
        plain = FrameNetwork(self.recipe.network).to(self.device)
        plain.load_state_dict(state["network"])
        fold_norms(plain)
        self.network.load_state_dict(plain.state_dict())
        self.optimiser.load_state_dict(state["optimiser"])
        self.bank, self.step, self.curve = state["bank"], state["step"], state["curve"]


def alike_looks(looks: Looks, alike: Tensor) -> Tensor:
    """(2N, 2N) bool: looks that must not be told apart.

    By what each shows, by what its partner shows (a neighbour) and by what is mixed into it.
    """
    count = len(looks.picture) // 2
    near = alike[looks.picture] | alike[looks.picture.roll(count)] | alike[looks.other]  # (2N, P)
    one_way = near[:, looks.picture] | near[:, looks.other]
    return one_way | one_way.T
