"""The losses against slow, obvious references."""

import itertools
import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.losses.differential_entropy import differential_entropy
from models.losses.info_nce import info_nce

GRID = list(itertools.product((2, 5, 16), (3, 32), (0.05, 0.5), (False, True)))


def unit_rows(count: int, dimension: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(count, dimension, generator=generator, dtype=torch.float64)
    return torch.nn.functional.normalize(rows, dim=1)


def group_numbers(count: int, grouped: bool) -> torch.Tensor:
    return torch.arange(count) // 2 if grouped else torch.arange(count)


def slow_info_nce(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    temperature: float,
    groups: list[int],
) -> float:
    rows = [*first, *second]
    labels = groups + groups
    count = len(first)
    losses = []
    for i, row in enumerate(rows):
        partner = (i + count) % (2 * count)
        weights = {
            j: math.exp(float(row @ other) / temperature)
            for j, other in enumerate(rows)
            if j == partner or labels[j] != labels[i]
        }
        losses.append(-math.log(weights[partner] / sum(weights.values())))
    return sum(losses) / len(losses)


def slow_entropy(rows: list[NDArray[np.float64]], labels: list[int]) -> float:
    logs = []
    for i, row in enumerate(rows):
        others = [math.dist(row, other) for j, other in enumerate(rows) if labels[j] != labels[i]]
        logs.append(-math.log(min(others)))
    return sum(logs) / len(logs)


@pytest.mark.parametrize(("count", "dimension", "temperature", "grouped"), GRID)
def test_info_nce_is_the_sum_that_the_paper_writes(
    count: int, dimension: int, temperature: float, grouped: bool
) -> None:
    first, second = unit_rows(count, dimension, 1), unit_rows(count, dimension, 2)
    groups = group_numbers(count, grouped)
    wanted = slow_info_nce(first.numpy(), second.numpy(), temperature, groups.tolist())
    assert float(info_nce(first, second, temperature, groups)) == pytest.approx(wanted)


def test_info_nce_is_near_zero_for_a_perfect_encoder() -> None:
    rows = torch.eye(8)
    assert float(info_nce(rows, rows, 0.05, torch.arange(8))) < 1e-6


def test_info_nce_has_finite_gradients_where_everything_is_one_group() -> None:
    rows = unit_rows(4, 8, 3).requires_grad_()
    torch.autograd.backward(info_nce(rows, rows.flip(0), 0.05, torch.zeros(4, dtype=torch.long)))
    assert rows.grad is not None
    assert torch.isfinite(rows.grad).all()


def test_info_nce_refuses_views_that_do_not_pair_up() -> None:
    with pytest.raises(ValueError, match="shape"):
        info_nce(unit_rows(4, 8, 1), unit_rows(5, 8, 2), 0.05, torch.arange(4))


@pytest.mark.parametrize(("count", "dimension"), [(3, 3), (6, 32), (16, 8)])
@pytest.mark.parametrize("grouped", [False, True])
def test_differential_entropy_is_the_log_distance_to_the_nearest_stranger(
    count: int, dimension: int, grouped: bool
) -> None:
    first, second = unit_rows(count, dimension, 1), unit_rows(count, dimension, 2)
    groups = group_numbers(count, grouped)
    labels = groups.tolist()
    wanted = slow_entropy([*first.numpy(), *second.numpy()], labels + labels)
    assert float(differential_entropy(first, second, groups)) == pytest.approx(wanted, abs=1e-6)


def test_differential_entropy_falls_as_rows_spread() -> None:
    spread = unit_rows(12, 16, 4)
    bunched = torch.nn.functional.normalize(spread + 4 * spread[:1], dim=1)
    groups = torch.arange(12)
    assert differential_entropy(spread, spread, groups) < differential_entropy(
        bunched, bunched, groups
    )


def test_differential_entropy_survives_two_strangers_at_one_place() -> None:
    rows = torch.nn.functional.normalize(torch.ones(2, 4), dim=1).requires_grad_()
    loss = differential_entropy(rows, rows, torch.arange(2))
    torch.autograd.backward(loss)
    assert math.isfinite(float(loss.detach()))
    assert rows.grad is not None
    assert torch.isfinite(rows.grad).all()
