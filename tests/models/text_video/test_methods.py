"""The methods over a similarity matrix against slow, obvious references."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from models.text_video.methods.contrast import info_nce
from models.text_video.methods.curriculum import (
    Curriculum,
    curriculum_contrast,
    hard_negatives,
    hard_probability,
    row_weights,
)
from models.text_video.methods.negative_nce import NegativeNce, negative_nce, outranking
from models.text_video.methods.shot_order import shot_order
from models.text_video.methods.step import Step
from models.text_video.methods.weak_pairs import WeakPairs, kept_pairs, threshold
from tests.models.method_steps import finite_gradients, step

GRID = list(itertools.product((1, 2, 5, 16), (0.05, 0.5), (False, True)))


def made(count: int, temperature: float, grouped: bool, progress: float = 0.0) -> Step:
    return step(count, temperature=temperature, grouped=grouped, progress=progress)


def matrix(count: int, seed: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    found = torch.rand(count, count, generator=generator, dtype=torch.float64) * 2 - 1
    return found.requires_grad_()


def slow_weights(
    similarities: list[list[float]], same: list[list[bool]], temperature: float
) -> list[dict[int, float]]:
    """Exponentials of each row's positive and its negatives, by column."""
    return [
        {
            j: math.exp(value / temperature)
            for j, value in enumerate(row)
            if j == i or not same[i][j]
        }
        for i, row in enumerate(similarities)
    ]


def transposed(rows: list[list[float]]) -> list[list[float]]:
    return [list(column) for column in zip(*rows, strict=True)]


def slow_info_nce(rows: list[list[float]], same: list[list[bool]], temperature: float) -> float:
    losses = []
    for direction in (rows, transposed(rows)):
        weights = slow_weights(direction, same, temperature)
        logs = [-math.log(row[i] / sum(row.values())) for i, row in enumerate(weights)]
        losses.append(sum(logs) / len(rows))
    return sum(losses) / 2


def slow_hard(row: list[float], i: int, same: list[bool], share: float) -> set[int]:
    negatives = [j for j in range(len(row)) if not same[j]]
    negatives.sort(key=lambda j: abs(row[j] - row[i]))
    return set(negatives[: math.ceil(share * (len(row) - 1))])


def slow_curriculum(rows: list[list[float]], same: list[list[bool]], temperature: float) -> float:
    own = [rows[i][i] for i in range(len(rows))]
    mean, least = sum(own) / len(own), min(own)
    losses = []
    for direction in (rows, transposed(rows)):
        for i, row in enumerate(direction):
            weight = 1.0 if own[i] <= mean else max((mean - least) / (own[i] - least), 0.2)
            kept = slow_hard(row, i, same[i], 0.5) | {i}
            total = sum(math.exp(row[j] / temperature) for j in kept)
            losses.append(weight * -math.log(math.exp(row[i] / temperature) / total))
    return sum(losses) / len(losses)


def slow_negative_nce(
    rows: list[list[float]], same: list[list[bool]], temperature: float, margin: float
) -> float:
    means = []
    for direction in (rows, transposed(rows)):
        weights = slow_weights(direction, same, temperature)
        terms = [
            -math.log(
                sum(weight for k, weight in weights[i].items() if k != j) / sum(weights[i].values())
            )
            for i, row in enumerate(direction)
            for j, value in enumerate(row)
            if not same[i][j]
            and (value + margin > direction[i][i] or value + margin > direction[j][j])
        ]
        means.append(sum(terms) / len(terms) if terms else 0.0)
    return sum(means) / 2


@pytest.mark.parametrize(("count", "temperature", "grouped"), GRID)
def test_info_nce_is_the_mean_of_both_directions(
    count: int, temperature: float, grouped: bool
) -> None:
    now, similarities = made(count, temperature, grouped), matrix(count)
    wanted = slow_info_nce(similarities.tolist(), now.same.tolist(), temperature)
    assert float(info_nce(now, similarities).detach()) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize(("count", "temperature", "grouped"), GRID)
def test_a_curriculum_at_its_end_keeps_the_hard_negatives(
    count: int, temperature: float, grouped: bool
) -> None:
    now, similarities = made(count, temperature, grouped, progress=1.0), matrix(count)
    wanted = slow_curriculum(similarities.tolist(), now.same.tolist(), temperature)
    found = curriculum_contrast(now, similarities, Curriculum(kept_share=0.5))
    assert float(found.detach()) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize(("count", "temperature", "grouped"), GRID)
@pytest.mark.parametrize("margin", [0.0, 0.2])
def test_negative_nce_is_the_sum_over_negatives_that_outrank(
    count: int, temperature: float, grouped: bool, margin: float
) -> None:
    now, similarities = made(count, temperature, grouped), matrix(count)
    wanted = slow_negative_nce(similarities.tolist(), now.same.tolist(), temperature, margin)
    found = negative_nce(now, similarities, NegativeNce(margin=margin))
    assert float(found.detach()) == pytest.approx(wanted, abs=1e-9)


def test_the_stairs_of_the_curriculum_rise_to_certainty() -> None:
    settings = Curriculum(stage_share=0.1, stage_rise=0.15)
    found = [hard_probability(progress, settings) for progress in (0, 0.05, 0.1, 0.3, 0.65, 1)]
    assert found == pytest.approx([0, 0, 0.15, 0.45, 0.9, 1])


def test_early_in_the_curriculum_all_negatives_count() -> None:
    now, similarities = made(8, 0.1, False), matrix(8).detach()
    weights = row_weights(similarities.diagonal(), 0.2)
    logits = (similarities / 0.1).log_softmax(1).diagonal() * weights
    others = (similarities.T / 0.1).log_softmax(1).diagonal() * weights
    wanted = -(logits.mean() + others.mean()) / 2
    assert float(curriculum_contrast(now, similarities).detach()) == pytest.approx(float(wanted))


def test_the_coin_of_the_curriculum_follows_its_generator() -> None:
    now, similarities = made(16, 0.1, False, progress=0.3), matrix(16).detach()
    found = {
        float(curriculum_contrast(now, similarities, None, torch.Generator().manual_seed(seed)))
        for seed in range(30)
    }
    assert len(found) == 2


def test_hard_negatives_are_near_the_positive_on_either_side() -> None:
    logits = torch.tensor([[5.0, 5.5, 9.0, 4.8, 0.0]]).expand(5, 5).clone()
    assert hard_negatives(logits, 0.5)[0].tolist() == [False, True, False, True, False]


def test_easy_pairs_weigh_less_but_something() -> None:
    found = row_weights(torch.tensor([0.0, 0.1, 0.2, 1.7]), 0.5)
    assert found.tolist() == [1.0, 1.0, 1.0, 0.5]
    assert row_weights(torch.full((3,), 0.4), 0.2).tolist() == [1.0, 1.0, 1.0]


def test_a_negative_outranks_by_its_row_or_its_column() -> None:
    similarities = torch.tensor([[0.5, 0.3], [0.6, 0.2]])
    found = outranking(similarities, torch.eye(2, dtype=torch.bool))
    assert found.tolist() == [[False, True], [True, False]]


def test_the_worst_negative_keeps_its_gradient() -> None:
    similarities = torch.tensor([[-1.0, 1.0], [-1.0, 1.0]], requires_grad=True)
    loss = negative_nce(made(2, 0.01, False), similarities)
    (gradient,) = torch.autograd.grad(loss, similarities)
    assert float(loss.detach()) > 50
    assert float(gradient[0, 1]) > 1


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_batch_of_one_thing_has_no_loss_and_finite_gradients(count: int) -> None:
    now, similarities = made(count, 0.05, False, progress=1.0), matrix(count)
    now = dataclasses.replace(now, same=torch.ones(count, count, dtype=torch.bool))
    for loss in (
        info_nce(now, similarities),
        curriculum_contrast(now, similarities),
        negative_nce(now, similarities),
    ):
        assert float(loss.detach()) == 0
        assert finite_gradients(loss, similarities)


def test_a_perfect_matrix_leaves_no_negative_to_name() -> None:
    similarities = torch.eye(6, requires_grad=True)
    assert float(negative_nce(made(6, 0.05, False), similarities).detach()) == 0


def test_a_step_of_unequal_batches_is_refused() -> None:
    now = made(4, 0.1, False)
    with pytest.raises(ValueError, match="shape"):
        dataclasses.replace(now, same=torch.ones(3, 3, dtype=torch.bool))


@pytest.mark.parametrize("count", [1, 4, 45, 1000])
@pytest.mark.parametrize("volume", [0.0, 0.3, 3.5 / 4.5, 1.0])
def test_the_strongest_pairs_are_kept_by_volume(count: int, volume: float) -> None:
    scores = np.random.default_rng(count).normal(size=count)
    kept = kept_pairs(scores, WeakPairs(volume))
    ranked = sorted(range(count), key=lambda i: -scores[i])[: round(volume * count)]
    assert set(np.flatnonzero(kept)) == set(ranked)
    wanted = min((float(scores[i]) for i in ranked), default=math.inf)
    assert threshold(scores, WeakPairs(volume)) == wanted


def test_of_equal_pairs_the_earlier_stay() -> None:
    assert kept_pairs([0.2] * 4, WeakPairs(0.5)).tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("scores", "volume"), [([0.1], 1.1), ([[0.1]], 0.5), ([0.1, math.nan], 0.5)]
)
def test_a_filter_refuses_what_it_cannot_rank(scores: list[float], volume: float) -> None:
    with pytest.raises(ValueError, match=r"expected"):
        kept_pairs(scores, WeakPairs(volume))


def test_the_opposite_order_is_a_negative_of_its_own_clip() -> None:
    now = made(4, 0.5, False)
    encoder = now.encode_text
    joined = torch.tensor([[3, 5, 6, 7], [3, 8, 9, 0]])
    other = torch.tensor([[3, 7, 6, 10], [3, 9, 11, 0]])
    orders = torch.zeros(4, 2, 6, dtype=torch.long)
    orders[[0, 2], 0, :4], orders[[0, 2], 1, :4] = joined, other
    found = shot_order(dataclasses.replace(now, orders=orders))
    losses = []
    for row, own, backwards in zip((0, 2), joined, other, strict=True):
        clip = now.visual.vectors[row]
        near = (clip @ encoder(own[None]).vectors[0]).item()
        far = (clip @ encoder(backwards[None]).vectors[0]).item()
        losses.append(math.log1p(math.exp((far - near) / 0.5)))
    assert found.item() == pytest.approx(sum(losses) / 2)
    assert finite_gradients(found, now.visual.vectors)


def test_without_joined_captions_order_costs_nothing() -> None:
    now = made(3, 0.5, False)
    assert shot_order(now).item() == 0
    none = torch.zeros(3, 2, 6, dtype=torch.long)
    assert shot_order(dataclasses.replace(now, orders=none)).item() == 0
