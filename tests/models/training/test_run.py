"""The loop of all training runs: what is measured, kept and written down, and when it stops."""

import pytest
import torch
from torch import Tensor

from models.training import run
from models.training.run import TimeLimit, run_steps


class Counter:
    """Takes steps, and notes what is asked of it."""

    def __init__(self) -> None:
        self.step = 0
        self.curve: list[dict[str, float]] = []
        self.measured: list[int] = []
        self.saved: list[int] = []

    def update(self, batch: float) -> dict[str, Tensor]:
        """One step."""
        self.step += 1
        return {"loss": torch.tensor(batch)}

    def validate(self) -> None:
        """Note when."""
        self.measured.append(self.step)

    def save(self) -> None:
        """Note when."""
        self.saved.append(self.step)


def ran(
    steps: int, *, every: int = 3, note_every: int = 1, minutes: float | None = None
) -> Counter:
    counter = Counter()
    run_steps(
        counter,
        [0.5 * number for number in range(steps)],
        counter.update,
        limit=TimeLimit(minutes),
        show=lambda figures: None,
        note_every=note_every,
        validate=counter.validate,
        validate_every=every,
    )
    return counter


def test_every_step_is_in_the_curve() -> None:
    assert ran(3).curve == [{"step": n + 1, "loss": 0.5 * n} for n in range(3)]


def test_a_row_of_several_steps_is_their_mean_and_none_is_left_out() -> None:
    assert ran(5, note_every=2).curve == [
        {"step": 2, "loss": 0.25},
        {"step": 4, "loss": 1.25},
        {"step": 5, "loss": 2.0},
    ]


def test_a_limit_knows_which_share_of_it_is_over() -> None:
    limit = TimeLimit(10.0)
    assert limit.share() < 0.5
    limit._start -= 5 * 60
    assert 0.5 <= limit.share() < 1
    limit._start -= 5 * 60
    assert limit.share() == TimeLimit(0.0).share() == 1
    assert TimeLimit(None).share() == 0


@pytest.mark.parametrize(("steps", "measured"), [(6, [3, 6]), (7, [3, 6, 7]), (2, [2])])
def test_the_last_step_is_measured_and_none_twice(steps: int, measured: list[int]) -> None:
    counter = ran(steps)
    assert counter.measured == measured
    assert counter.saved == [steps]


def test_a_run_whose_minutes_are_over_is_measured_and_saved() -> None:
    counter = ran(9, minutes=0.0)
    assert (counter.step, counter.measured, counter.saved) == (1, [1], [1])


def test_a_checkpoint_is_written_every_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "SAVE_EVERY_SECONDS", -1.0)
    assert ran(3).saved == [1, 2, 3, 3]
