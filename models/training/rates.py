"""Learning rates over a training run: up in a line, then down half a cosine."""

import math

from torch.optim import Optimizer

# Of the highest rate: late steps of runs that end on a mean of their weights still move it a
# little. Set by hand.
MIN_RATE = 0.01


def rate_factor(step: int, steps: int, warm_up: int, passed: float = 0.0) -> float:
    """What the highest learning rate is multiplied with; it ends at 0.

    Args:
        step: the one to take, from 0.
        steps: of the run.
        warm_up: steps until the rate is at its highest.
        passed: share of the run's time that is over, in [0, 1]: a run that its minutes end comes
            down with them.
    """
    done = max(step / max(steps, 1), passed)
    return min(1.0, (step + 1) / warm_up) * 0.5 * (1 + math.cos(math.pi * done))


def set_rates(optimiser: Optimizer, factor: float, highest: float | None = None) -> None:
    """Set the rate of the next step.

    Args:
        optimiser: of any number of groups.
        factor: of the highest rate.
        highest: of all groups; if None, each group's own, under its key `rate`.
    """
    for group in optimiser.param_groups:
        group["lr"] = (group["rate"] if highest is None else highest) * factor
