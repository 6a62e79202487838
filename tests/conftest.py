"""What holds for every test: random order, random examples, no unexpected ERROR in the log.

The workers of `make test` share it file by file, so a fixture of a module is made once.
"""

import logging
import signal
from collections.abc import Iterator

import hypothesis
import pytest

LONG_FIRST = ("tests/kafka/", "tests/models/")
# Whose errors count: to the Kafka clients it is an ERROR that a new topic has no leader yet.
OURS = ("stream", "models")

# Hypothesis has a profile for CI that tries the same examples in every run: not this one.
hypothesis.settings.register_profile("samesource", deadline=None, print_blob=True)
hypothesis.settings.load_profile("samesource")


def pytest_configure() -> None:
    """Processes that tests interrupt must not inherit from a run in the background to ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """One seed for all that is random; long files first, so that no worker is left with one."""
    seed = config.getoption("randomly_seed", None)
    if isinstance(seed, int):
        tests = [item.function for item in items if isinstance(item, pytest.Function)]
        for test in filter(hypothesis.is_hypothesis_test, tests):
            hypothesis.seed(seed)(test)
    items.sort(key=lambda item: not item.nodeid.startswith(LONG_FIRST))


class _Errors(logging.Handler):
    """Keeps what this project logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        # A library's class that ours extends speaks under our module's name.
        ours = record.name.partition(".")[0] in OURS and "site-packages" not in record.pathname
        if ours:
            self.lines.append(f"{record.name}: {record.getMessage()}")


@pytest.fixture(autouse=True)
def no_unexpected_errors(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that logs an ERROR fails, unless it takes `caplog` or is marked `logs_errors`."""
    expected = "caplog" in request.fixturenames or request.node.get_closest_marker("logs_errors")
    errors = _Errors()
    root = logging.getLogger()
    root.addHandler(errors)
    yield
    root.removeHandler(errors)
    assert expected or not errors.lines, "logged as ERROR:\n" + "\n".join(errors.lines)
