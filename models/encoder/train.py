"""The encoder's first school, from ImageNet's weights on: `samesource train encoder --help`.

Made for a CPU: the lower stages stay as they are, and a process beside this one edits pictures, a
pair at a time. Batch `i` is a function of the seed and `i`, so that a run that was stopped and
resumed reaches the very numbers of one that wasn't.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from models.encoder.frozen import FrozenLower
from models.encoder.network import FrameNetwork
from models.encoder.pairs import PairBatches
from models.encoder.recipe import EncoderRecipe
from models.encoder.validate import DISTRACTORS, make_task, retrieval
from models.encoder.warm_start import freeze_norms, started
from models.losses.differential_entropy import differential_entropy
from models.losses.info_nce import info_nce
from models.training.descriptor_pool import part_of
from models.training.pictures import load_clips, load_photos
from models.training.rates import rate_factor, set_rates
from models.training.run import TimeLimit, run_steps
from models.training.source import Source
from models.training.trainer import Trainer, descend, shown

HELD_OUT_ONE_IN = 10  # clips; the detector holds out the very same. Set by hand


def is_held_out(name: str) -> bool:
    """Whether a clip is kept for validation: one in ten, by the hash of its name."""
    return part_of(name, HELD_OUT_ONE_IN) == 0


def rate_groups(network: FrameNetwork, trunk_rate: float, head_rate: float) -> list[dict[str, Any]]:
    """The weights that learn, for an optimiser, with the highest rate of each group.

    Args:
        network: whose stages are the trunk; all else is the head.
        trunk_rate: of the trunk.
        head_rate: of the head.
    """
    inside = {id(p) for p in network.stages.parameters()}
    trunk = [p for p in network.stages.parameters() if p.requires_grad]
    head = [p for p in network.parameters() if p.requires_grad and id(p) not in inside]
    return [{"params": trunk, "rate": trunk_rate}, {"params": head, "rate": head_rate}]


class EncoderTrainer(Trainer):
    """One run: a network of which the upper stages learn from batches of edited pairs."""

    recipe: EncoderRecipe
    network: FrameNetwork

    def __init__(
        self,
        recipe: EncoderRecipe,
        folder: Path,
        device: str = "cpu",
        start: Path | None = None,
    ) -> None:
        super().__init__(recipe, folder, device)
        self.network = started(recipe.network, start, imagenet=recipe.imagenet)
        self.network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._freeze()
        self._lower: FrozenLower | None = None
        groups = rate_groups(self.network, recipe.trunk_rate, recipe.head_rate)
        self.optimiser = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)
        self.scenes: list[set[str]] = []

    def _freeze(self) -> None:
        stages = [self.network.stages[index] for index in range(self.recipe.frozen_stages)]
        for module in (self.network.stem, self.network.stem_norm, *stages):
            module.requires_grad_(False)

    def run(self, clips: list[Source], photos: list[Source], minutes: float | None) -> None:
        """Train to the recipe's last step, or for so many minutes."""
        recipe, console, limit = self.recipe, Console(), TimeLimit(minutes)
        train = [clip for clip in clips if not is_held_out(clip.name)]
        held = [clip for clip in clips if is_held_out(clip.name)]
        size = recipe.network.input_size
        task = make_task(held, photos[:DISTRACTORS] or train, size=size) if held else None
        batches = PairBatches(
            train,
            photos[DISTRACTORS:],
            recipe.pairs,
            size=size,
            seed=recipe.seed,
            batches=recipe.steps,
            scenes=self.scenes,
        )
        rest = Subset(batches, range(self.step, recipe.steps))
        loader = DataLoader(rest, batch_size=None, num_workers=1, prefetch_factor=4)

        def show(figures: dict[str, float]) -> None:
            if self.step % 10 == 0:
                console.print(f"step {self.step} {shown(figures)}")

        def measure() -> None:
            assert task is not None
            self.measured(asdict(retrieval(task, self.encode)), console)

        run_steps(
            self,
            track(loader, "training", total=len(rest), console=console),
            lambda batch: self.update(*batch),
            limit=limit,
            show=show,
            validate=None if task is None else measure,
            validate_every=recipe.validate_every,
        )

    def update(self, first: Tensor, second: Tensor, groups: Tensor) -> dict[str, Tensor]:
        """Take one step on a batch of `PairBatches`; gives its loss."""
        recipe = self.recipe
        self._train_mode()
        set_rates(self.optimiser, rate_factor(self.step, recipe.steps, recipe.warm_up))
        a, b = self._describe(torch.cat([first, second])).chunk(2)
        groups = groups.to(self.device)
        loss = info_nce(a, b, recipe.temperature, groups)
        loss = loss + recipe.entropy_weight * differential_entropy(a, b, groups)
        descend(loss, self)
        return {"loss": loss.detach()}

    def _describe(self, frames: Tensor) -> Tensor:
        """(N, S, S, 3) uint8 to (N, D) unit rows; gradients reach the stages that learn."""
        stages = self.recipe.frozen_stages
        if self.device == "cpu":
            below = self._frozen_lower()(frames.numpy())
        else:
            with torch.no_grad():
                below = self.network.lower(frames.to(self.device), stages)
        return self.network.describe(self.network.upper(below, stages))

    def _frozen_lower(self) -> FrozenLower:
        """The stages that don't learn, traced when they are first needed: that takes seconds."""
        if self._lower is None:
            threads = torch.get_num_threads()
            self._lower = FrozenLower(self.network, self.recipe.frozen_stages, threads=threads)
        return self._lower

    def _train_mode(self) -> None:
        self.network.train()
        self.network.stem_norm.eval()
        self.network.stages.eval()  # ImageNet's batch statistics stay: batches here are small
        if self.recipe.frozen_norms:
            freeze_norms(self.network)

    def encode(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, S, S, 3) uint8 to (N, D) float32 unit rows, with the network as it is."""
        self.network.eval()
        with torch.inference_mode():
            parts = [
                self._describe(torch.from_numpy(frames[at : at + 128])).cpu().numpy()
                for at in range(0, len(frames), 128)
            ]
        return np.concatenate(parts)

    def take_over(self, state: dict[str, Any]) -> None:
        """Be as a checkpoint has it, the stages that don't learn included."""
        super().take_over(state)
        self._lower = None


def train_encoder(
    recipe: EncoderRecipe,
    data_dir: Path,
    out_dir: Path,
    *,
    minutes: float | None = None,
    resume: bool = False,
    device: str = "cpu",
    start: Path | None = None,
    scenes: list[set[str]] | None = None,
) -> EncoderTrainer:
    """Train on pairs that are edited on the way, clips and photos of a data folder.

    Args:
        recipe: what to train and how.
        data_dir: holds `clips/*.mp4` and, if any, `photos/*.tar`.
        out_dir: checkpoints and the curve go here.
        minutes: stop after so long; the recipe's last step if None.
        resume: go on from the checkpoint in `out_dir`.
        device: a torch device.
        start: an exported encoder to go on from, instead of ImageNet's weights.
        scenes: names of the clips of each scene that several clips show.

    Returns:
        The trainer in its last state, saved.

    Raises:
        MissingDataError: no clips, or nothing to resume from.
        ModelFileError: the run to resume has another network.
    """
    trainer = EncoderTrainer(recipe, out_dir, device, start)
    trainer.scenes = scenes or []
    if resume:
        trainer.resume()
    trainer.run(load_clips(data_dir), load_photos(data_dir), minutes)
    return trainer
