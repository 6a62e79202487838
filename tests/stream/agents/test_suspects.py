"""Of what was in hand at two crashes the culprit alone is left behind."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import stream.agents.suspects as module
from stream.agents.deaths import CRASH_WEIGHT, Deaths
from stream.agents.fingerprint import FingerprintWorker
from stream.agents.suspects import Suspects
from stream.broker.settings import KafkaSettings
from stream.contract.events import Event
from stream.contract.message import Source
from tests.stream.service import service_settings

SOURCES = [Source("video.uploaded", 3, offset, 1000, b"{}") for offset in range(6)]
LIFE = """
import asyncio, ctypes, sys
from pathlib import Path
from stream.agents.deaths import Deaths
from stream.agents.suspects import Suspects
from stream.contract.message import Source
from stream.errors import InternalError

async def take(suspects, offset):
    source = Source("video.uploaded", 3, offset, 1000, b"{}")
    try:
        async with suspects.at_work(source):
            await asyncio.sleep(0.1)
            if offset in CULPRITS:
                ctypes.string_at(0)
            await asyncio.sleep(0.1)
    except InternalError:
        print(offset)

async def live():
    deaths = Deaths(Path(sys.argv[1]), "role")
    deaths.open()
    suspects = Suspects(deaths)
    await asyncio.gather(*(take(suspects, offset) for offset in range(6)))
    deaths.close()

CULPRITS = [int(offset) for offset in sys.argv[2:]]
asyncio.run(live())
"""


def left_behind(folder: Path, *culprits: int) -> tuple[int, str]:
    """How often workers crashed before one took all six messages, and what that one rejected."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("PYTHONFAULTHANDLER", None)
    command = [sys.executable, "-c", LIFE, str(folder), *map(str, culprits)]
    for crashes in range(10):
        done = subprocess.run(command, env=environment, timeout=120, capture_output=True, text=True)
        if done.returncode == 0:
            return crashes, done.stdout
        assert done.returncode == -signal.SIGSEGV, done.stderr
    raise AssertionError("it crashes for ever")


def test_who_was_in_hand_beside_the_culprit_is_not_left_behind(tmp_path: Path) -> None:
    assert left_behind(tmp_path, 3) == (2, "3\n")


@pytest.fixture
def suspected(tmp_path: Path) -> Path:
    """A folder whose notes say that the first three messages were in hand at a crash."""
    deaths = Deaths(tmp_path, "fingerprint")
    deaths._weights = {(one.topic, one.partition, one.offset): CRASH_WEIGHT for one in SOURCES[:3]}
    deaths.open()
    deaths.close()
    return tmp_path


async def test_a_suspect_is_alone_and_others_are_side_by_side(suspected: Path) -> None:
    deaths = Deaths(suspected, "fingerprint")
    deaths.open()
    suspects, at_work, seen = Suspects(deaths), set[int](), list[set[int]]()

    async def take(source: Source) -> None:
        async with suspects.at_work(source):
            at_work.add(source.offset)
            seen.append(set(at_work))
            await asyncio.sleep(0.05)
            seen.append(set(at_work))
            at_work.remove(source.offset)

    await asyncio.gather(*(take(source) for source in reversed(SOURCES)))
    assert [with_a_suspect for with_a_suspect in seen if with_a_suspect & {0, 1, 2}] == [
        {2}, {2}, {1}, {1}, {0}, {0},
    ]  # fmt: skip
    assert {3, 4, 5} in seen
    assert not any(deaths.suspects(source) for source in SOURCES), "once it is through, it is none"
    deaths.close()


@pytest.mark.parametrize("first", [SOURCES[0], SOURCES[5]], ids=["a suspect", "another"])
async def test_one_that_does_not_end_stops_neither_suspects_nor_others(
    suspected: Path, monkeypatch: pytest.MonkeyPatch, first: Source
) -> None:
    monkeypatch.setattr(module, "MAX_ALONE_SECONDS", 0.2)
    deaths = Deaths(suspected, "fingerprint")
    deaths.open()
    suspects = Suspects(deaths)
    async with suspects.at_work(first), asyncio.timeout(10):
        for source in SOURCES[1:5]:
            async with suspects.at_work(source):
                pass
    deaths.close()


async def test_the_fingerprint_worker_takes_suspects_alone(
    suspected: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = service_settings(KafkaSettings(), suspected)
    settings = settings.model_copy(
        update={"worker": settings.worker.model_copy(update={"data_folder": suspected})}
    )
    worker = FingerprintWorker(settings)
    at_work, most = set[int](), 0

    async def patiently(source: Source, place: object) -> list[Event]:
        nonlocal most
        at_work.add(source.offset)
        most = max(most, len(at_work))
        await asyncio.sleep(0.05)
        at_work.remove(source.offset)
        return []

    monkeypatch.setattr(worker, "_patiently", patiently)
    worker._deaths.open()
    await asyncio.gather(*(worker._made(source) for source in SOURCES[:3]))
    assert most == 1
    await asyncio.gather(*(worker._made(source) for source in SOURCES[:3]))
    assert most == 3
    worker._deaths.close()
    worker._fingerprinter.close()
    worker._threads.shutdown()
