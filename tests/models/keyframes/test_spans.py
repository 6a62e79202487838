"""Spans that one frame each stands for: the cut is the cheapest, and keeps to shots and gaps."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.keyframes.shot_numbers import shot_numbers
from models.keyframes.spans import OFF_CENTRE, SpanCosts, span_costs


def _rows(count: int, seed: int = 1, dimension: int = 6) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def _costs(
    rows: NDArray[np.float32],
    *,
    shots: list[int] | None = None,
    quality: NDArray[np.float32] | None = None,
    longest_seconds: float = 5.0,
) -> SpanCosts:
    count = len(rows)
    return span_costs(
        rows,
        np.array(shots or [0] * count, np.intp),
        np.arange(count, dtype=np.float32),
        np.ones(count, np.float32) if quality is None else quality,
        longest_seconds=longest_seconds,
    )


def _cost(
    rows: NDArray[np.float32],
    quality: NDArray[np.float32],
    ends: tuple[int, ...],
    keys: list[int] | None = None,
) -> float:
    """Every span with its best frame, tried one by one, or with the key frame inside it."""
    total = 0.0
    for start, end in itertools.pairwise((0, *ends, len(rows))):
        total += min(
            (
                sum(1 - float(quality[key]) * float(rows[t] @ rows[key]) for t in range(start, end))
                for key in range(start, end)
                if keys is None or key in keys
            ),
            default=np.inf,
        )
    return total


@given(count=st.integers(1, 9), wanted=st.integers(1, 9), seed=st.integers(0, 50))
@settings(deadline=None)
def test_the_cut_is_the_cheapest_of_all_with_so_many_spans(
    count: int, wanted: int, seed: int
) -> None:
    rows = _rows(count, seed)
    quality = np.random.default_rng(seed).uniform(0.2, 1, count).astype(np.float32)
    keys = _costs(rows, quality=quality, longest_seconds=100).at_most(wanted).tolist()
    assert 1 <= len(keys) <= wanted
    cuts = list(itertools.combinations(range(1, count), len(keys) - 1))
    ours = min(_cost(rows, quality, cut, keys) for cut in cuts)
    assert ours <= min(_cost(rows, quality, cut) for cut in cuts) + OFF_CENTRE * count


def test_a_still_shot_is_stored_once_and_a_moving_one_more_often() -> None:
    still, moving = np.repeat(_rows(1), 6, axis=0), _rows(6, seed=2)
    keys = _costs(np.concatenate([still, moving]), longest_seconds=100).at_most(4)
    assert (keys < 6).sum() == 1
    assert (keys >= 6).sum() == 3


def test_every_shot_is_stored_though_it_is_over_the_budget() -> None:
    keys = _costs(_rows(6), shots=[0, 0, 1, 1, 2, 3]).at_most(1)
    assert len(keys) == 4
    assert {(0, 0, 1, 1, 2, 3)[key] for key in keys} == {0, 1, 2, 3}


def test_no_frame_is_further_than_the_gap_from_its_key_frame() -> None:
    keys = _costs(np.repeat(_rows(1), 30, axis=0), longest_seconds=4).at_most(1)
    apart = np.abs(np.arange(30)[:, None] - keys[None, :]).min(axis=1)
    assert apart.max() <= 4
    assert len(keys) == 6


def test_of_equal_frames_the_one_that_edits_leave_is_stored() -> None:
    quality = np.array([0.5, 0.5, 0.5, 0.9, 0.5], np.float32)
    keys = _costs(np.repeat(_rows(1), 5, axis=0), quality=quality).at_most(1)
    assert keys.tolist() == [3]


def test_frames_with_no_motion_are_stood_for_by_the_one_in_the_middle() -> None:
    keys = _costs(np.repeat(_rows(1), 5, axis=0)).at_most(1)
    assert keys.tolist() == [2]


def test_a_shot_under_a_second_shares_the_key_frame_of_the_one_before() -> None:
    seconds = np.arange(6, dtype=np.float32)
    cuts = np.array([0.4, 1.8, 2.1, 4.5], np.float32)
    assert shot_numbers(seconds, cuts).tolist() == [0, 0, 1, 1, 1, 2]
