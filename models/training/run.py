"""The loop that training runs share: steps, curve, validation, checkpoints, a time limit."""

import math
import time
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

import torch
from torch import Tensor

Batch = TypeVar("Batch")

# Set by hand: a stop costs a minute at most, and writing takes well under a second.
SAVE_EVERY_SECONDS = 60.0


class Learner(Protocol):
    """What learns: it counts its steps, keeps its curve and writes itself down.

    Attributes:
        step: how many were taken, by this run and those that it resumed.
        curve: a row for each step or every few, and for each validation.
    """

    step: int
    curve: list[dict[str, float]]

    def save(self) -> None:
        """Write a checkpoint from which `step` and all that follows come back the same."""


class TimeLimit:
    """Of a run; it counts from when it is made."""

    def __init__(self, minutes: float | None) -> None:
        """Start to count: so many minutes, or without an end."""
        self._start = time.monotonic()
        self._seconds = math.inf if minutes is None else max(60 * minutes, 1e-9)

    def seconds(self) -> float:
        """How many are over."""
        return time.monotonic() - self._start

    def share(self) -> float:
        """How much of it is over, in [0, 1]; 0 without an end."""
        return min(1.0, self.seconds() / self._seconds)


def run_steps(
    learner: Learner,
    batches: Iterable[Batch],
    update: Callable[[Batch], dict[str, Tensor]],
    *,
    limit: TimeLimit,
    show: Callable[[dict[str, float]], None],
    note_every: int = 1,
    validate: Callable[[], None] | None = None,
    validate_every: int = 1,
) -> None:
    """Take a step on each batch; saved every minute and at the end.

    Args:
        learner: whose steps these are.
        batches: from its step on, each asked for after the step before it.
        update: takes one step; gives its figures for the curve, `loss` among them.
        limit: the run stops after the step that goes past it.
        show: is told each row of figures.
        note_every: so many steps are a row of the curve, their mean: a GPU is waited for that
            often. Steps that the end leaves over are a row too.
        validate: measures the learner; also at the end, if the last step wasn't measured.
        validate_every: so many steps.
    """
    saved = time.monotonic()
    waiting: list[dict[str, Tensor]] = []

    def note() -> None:
        if waiting:
            row = _means(waiting)
            waiting.clear()
            learner.curve.append({"step": learner.step, **row})
            show(row)

    for batch in batches:
        waiting.append(update(batch))
        if learner.step % note_every == 0:
            note()
        if validate is not None and learner.step % validate_every == 0:
            validate()
        if time.monotonic() - saved > SAVE_EVERY_SECONDS:
            learner.save()
            saved = time.monotonic()
        if limit.share() >= 1:
            break
    note()
    if validate is not None and learner.step % validate_every:
        validate()
    learner.save()


def _means(rows: list[dict[str, Tensor]]) -> dict[str, float]:
    """Each figure's mean over steps, which all have the same figures."""
    return {name: float(torch.stack([row[name] for row in rows]).mean()) for name in rows[0]}
