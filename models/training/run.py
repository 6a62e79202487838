"""The loop that training runs share: steps, curve, validation, checkpoints, a time limit."""

import time
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

Batch = TypeVar("Batch")

# Set by hand: a stop costs two minutes at most, and writing takes well under a second.
SAVE_EVERY_SECONDS = 120.0


class Learner(Protocol):
    """What learns: it counts its steps, keeps its curve and writes itself down.

    Attributes:
        step: how many were taken, by this run and those that it resumed.
        curve: a row for each step, and for each validation.
    """

    step: int
    curve: list[dict[str, float]]

    def save(self) -> None:
        """Write a checkpoint from which `step` and all that follows come back the same."""


def run_steps(
    learner: Learner,
    batches: Iterable[Batch],
    update: Callable[[Batch], dict[str, float]],
    *,
    show: Callable[[dict[str, float]], None],
    validate: Callable[[], None] | None = None,
    validate_every: int = 1,
    minutes: float | None = None,
) -> None:
    """Take a step on each batch; saved every two minutes and at the end.

    Args:
        learner: whose steps these are.
        batches: from its step on.
        update: takes one step; gives the figures for the curve, `loss` among them.
        show: is told the figures of every step.
        validate: measures the learner; also at the end, if the last step wasn't measured.
        validate_every: so many steps.
        minutes: stop after the step that goes past it; at the last batch if None.
    """
    start = saved = time.monotonic()
    for batch in batches:
        figures = update(batch)
        learner.curve.append({"step": learner.step, **figures})
        show(figures)
        if validate is not None and learner.step % validate_every == 0:
            validate()
        if time.monotonic() - saved > SAVE_EVERY_SECONDS:
            learner.save()
            saved = time.monotonic()
        if minutes is not None and time.monotonic() - start > 60 * minutes:
            break
    if validate is not None and learner.step % validate_every:
        validate()
    learner.save()
