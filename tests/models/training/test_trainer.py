"""What all trainers share: a bounded step, a running mean, a checkpoint of all that counts."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from models.errors import ModelFileError
from models.training.trainer import MAX_GRADIENT, Trainer, descend, follow, warming_up


@dataclass(frozen=True)
class Recipe:
    """Of a line."""

    seed: int = 1
    inputs: int = 3


class Line(Trainer):
    """Learns a line, by plain descent at rate 1."""

    network: nn.Linear

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        super().__init__(recipe, folder)
        self.network = nn.Linear(recipe.inputs, 1)
        self.optimiser = torch.optim.SGD(self.network.parameters(), lr=1.0, momentum=0.5)


def flat(trainer: Trainer) -> np.ndarray:
    return torch.cat([p.detach().flatten() for p in trainer.network.parameters()]).numpy()


def test_the_seed_makes_the_weights(tmp_path: Path) -> None:
    one, same = (Line(Recipe(), tmp_path) for _ in range(2))
    assert np.array_equal(flat(one), flat(same))
    assert not np.array_equal(flat(one), flat(Line(Recipe(seed=2), tmp_path)))


def test_a_step_is_no_longer_than_the_bound(tmp_path: Path) -> None:
    trainer = Line(Recipe(), tmp_path)
    for scale, length in ((1e6, MAX_GRADIENT), (0.5, 0.5)):
        before = flat(trainer)
        trainer.optimiser.state.clear()  # no momentum
        descend(scale * trainer.network.bias.sum(), trainer)
        assert np.linalg.norm(flat(trainer) - before) == pytest.approx(length, rel=1e-4)
    assert trainer.step == 2


def test_one_loss_moves_several_each_within_its_own_bound(tmp_path: Path) -> None:
    one, other = Line(Recipe(), tmp_path), Line(Recipe(seed=2), tmp_path)
    before = flat(one), flat(other)
    descend(1e6 * one.network.bias.sum() + 0.5 * other.network.bias.sum(), one, other)
    assert np.linalg.norm(flat(one) - before[0]) == pytest.approx(MAX_GRADIENT, rel=1e-4)
    assert np.linalg.norm(flat(other) - before[1]) == pytest.approx(0.5, rel=1e-4)


def test_a_checkpoint_brings_back_weights_optimiser_step_and_curve(tmp_path: Path) -> None:
    trainer, again = Line(Recipe(), tmp_path), Line(Recipe(seed=2), tmp_path)
    descend(trainer.network.bias.sum(), trainer)
    trainer.curve.append({"step": 1, "loss": 0.5})
    trainer.save()
    again.resume()
    assert (again.step, again.curve) == (1, [{"step": 1, "loss": 0.5}])
    for one in (trainer, again):  # the momentum came back too
        descend(one.network.bias.sum(), one)
    assert np.array_equal(flat(again), flat(trainer))


def test_a_checkpoint_of_another_shape_is_refused(tmp_path: Path) -> None:
    Line(Recipe(), tmp_path).save()
    with pytest.raises(ModelFileError, match="of another Linear"):
        Line(replace(Recipe(), inputs=4), tmp_path).resume()


def test_a_running_mean_follows_weights_and_copies_counts() -> None:
    mean, network = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    nn.init.constant_(network.weight, 5.0)
    assert network.num_batches_tracked is not None and mean.num_batches_tracked is not None
    network.num_batches_tracked += 7
    follow(mean, network, keep=0.75)
    assert mean.weight.tolist() == [2.0, 2.0]
    assert int(mean.num_batches_tracked) == 7


def test_a_running_mean_keeps_less_at_first() -> None:
    kept = [warming_up(0.9, step) for step in (0, 8, 80, 10_000)]
    assert kept == pytest.approx([0.1, 0.5, 0.9, 0.9])
