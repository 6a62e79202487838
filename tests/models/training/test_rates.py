"""Learning rates: up in a line, down half a cosine, or down with the minutes."""

import pytest
import torch

from models.training.rates import rate_factor, set_rates


def test_the_rate_warms_up_in_a_line_and_ends_at_nothing() -> None:
    warming = [rate_factor(step, 1_000_000, 4) for step in range(4)]
    assert warming == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert rate_factor(500, 1000, 4) == pytest.approx(0.5)
    assert rate_factor(1000, 1000, 4) == 0


def test_the_rate_comes_down_with_the_minutes_where_they_end_the_run() -> None:
    assert rate_factor(10, 1000, 4, passed=0.5) == rate_factor(500, 1000, 4)
    assert rate_factor(700, 1000, 4, passed=0.5) == rate_factor(700, 1000, 4)
    assert rate_factor(10, 1000, 4, passed=1.0) == 0


def test_groups_have_one_rate_or_each_its_own() -> None:
    one, other = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    optimiser = torch.optim.AdamW([
        {"params": [one], "rate": 0.4}, {"params": [other], "rate": 0.2}
    ])  # fmt: skip
    set_rates(optimiser, 0.5)
    assert [group["lr"] for group in optimiser.param_groups] == [0.2, 0.1]
    set_rates(optimiser, 0.5, 0.6)
    assert [group["lr"] for group in optimiser.param_groups] == [0.3, 0.3]
