"""What is in hand at a death again and again is left behind; what is beside it is not."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from stream.agents.deaths import Deaths, leave_behind
from stream.contract.message import Source
from stream.errors import InternalError, NoPermitError

PILL = Source("video.uploaded", 3, 7, 1000, b"{}")
OTHER = Source("video.uploaded", 3, 8, 1000, b"{}")
PROBE = Source("probe.asked", 3, 7, 1000, b"{}")
CRASHES = """
import ctypes, sys
from contextlib import ExitStack
from pathlib import Path
from stream.agents.deaths import Deaths, leave_behind
from stream.contract.message import Source
deaths = Deaths(Path(sys.argv[1]), "role")
deaths.open()
with ExitStack() as in_hand:
    for topic in sys.argv[2:]:
        in_hand.enter_context(deaths.at_work(Source(topic, 3, 7, 1000, b"{}")))
    ctypes.string_at(0)
"""
ENDS = """
import sys
from pathlib import Path
from stream.agents.deaths import Deaths
deaths = Deaths(Path(sys.argv[1]), "role")
deaths.open()
deaths.close()
"""


KILLED = """
import json, os, signal, sys
from contextlib import ExitStack
from pathlib import Path
from stream.agents.deaths import Deaths
from stream.contract.message import Source
for line in sys.stdin:
    folder, places = json.loads(line)
    if (child := os.fork()) == 0:
        deaths = Deaths(Path(folder), "role")
        deaths.open()
        in_hand = ExitStack()
        for place in places:
            in_hand.enter_context(deaths.at_work(Source(*place, 1000, b"{}")))
        os.kill(os.getpid(), signal.SIGKILL)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""In a process without threads: one that forks beside others may leave a lock taken for ever."""


class Killed(Protocol):
    """What makes a worker and kills it."""

    def __call__(self, folder: Path, *sources: Source) -> None:
        """Kill one of this folder, with these in hand."""


def outside() -> dict[str, str]:
    """The environment of a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("PYTHONFAULTHANDLER", None)
    return environment


@contextmanager
def opened(folder: Path, role: str = "role") -> Iterator[Deaths]:
    deaths = Deaths(folder, role)
    deaths.open()
    try:
        yield deaths
    finally:
        deaths.close()


@pytest.fixture(scope="module")
def killed() -> Iterator[Killed]:
    """A worker that is killed with these in hand."""
    command, environment = [sys.executable, "-c", KILLED], outside()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as parent:  # type: ignore[call-overload]
        assert parent.stdin is not None and parent.stdout is not None

        def kill(folder: Path, *sources: Source) -> None:
            places = [(each.topic, each.partition, each.offset) for each in sources]
            print(json.dumps([str(folder), places]), file=parent.stdin, flush=True)
            assert parent.stdout.readline() == f"{-signal.SIGKILL}\n"

        yield kill
        parent.stdin.close()


def orderly(folder: Path) -> None:
    """A worker whose process ends as it should, in a process of its own as all of them are."""
    command = [sys.executable, "-c", ENDS, str(folder)]
    subprocess.run(command, env=outside(), timeout=120, check=True)


def crashed_twice(folder: Path, *topics: str) -> None:
    """Two workers that crash with a message of each of these topics in hand."""
    for _ in range(2):
        command = [sys.executable, "-c", CRASHES, str(folder), *topics]
        done = subprocess.run(command, env=outside(), timeout=120, capture_output=True)
        assert done.returncode == -signal.SIGSEGV, done.stderr


def is_left_behind(deaths: Deaths, source: Source) -> bool:
    try:
        with deaths.at_work(source):
            return False
    except InternalError:
        return True


def test_what_crashed_a_worker_twice_is_left_behind_by_the_third(tmp_path: Path) -> None:
    crashed_twice(tmp_path, "video.uploaded")
    with opened(tmp_path) as deaths:
        assert is_left_behind(deaths, PILL)
        assert not is_left_behind(deaths, PILL), "once; a replay is another attempt"
        assert not is_left_behind(deaths, OTHER)


def test_an_upload_isnt_blamed_for_two_crashes_that_a_probe_beside_it_may_have_made(
    tmp_path: Path,
) -> None:
    crashed_twice(tmp_path, "video.uploaded", "probe.asked")
    with opened(tmp_path) as deaths:
        assert not is_left_behind(deaths, PILL)
        assert not is_left_behind(deaths, PROBE)


def test_twenty_deaths_with_a_probe_in_hand_are_an_uploads_too(
    tmp_path: Path, killed: Killed
) -> None:
    for _ in range(20):
        killed(tmp_path, PILL, PROBE)
    with opened(tmp_path) as deaths:
        assert is_left_behind(deaths, PILL)
        assert not is_left_behind(deaths, PROBE), "it never comes again: nothing is known of it"


def test_kills_from_outside_are_forgiven_nineteen_times(tmp_path: Path, killed: Killed) -> None:
    for _ in range(19):
        killed(tmp_path, PILL, OTHER)
    with opened(tmp_path) as deaths:
        assert not is_left_behind(deaths, OTHER), "handled, and forgotten"
    killed(tmp_path, PILL, OTHER)
    with opened(tmp_path) as deaths:
        assert is_left_behind(deaths, PILL)
        assert not is_left_behind(deaths, OTHER)


def test_what_waits_keeps_its_count_over_restarts(tmp_path: Path, killed: Killed) -> None:
    for _ in range(10):
        killed(tmp_path, PILL)
    for _ in range(3):
        with opened(tmp_path):
            pass
    for _ in range(10):
        killed(tmp_path, PILL)
    with opened(tmp_path) as deaths:
        assert is_left_behind(deaths, PILL)


def test_an_orderly_end_is_no_death(tmp_path: Path) -> None:
    for _ in range(9):
        with opened(tmp_path) as deaths:
            in_hand = deaths.at_work(PILL)
            in_hand.__enter__()
    with opened(tmp_path) as deaths:
        assert not is_left_behind(deaths, PILL)


def test_notes_of_a_living_worker_are_its_own(tmp_path: Path, killed: Killed) -> None:
    for _ in range(19):
        killed(tmp_path, PILL)
    with opened(tmp_path) as living, living.at_work(PILL), opened(tmp_path) as beside:
        assert not is_left_behind(beside, PILL)
    for _ in range(20):
        killed(tmp_path, OTHER)
    with opened(tmp_path, "another-role") as deaths:
        assert not is_left_behind(deaths, OTHER)


def test_two_lacks_of_memory_are_two_crashes(tmp_path: Path) -> None:
    for _ in range(2):
        with opened(tmp_path) as deaths, pytest.raises(MemoryError), deaths.at_work(PILL):
            raise MemoryError
    with opened(tmp_path) as deaths:
        assert is_left_behind(deaths, PILL)


def test_what_must_wait_for_a_place_keeps_its_count(tmp_path: Path, killed: Killed) -> None:
    for _ in range(10):
        killed(tmp_path, PILL)
    with opened(tmp_path) as deaths:
        for source in (PILL, OTHER):
            with pytest.raises(NoPermitError), deaths.at_work(source):
                raise NoPermitError
        assert deaths.suspects(PILL)
        assert not deaths.suspects(OTHER)
    for _ in range(10):
        killed(tmp_path, PILL)
    with opened(tmp_path) as deaths:
        assert is_left_behind(deaths, PILL)


def test_a_folder_that_cant_be_written_costs_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "deaths").write_text("a file in its place")
    with opened(tmp_path) as deaths:
        assert not is_left_behind(deaths, PILL)


def test_what_is_half_written_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "deaths").mkdir()
    (tmp_path / "deaths" / "role-x.notes").write_bytes(b'{"taken":0}'.ljust(511) + b'\n{"topic":')
    (tmp_path / "deaths" / "role-y.notes").write_bytes(b"\xff" * 700)
    with opened(tmp_path) as deaths:
        assert not is_left_behind(deaths, PILL)


def test_notes_cost_microseconds(tmp_path: Path) -> None:
    with opened(tmp_path) as deaths:
        started = time.thread_time()  # other tests may have left threads at work
        for _ in range(1000):
            assert not is_left_behind(deaths, PILL)
        assert time.thread_time() - started < 1.0


def test_what_an_operator_skips_is_left_behind_once(tmp_path: Path) -> None:
    with opened(tmp_path):
        leave_behind(tmp_path, "role", ("video.uploaded", 3, 7))
    with opened(tmp_path) as deaths:
        assert not is_left_behind(deaths, OTHER)
        with pytest.raises(InternalError, match="left behind by `samesource skip`"):
            deaths.at_work(PILL).__enter__()
        assert not is_left_behind(deaths, PILL)


def test_what_is_skipped_is_known_to_every_worker_that_starts_until_one_has_left_it(
    tmp_path: Path,
) -> None:
    leave_behind(tmp_path, "role", ("video.uploaded", 3, 7))
    with opened(tmp_path) as first, opened(tmp_path) as second:
        assert not is_left_behind(first, OTHER)
        assert is_left_behind(second, PILL), "whoever is given its partition"
    with opened(tmp_path) as third:
        assert not is_left_behind(third, PILL)


def test_a_skip_of_which_half_is_written_and_one_of_another_role_are_nothing(
    tmp_path: Path,
) -> None:
    leave_behind(tmp_path, "another-role", ("video.uploaded", 3, 7))
    (tmp_path / "deaths" / "role-video.uploaded-3-7.skip").write_bytes(b'{"topic":')
    with opened(tmp_path) as deaths:
        assert not is_left_behind(deaths, PILL)


def test_of_those_that_died_without_a_crash_no_file_is_left(tmp_path: Path, killed: Killed) -> None:
    crashed_twice(tmp_path, "video.uploaded")
    for _ in range(3):
        killed(tmp_path, OTHER)
        orderly(tmp_path)
    sizes = [path.stat().st_size for path in tmp_path.rglob("*.crash")]
    assert len(sizes) == 3 and sizes.count(0) == 1, "two crashes, and the last to have started"
