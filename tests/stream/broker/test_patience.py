"""Nobody waits for a client that counts by a clock which was set back meanwhile."""

import os
import shutil
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stream.broker import patience
from stream.broker.patience import patient
from stream.errors import UnreachableError
from tests.tools import not_installed

ROOT = Path(__file__).parents[3]
CLOCK_SOURCE = ROOT / "benchmarks" / "delivery" / "stepping_clock.c"
DAY_SECONDS = 86_400
ASKS = """
from stream.broker import patience, topics
from stream.broker.settings import KafkaSettings
from stream.errors import UnreachableError

patience.PATIENT_SECONDS = 3.0
try:
    topics.topic_problems(KafkaSettings(bootstrap_servers="127.0.0.1:9"))
except UnreachableError as error:
    print(error)
"""

FREEZES = """
import ctypes
from stream.broker import patience

patience.PATIENT_SECONDS = patience.FROZEN_SECONDS = 0.5
patience.patient(lambda: ctypes.PyDLL(None).sleep(60))()  # a PyDLL keeps Python's lock
"""

FREEZES_WHILE_ANOTHER_ENDS = """
import ctypes, threading, time
from stream.broker import patience

patience.PATIENT_SECONDS = patience.FROZEN_SECONDS = 0.5

def freezes():
    time.sleep(0.2)
    ctypes.PyDLL(None).sleep(60)

threading.Thread(target=patience.patient(freezes), daemon=True).start()
time.sleep(0.1)
patience.patient(lambda: None)()  # its end leaves the other watched
time.sleep(60)
"""

WAITS_BESIDE_OTHERS = """
import threading, time
from stream.broker import patience

patience.PATIENT_SECONDS, patience.FROZEN_SECONDS = 0.8, 0.8
long = [threading.Thread(target=patience.patient(lambda: time.sleep(0.5))) for _ in range(8)]
for thread in long:
    thread.start()
    time.sleep(0.1)
    patience.patient(lambda: None)()
for thread in long:
    thread.join()
time.sleep(2.5)  # longer than any timer that was left
print("went on")
"""


def test_a_client_that_keeps_pythons_lock_ends_the_process() -> None:
    frozen = subprocess.run([sys.executable, "-c", FREEZES], stderr=subprocess.PIPE, timeout=30)
    assert frozen.returncode == 1
    assert b"Timeout (0:00:01)!" in frozen.stderr and b"patience.py" in frozen.stderr


def test_a_client_that_keeps_pythons_lock_ends_the_process_although_another_has_answered() -> None:
    began = time.monotonic()
    frozen = subprocess.run(
        [sys.executable, "-c", FREEZES_WHILE_ANOTHER_ENDS], stderr=subprocess.PIPE, timeout=100
    )
    assert frozen.returncode == 1
    assert b"Timeout (0:00:01)!" in frozen.stderr
    assert time.monotonic() - began < 30


def test_who_waits_long_enough_for_an_answer_is_not_taken_for_frozen() -> None:
    waits = [sys.executable, "-c", WAITS_BESIDE_OTHERS]
    assert subprocess.check_output(waits, timeout=30) == b"went on\n"


def test_what_is_asked_answers_or_raises_as_ever() -> None:
    assert patient(lambda number: number + 1)(2) == 3

    def fails() -> None:
        raise KeyError("why")

    with pytest.raises(KeyError, match="why"):
        patient(fails)()


def test_an_answer_that_never_comes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENT_SECONDS", 0.1)
    never = threading.Event()
    waits: Callable[[], bool] = never.wait
    with pytest.raises(UnreachableError, match="no answer within 0 s.*clock is set back"):
        patient(waits)()
    never.set()


def false_clock(folder: Path, step_seconds: int) -> dict[str, str]:
    """The environment of a process whose wall clock is ahead of that by which the kernel wakes it.

    Args:
        folder: for what the compiler makes.
        step_seconds: by so much.
    """
    if shutil.which("cc") is None:
        not_installed("gcc")
    library, clock = folder / "clock.so", folder / "clock"
    command = ["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(CLOCK_SOURCE)]
    subprocess.run(command, check=True)
    clock.write_bytes(struct.pack("q", step_seconds))
    return {**os.environ, "LD_PRELOAD": str(library), "STEPPING_CLOCK": str(clock)}


def test_a_clock_that_is_set_back_holds_nobody_for_a_day(tmp_path: Path) -> None:
    asks = [sys.executable, "-c", ASKS]
    environment = false_clock(tmp_path, DAY_SECONDS)
    said = subprocess.check_output(asks, env=environment, cwd=ROOT, timeout=60)
    assert b"the machine's clock is set back: start again" in said
