"""How sure something is, as people read it."""

import pytest

from stream.texts import percent


@pytest.mark.parametrize(
    ("sure", "said"), [(0.0, 0), (0.004, 0), (0.586, 59), (0.994, 99), (0.9998, 99), (1.0, 100)]
)
def test_only_what_is_certain_is_a_hundred_percent(sure: float, said: int) -> None:
    assert percent(sure) == said
