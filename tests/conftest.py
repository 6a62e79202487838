"""What holds for every test: random order, random examples, no unexpected ERROR in the log.

The workers of `make test` share it file by file, so a fixture of a module is made once.
"""

import gc
import logging
import os
import signal
import warnings
from collections.abc import Generator, Iterator
from contextlib import suppress

import hypothesis
import psutil
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling, Scheduling
from xdist.workermanage import WorkerController

from tests.tools import judged

TOGETHER = {
    # What exports networks runs in one worker: the first export of a process takes many seconds of
    # CPU, for what torch loads and compiles by then, and each one after it a few.
    "exports": (
        "tests/models/detector/test_train.py",
        "tests/models/encoder/test_encoder.py",
        "tests/models/encoder/test_score_biases.py",
        "tests/models/keyframes/test_train.py",
        "tests/models/text_video/test_student.py",
        "tests/models/text_video/test_towers.py",
        "tests/models/text_video/test_train.py",
    ),
    # These share what they draw.
    "footage": (
        "tests/stream/evaluate/test_framings.py",
        "tests/stream/evaluate/test_hard_copies.py",
        "tests/stream/evaluate/test_odd_times.py",
    ),
}
# Tests that kill the Kafka of their file: each would start it anew, so that they go one by one.
ALONE = "tests/kafka/lives/"
LONG_FIRST = (
    "tests/kafka/",
    "tests/models/",
    "tests/stream/admin/test_mistakes.py",
    "tests/stream/agents/test_delivery.py",
    "tests/stream/agents/test_lives.py",
    "tests/stream/agents/test_slow_downloads.py",
    "tests/stream/broker/test_clocks.py",
    "tests/stream/console/web/browser/",
    "tests/stream/console/web/test_match_files.py",
)
# Whose errors count: to the Kafka clients it is an ERROR that a new topic has no leader yet.
OURS = ("stream", "models")
RUN = pytest.StashKey[str]()
"""The id of a run with workers."""

# Hypothesis has a profile for CI that tries the same examples in every run: not this one.
hypothesis.settings.register_profile("samesource", deadline=None, print_blob=True)
hypothesis.settings.load_profile("samesource")


def pytest_configure() -> None:
    """Processes that tests interrupt must not inherit from a run in the background to ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """In the process that started the workers: how to know what they start."""
    node.config.stash[RUN] = node.workerinput["testrunuid"]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Who interrupts a run interrupts all of it: workers are killed, and can stop no Kafka."""
    run = session.config.stash.get(RUN, None)
    if run is not None and exitstatus == pytest.ExitCode.INTERRUPTED:
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("PYTEST_XDIST_TESTRUNUID") == run:
                    process.kill()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is imported and collected stays to the end, and nobody looks through it for garbage.

    Python would at each quarter that it grows, and again in each full collection of the tests.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_unconfigure() -> None:
    """At its end Python frees what is frozen too; extensions tell of everything that it doesn't."""
    gc.unfreeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """One seed for all that is random; long files first, so that no worker is left with one."""
    seed = config.getoption("randomly_seed", None)
    if isinstance(seed, int):
        tests = [item.function for item in items if isinstance(item, pytest.Function)]
        for test in filter(hypothesis.is_hypothesis_test, tests):
            hypothesis.seed(seed)(test)
    items.sort(key=lambda item: [not item.nodeid.startswith(each) for each in (ALONE, LONG_FIRST)])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI, a skip fails, but for a few reasons."""
    report = yield
    judged(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same of whole files."""
    report = yield
    judged(report)
    return report


class _ByCost(LoadFileScheduling):
    """File by file, and those of `TOGETHER` as if they were one; each test of `ALONE` by itself."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(ALONE):
            return nodeid
        scope: str = super()._split_scope(nodeid)
        return next((name for name, files in TOGETHER.items() if scope in files), scope)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """In place of `--dist loadfile`."""
    return _ByCost(config, log) if config.getoption("dist") == "loadfile" else None


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


@pytest.fixture(scope="module", autouse=True)
def nothing_left_to_others() -> Iterator[None]:
    """What a file's tests leave open is cleared behind them: it fails no test of another file.

    A client of Kafka whose stop runs out of time, as on a busy machine, leaves its connections.
    """
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    gc.freeze()  # what stays isn't looked through again behind each later file


@pytest.fixture(autouse=True)
def no_real_time() -> Iterator[None]:
    """A test that makes its process a real-time one fails: nothing beside it would get to run."""
    before = _scheduling()
    yield
    assert _scheduling() == before, "this thread, and all it starts from now on, is real-time"


def _scheduling() -> int | None:
    """How the system schedules this thread; None where it doesn't tell."""
    return os.sched_getscheduler(0) if hasattr(os, "sched_getscheduler") else None
