"""The encoder's harder school, from the first one's weights on: `samesource train encoder-hard`.

Made for a GPU: the whole trunk learns, all pictures lie on the device and are edited there, and a
bank of every picture's last descriptor says which are hard to tell apart and belong into one batch.
What is near is looked up anew when a run is resumed, so that it goes on alike, not to the bit.
"""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor
from torch.nn import functional

from models.encoder.folded import fold_norms, unfolded_state
from models.encoder.hard_pairs import HardPairs, Looks
from models.encoder.network import FrameNetwork
from models.encoder.recipe import HardRecipe
from models.encoder.school import HELD_FAMILIES, school
from models.encoder.train import is_held_out, rate_groups
from models.encoder.validate import DISTRACTORS, RetrievalTask, retrieval
from models.encoder.warm_start import started
from models.losses.masked_entropy import masked_entropy
from models.losses.masked_nce import masked_nce
from models.training.checkpoint import load_weights
from models.training.edits.batch_edits import as_frames
from models.training.edits.drawn_pages import page_families
from models.training.picture_pack import packed
from models.training.pictures import load_clips, load_photos
from models.training.rates import rate_factor, set_rates
from models.training.run import TimeLimit, run_steps
from models.training.trainer import Trainer, descend, shown

NOTE_EVERY = 20  # steps: each row of the curve waits for the GPU. Set by hand
ROWS_AT_ONCE = 512  # pictures described at once: bounds the memory, the result is the same


class HardTrainer(Trainer):
    """One run: a network that learns in all its stages, and the bank that its batches come from."""

    recipe: HardRecipe
    network: FrameNetwork

    def __init__(
        self,
        recipe: HardRecipe,
        folder: Path,
        device: str = "cpu",
        start: Path | None = None,
    ) -> None:
        super().__init__(recipe, folder, device)
        self.network = started(recipe.network, start)
        fold_norms(self.network)
        self.network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = torch.optim.AdamW(
            rate_groups(self.network, recipe.trunk_rate, recipe.head_rate),
            weight_decay=recipe.weight_decay,
            fused=device != "cpu",
        )
        self.bank = torch.zeros(0, recipe.network.dimension, device=device)

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
        console, limit = Console(), TimeLimit(minutes)
        if len(self.bank) != len(pairs.pack):
            self.fill_bank(pairs)

        def show(figures: dict[str, float]) -> None:
            console.print(f"step {self.step} {shown(figures)} after {limit.seconds():.1f} s")

        def measure() -> None:
            row: dict[str, float] = {}
            for name, task in tasks.items():
                figures = asdict(retrieval(task, self.encode))
                row |= {f"{name} {key}": value for key, value in figures.items()}
            self.measured(row, console)

        run_steps(
            self,
            self._batches(pairs),
            lambda looks: self.update(looks, pairs.alike, limit.share()),
            limit=limit,
            show=show,
            note_every=NOTE_EVERY,
            validate=measure if tasks else None,
            validate_every=self.recipe.validate_every,
        )

    def _batches(self, pairs: HardPairs) -> Iterator[Looks]:
        """What is left of the run; which pictures are near is looked up again on the way."""
        recipe = self.recipe
        for step in range(self.step, recipe.steps):
            if step % recipe.mine_every == 0 or pairs.nearest is None:
                pairs.mine(self.bank)
            yield pairs.batch(step, Random(step + recipe.seed).choice(recipe.sizes))

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

    def update(self, looks: Looks, alike: Tensor, passed: float = 0.0) -> dict[str, Tensor]:
        """Take one step; gives its loss.

        Args:
            looks: a batch.
            alike: (P, P) bool, which pictures must not be told apart.
            passed: share of the time that is over.
        """
        recipe = self.recipe
        self.network.train()
        set_rates(self.optimiser, rate_factor(self.step, recipe.steps, recipe.warm_up, passed))
        with self._precision():
            features = self.network.upper(self.network.lower(looks.frames, 0), 0)
        rows = functional.normalize(self.network.head(features.float()), dim=1)
        near = alike_looks(looks, alike)
        loss = masked_nce(rows, recipe.temperature, near)
        loss = loss + recipe.entropy_weight * masked_entropy(rows, near)
        descend(loss, self)
        plain = looks.plain[: len(rows) // 2]  # only first looks can be plain
        at = looks.picture[: len(plain)]
        kept = torch.where(plain[:, None], rows[: len(plain)].detach(), self.bank[at])
        self.bank[at] = kept
        return {"loss": loss.detach()}

    def _precision(self) -> torch.autocast:
        device = self.device.partition(":")[0]
        return torch.autocast(device, torch.bfloat16, self.recipe.half and device != "cpu")

    def encode(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, S, S, 3) uint8 to (N, D) float32 unit rows, with the network as it is."""
        self.network.eval()
        with torch.inference_mode():
            parts = [
                self.network(torch.from_numpy(frames[at : at + ROWS_AT_ONCE]).to(self.device))
                for at in range(0, len(frames), ROWS_AT_ONCE)
            ]
        return torch.cat(parts).cpu().numpy()

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds; `samesource export encoder` takes its network."""
        return {**super().state(), "network": unfolded_state(self.network), "bank": self.bank}

    def take_over(self, state: dict[str, Any]) -> None:
        """Be as a checkpoint has it, its norms folded."""
        plain = FrameNetwork(self.recipe.network).to(self.device)
        load_weights(plain, state["network"], self.folder)
        fold_norms(plain)
        super().take_over({**state, "network": plain.state_dict()})
        self.bank = state["bank"]


def alike_looks(looks: Looks, alike: Tensor) -> Tensor:
    """(2N, 2N) bool: looks that must not be told apart.

    By what each shows, by what its partner shows (a neighbour) and by what is mixed into it.
    """
    count = len(looks.picture) // 2
    near = alike[looks.picture] | alike[looks.picture.roll(count)] | alike[looks.other]  # (2N, P)
    one_way = near[:, looks.picture] | near[:, looks.other]
    return one_way | one_way.T


def train_encoder_hard(
    recipe: HardRecipe,
    data_dir: Path,
    out_dir: Path,
    *,
    minutes: float | None = None,
    resume: bool = False,
    device: str = "cpu",
    start: Path | None = None,
    scenes: list[set[str]] | None = None,
    workers: int = 1,
) -> HardTrainer:
    """Train on the pictures of a data folder and on drawn pages, held in memory before it begins.

    Args:
        recipe: what to train and how.
        data_dir: holds `clips/*.mp4` and, if any, `photos/*.tar`.
        out_dir: checkpoints and the curve go here.
        minutes: stop after so long; the recipe's last step if None.
        resume: go on from the checkpoint in `out_dir`.
        device: a torch device.
        start: an exported encoder to go on from, instead of ImageNet's weights.
        scenes: names of the clips of each scene that several clips show.
        workers: processes that draw pages and overlays.

    Returns:
        The trainer in its last state, saved.

    Raises:
        MissingDataError: no clips, or nothing to resume from.
        ModelFileError: the run to resume has another network.
    """
    trainer = HardTrainer(recipe, out_dir, device, start)
    if resume:
        trainer.resume()
    clips, photos = load_clips(data_dir), load_photos(data_dir)
    kept, held = (
        packed(
            [clip for clip in clips if is_held_out(clip.name) == out],
            photos[:DISTRACTORS] if out else photos[DISTRACTORS:],
            page_families(families, recipe.pages, recipe.side, workers),
            side=recipe.side,
            scenes=scenes,
        )
        for out, families in (
            (False, range(recipe.page_families)),
            (True, range(HELD_FAMILIES, HELD_FAMILIES + recipe.held_families)),
        )
    )
    trainer.run(*school(recipe, kept, held, device, workers), minutes=minutes)
    return trainer
