"""Trains the key-frame network without labels: `samesource train keyframes`.

Seeded and resumable: batch `i` is a function of the seed and `i`, and a checkpoint holds weights,
optimiser and step. The encoder is frozen; its descriptors say what a good key frame is.
"""

from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Subset

from models.encoder.serve import FrameEncoder
from models.keyframes.footage import SeenFootage, ViewBatches, ViewPairs, load_seen
from models.keyframes.network import KeyFrameConfig, KeyFrameNetwork
from models.keyframes.recipe import KeyFrameRecipe
from models.keyframes.soft import soft_select
from models.keyframes.validate import coverage_check
from models.losses.kept_similarity import kept_similarity
from models.losses.segment_classification import segment_classification
from models.training.checkpoint import load_weights, read_checkpoint
from models.training.descriptor_pool import part_of
from models.training.pool_pictures import build_pictures
from models.training.rates import rate_factor, set_rates
from models.training.recipe_file import fill
from models.training.run import TimeLimit, run_steps
from models.training.trainer import Trainer, descend

HELD_OUT_ONE_IN = 4  # clips, more of them than elsewhere; set by hand
# Frames of a shot that are further apart are left out of `kept_similarity`; set by hand.
NEAR_SECONDS = 5.0
SHOWN_STEPS = 50  # whose mean loss is shown: single batches differ more than it falls


def is_held_out(name: str) -> bool:
    """Whether a clip is kept for validation: one in four, by the hash of its name."""
    return part_of(name, HELD_OUT_ONE_IN) == 0


def random_spans(shots: Tensor, longest: int, random: np.random.Generator) -> Tensor:
    """Pseudo-segments: spans of 1 to `longest` frames that cross no cut, numbered from 0.

    Args:
        shots: (T,) int64, ascending.
        longest: most frames of a span.
        random: draws the lengths.

    Returns:
        (T,) int64, ascending.
    """
    spans, number, left = [], -1, 0
    before = None
    for shot in shots.tolist():
        if left == 0 or shot != before:
            number, left = number + 1, int(random.integers(1, longest + 1))
        spans.append(number)
        before, left = shot, left - 1
    return torch.tensor(spans)


class KeyFrameTrainer(Trainer):
    """One run: a network, its optimiser and the step that it has reached."""

    recipe: KeyFrameRecipe
    network: KeyFrameNetwork

    def __init__(self, recipe: KeyFrameRecipe, folder: Path) -> None:
        super().__init__(recipe, folder)
        self.network = KeyFrameNetwork(recipe.network)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay
        )

    def run(self, pool: list[SeenFootage], minutes: float | None) -> None:
        """Train to the recipe's last step, or for so many minutes."""
        recipe, console, limit = self.recipe, Console(), TimeLimit(minutes)
        held = [one for one in pool if is_held_out(one.footage.name)]
        batches = ViewBatches(
            [one for one in pool if not is_held_out(one.footage.name)],
            videos=recipe.videos,
            frames=recipe.frames,
            batches=recipe.steps,
            seed=recipe.seed,
        )
        loader = DataLoader(Subset(batches, range(self.step, recipe.steps)), batch_size=None)

        def measure() -> None:
            loss = np.mean([row["loss"] for row in self.curve if "loss" in row][-SHOWN_STEPS:])
            console.print(f"step {self.step} loss {loss:.4g}")
            self.measured(coverage_check(self.network, held), console)

        run_steps(
            self,
            loader,
            self.update,
            limit=limit,
            show=lambda figures: None,  # `measure` does
            validate=measure,
            validate_every=recipe.validate_every,
        )

    def update(self, views: ViewPairs) -> dict[str, Tensor]:
        """Take one step on a batch of `ViewBatches`; gives its loss."""
        recipe = self.recipe
        self.network.train()
        factor = rate_factor(self.step, recipe.steps, recipe.warm_up)
        set_rates(self.optimiser, factor, recipe.rate)
        loss = self._loss(views)
        descend(loss, self)
        return {"loss": loss.detach()}

    def _loss(self, views: ViewPairs) -> Tensor:
        recipe = self.recipe
        quality, looks = self.network(torch.cat((views.plain, views.edited)))
        (own, other), (own_looks, _) = quality.chunk(2), looks.chunk(2)
        plain = views.plain_rows @ views.plain_rows.transpose(1, 2)  # (B, T, T)
        edited = views.edited_rows @ views.plain_rows.transpose(1, 2)
        places = torch.arange(plain.shape[1])
        apart = (places[:, None] - places[None, :]).abs() * views.step_seconds[:, None, None]
        near = (views.shots[:, :, None] == views.shots[:, None, :]) & (apart <= NEAR_SECONDS)
        seen = own_looks @ own_looks.transpose(1, 2)
        classified, entropy = self._segments(views, own, plain)
        return (
            recipe.kept_weight * kept_similarity(own, plain, edited, near)
            + recipe.look_weight * functional.mse_loss(seen, plain)
            + recipe.agreement_weight * functional.mse_loss(other, own)
            + recipe.classification_weight * classified
            + recipe.sparsity_weight * entropy
        )

    def _segments(self, views: ViewPairs, quality: Tensor, plain: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of classifying edited frames by the selected ones, and the choice's entropy."""
        recipe = self.recipe
        # By step: a run that is resumed draws what it would have drawn.
        random = np.random.default_rng((recipe.seed, 1, self.step))
        noise = torch.Generator().manual_seed(recipe.seed * 100_003 + self.step)
        keys, segments, entropy = [], [], plain.new_zeros(())
        count = 0
        for row in range(len(plain)):
            spans = random_spans(views.shots[row], recipe.longest_span, random)
            together = spans[:, None] == spans[None, :]  # (T, T)
            utility = quality[row] * (plain[row] * together).sum(dim=0) / together.sum(dim=0)
            weights = soft_select(
                utility, spans, temperature=recipe.temperature, generator=noise
            )  # (K, T)
            keys.append(weights @ views.plain_rows[row])
            segments.append(spans + count)
            count += len(weights)
            logits = (utility / recipe.temperature).masked_fill(~together, -torch.inf)
            entropy = (
                entropy
                - (torch.softmax(logits, 1) * torch.log_softmax(logits, 1).where(together, 0.0))
                .sum(1)
                .mean()
            )
        loss = segment_classification(
            views.edited_rows.flatten(0, 1), torch.cat(keys), torch.cat(segments)
        )
        return loss, entropy / len(plain)


def trained_network(run: Path) -> KeyFrameNetwork:
    """The network of a run's checkpoint.

    Raises:
        MissingDataError: there is none.
        ModelFileError: it is of another kind of run, or damaged.
        RecipeError: its network has settings that are unknown here.
    """
    state = read_checkpoint(run, keys=("network", "recipe"))
    path = run / "checkpoint.pt"
    network = KeyFrameNetwork(fill(KeyFrameConfig, state["recipe"]["network"], path, "network."))
    load_weights(network, state["network"], run)
    return network


def train_keyframes(
    recipe: KeyFrameRecipe,
    data: Path,
    out: Path,
    *,
    encoder: FrameEncoder,
    pictures: Path | None = None,
    start: Path | None = None,
    minutes: float | None = None,
    resume: bool = False,
) -> KeyFrameTrainer:
    """Train on a data folder.

    Args:
        recipe: what to train and how.
        data: holds `clips/*.mp4` and, if any, `photos/*.tar`.
        out: checkpoints and the curve go here.
        encoder: its descriptors are the targets.
        pictures: decoded footage, made where it is missing; `out/pictures` if None.
        start: the folder of an earlier run whose network this one begins with.
        minutes: stop after so long; the recipe's last step if None.
        resume: go on from the checkpoint in `out`.

    Returns:
        The trainer in its last state, saved.

    Raises:
        MissingDataError: no clips, or nothing to start or resume from.
        ModelFileError: the run to start or resume from has another network.
    """
    trainer = KeyFrameTrainer(recipe, out)
    if start is not None:
        load_weights(trainer.network, trained_network(start).state_dict(), start)
    if resume:
        trainer.resume()
    pictures = pictures or out / "pictures"
    build_pictures(data, pictures, size=encoder.input_size)
    trainer.run(load_seen(pictures, encoder), minutes)
    return trainer
