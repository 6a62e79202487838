"""Nobody waits for a client that counts by a clock which was set back meanwhile."""

import os
import shutil
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from stream.broker import topics
from stream.broker.topics import patient
from stream.errors import UnreachableError

ROOT = Path(__file__).parents[3]
CLOCK_SOURCE = ROOT / "benchmarks" / "delivery" / "stepping_clock.c"
DAY_SECONDS = 86_400
ASKS = """
from stream.broker import topics
from stream.broker.settings import KafkaSettings
from stream.errors import UnreachableError

topics.PATIENT_SECONDS = 3.0
try:
    topics.topic_problems(KafkaSettings(bootstrap_servers="127.0.0.1:9"))
except UnreachableError as error:
    print(error)
"""


FREEZES = """
import ctypes
from stream.broker import topics

topics.PATIENT_SECONDS = topics.FROZEN_SECONDS = 0.5
topics.patient(lambda: ctypes.PyDLL(None).sleep(60))()  # a PyDLL keeps Python's lock
"""


def test_a_client_that_keeps_pythons_lock_ends_the_process() -> None:
    frozen = subprocess.run([sys.executable, "-c", FREEZES], stderr=subprocess.PIPE, timeout=30)
    assert frozen.returncode == 1
    assert b"Timeout (0:00:01)!" in frozen.stderr and b"topics.py" in frozen.stderr


def test_what_is_asked_answers_or_raises_as_ever() -> None:
    assert patient(lambda number: number + 1)(2) == 3

    def fails() -> None:
        raise KeyError("why")

    with pytest.raises(KeyError, match="why"):
        patient(fails)()


def test_an_answer_that_never_comes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "PATIENT_SECONDS", 0.1)
    never = threading.Event()
    waits: Callable[[], bool] = never.wait
    with pytest.raises(UnreachableError, match="no answer within 0 s.*clock is set back"):
        patient(waits)()
    never.set()


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler for the false clock")
def test_a_clock_that_is_set_back_holds_nobody_for_a_day(tmp_path: Path) -> None:
    library, clock = tmp_path / "clock.so", tmp_path / "clock"
    command = ["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(CLOCK_SOURCE)]
    subprocess.run(command, check=True)
    clock.write_bytes(struct.pack("q", DAY_SECONDS))
    false = {"LD_PRELOAD": str(library), "STEPPING_CLOCK": str(clock)}
    # What the client reads is a day ahead of the clock by which the kernel wakes it.
    asks = [sys.executable, "-c", ASKS]
    said = subprocess.check_output(asks, env={**os.environ, **false}, cwd=ROOT, timeout=60)
    assert b"the machine's clock is set back: start again" in said
