"""Times of the console's database, as a client may give them back."""

import pytest

from stream.console.store.columns import (
    EARLIEST,
    LATEST,
    microseconds,
    of_microseconds,
)


@pytest.mark.parametrize("value", [2**62, -(2**62), 0, EARLIEST, LATEST])
def test_a_number_that_a_client_made_up_is_some_time(value: int) -> None:
    """Cursors hold microseconds, and whoever gives one back may have changed it."""
    assert microseconds(of_microseconds(value)) == min(max(value, EARLIEST), LATEST)
