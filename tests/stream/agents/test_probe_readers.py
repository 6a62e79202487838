"""Who answers probes: each is begun once at most, and an entry of the log waits for one at most."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import MessageSizeTooLargeError

from stream.agents.deaths import Deaths
from stream.agents.lifetime import Failure
from stream.agents.probe_answers import ProbeAnswers
from stream.agents.probe_fingerprints import ProbeFingerprints, probe_step
from stream.broker.client import send
from stream.broker.embedded import EmbeddedBroker
from stream.broker.settings import KafkaSettings
from stream.contract.events import Event, ProbeAnswered, ProbeAsked, ProbeFingerprinted
from stream.contract.topics import load_topics
from stream.errors import WorkerError
from stream.library.shard import LibraryShard
from stream.settings import load_settings
from tests.stream.library_log import fingerprint, look, shard
from tests.stream.probes import asked, fingerprinted, source_of

VIDEO = Path("/nowhere/video.mp4")


class Said:
    """A publisher that keeps what it is given, up to a size."""

    def __init__(self, max_bytes: int = 10**9) -> None:
        self.events: list[Any] = []
        self._max_bytes = max_bytes

    async def publish(self, events: list[Event]) -> None:
        """Take them, or refuse what is too large."""
        for event in events:
            if len(event.to_bytes()) > self._max_bytes:
                raise MessageSizeTooLargeError("too large")
            self.events.append(event)

    async def wait(self, count: int) -> list[Any]:
        """What was said, when there is so much of it."""
        async with asyncio.timeout(60):
            while len(self.events) < count:
                await asyncio.sleep(0.02)
        return self.events


class Log:
    """The library log as a shard's worker knows it."""

    def __init__(self, read_to: int = 0, ends_at: int = 0) -> None:
        self.position, self.ends_at, self.looked = read_to, ends_at, asyncio.Event()

    def read_to(self) -> int:
        """The next entry that isn't in the shard."""
        return self.position

    def end(self) -> int:
        """The next offset that an entry gets."""
        self.looked.set()
        return self.ends_at


class Working:
    """Stands for the networks; raises what it is told to, and knows which probes were begun."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.begun = error, list[str]()

    def fingerprint(self, video: Any, request_id: str, *_: Any, **more: Any) -> Any:
        """A fingerprint without a vector."""
        assert more == {"embed": False}
        self.begun.append(request_id)
        if self.error is not None:
            raise self.error
        made = fingerprint(video.video_id, look(1), request_id=request_id)
        return SimpleNamespace(fingerprint=made)


@pytest.fixture
def kafka() -> Iterator[KafkaSettings]:
    topics = [topic for topic in load_topics() if topic.name.startswith("probe.")]
    with EmbeddedBroker(topics=topics) as broker:
        yield KafkaSettings(broker="embedded", bootstrap_servers=broker.bootstrap_servers)


def put(kafka: KafkaSettings, *probes: ProbeAsked | ProbeFingerprinted) -> None:
    for probe in probes:
        send(kafka, probe.topic, [(b"k", probe.to_bytes(), [])])


@asynccontextmanager
async def fingerprinting(
    kafka: KafkaSettings, folder: Path, working: Any, said: Said
) -> AsyncIterator[Failure]:
    failure: Failure = asyncio.get_running_loop().create_future()
    settings = load_settings(kafka=kafka, worker={"session_timeout_seconds": 6})
    deaths = Deaths(folder, "fingerprint")
    deaths.open()
    reader = ProbeFingerprints(settings, working, said, deaths, failure)  # type: ignore[arg-type]
    await reader.start()
    try:
        yield failure
    finally:
        await reader.stop()
        deaths.close()


@asynccontextmanager
async def answering(
    kafka: KafkaSettings,
    folder: Path,
    library: LibraryShard,
    thread: ThreadPoolExecutor,
    said: Said,
    log: Log,
) -> AsyncIterator[Failure]:
    failure: Failure = asyncio.get_running_loop().create_future()
    deaths = Deaths(folder, "library")
    deaths.open()
    reader = ProbeAnswers(
        kafka, library, thread, said, deaths, failure,  # type: ignore[arg-type]
        read_to=log.read_to, log_end=log.end,
    )  # fmt: skip
    await reader.start()
    try:
        yield failure
    finally:
        await reader.stop()
        deaths.close()


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as one:
        yield one


async def test_a_probe_that_ends_a_fingerprint_worker_is_not_begun_by_the_next(
    kafka: KafkaSettings, tmp_path: Path
) -> None:
    deadly, well = Working(WorkerError("the process ends")), Working()
    put(kafka, asked(VIDEO, "deadly"))
    async with fingerprinting(kafka, tmp_path, deadly, Said()) as failure:
        with pytest.raises(WorkerError, match="the process ends"):
            await asyncio.wait_for(failure, 60)
    put(kafka, asked(VIDEO, "next"))
    said = Said()
    async with fingerprinting(kafka, tmp_path, well, said):
        await said.wait(1)
    assert (deadly.begun, well.begun) == (["deadly"], ["next"])


async def test_a_probe_that_ends_a_shard_is_not_begun_by_the_next(
    kafka: KafkaSettings,
    tmp_path: Path,
    thread: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library, said = shard(), Said()

    def deadly(*_: Any) -> Any:
        raise WorkerError("the process ends")

    async with answering(kafka, tmp_path, library, thread, said, Log()) as failure:
        with monkeypatch.context() as patch:
            patch.setattr(LibraryShard, "probe", deadly)
            await asyncio.to_thread(put, kafka, fingerprinted(fingerprint("deadly", look(1))))
            with pytest.raises(WorkerError, match="the process ends"):
                await asyncio.wait_for(failure, 60)
    async with answering(kafka, tmp_path, library, thread, said, Log()):
        await asyncio.to_thread(put, kafka, fingerprinted(fingerprint("next", look(1))))
        await said.wait(1)
    assert [answer.probe_id for answer in said.events] == ["next"]


async def test_an_entry_of_the_log_waits_for_one_probe_at_most(
    kafka: KafkaSettings,
    tmp_path: Path,
    thread: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order, begun, go_on = list[str](), threading.Event(), threading.Event()
    real = LibraryShard.probe

    def slow(library: LibraryShard, probe: ProbeFingerprinted, *rest: Any) -> ProbeAnswered:
        order.append(probe.probe_id)
        begun.set()
        assert go_on.wait(60)
        return real(library, probe, *rest)

    monkeypatch.setattr(LibraryShard, "probe", slow)
    said = Said()
    async with answering(kafka, tmp_path, shard(), thread, said, Log()):
        probes = [fingerprinted(fingerprint(f"p{number}", look(number))) for number in range(5)]
        await asyncio.to_thread(put, kafka, *probes)
        assert await asyncio.to_thread(begun.wait, 60)
        entry = asyncio.get_running_loop().run_in_executor(thread, order.append, "an entry")
        go_on.set()
        await entry
        await said.wait(5)
    assert order == ["p0", "an entry", "p1", "p2", "p3", "p4"]


async def test_a_shard_answers_when_it_has_read_what_was_on_the_log(
    kafka: KafkaSettings, tmp_path: Path, thread: ThreadPoolExecutor
) -> None:
    library, said, log = shard(), Said(), Log(read_to=0, ends_at=1)
    late = fingerprinted(fingerprint("late", look(1)), wait=timedelta(seconds=1))
    async with answering(kafka, tmp_path, library, thread, said, log):
        await asyncio.to_thread(put, kafka, late)
        (refusal,) = await said.wait(1)
        assert (refusal.probe_id, refusal.error, refusal.shard) == ("late", "timeout", 0)
        log.looked.clear()
        await asyncio.to_thread(put, kafka, fingerprinted(fingerprint("p", look(1))))
        await log.looked.wait()
        library.apply(fingerprint("film", look(1)), 0)
        log.position, log.ends_at = 1, 2  # what came meanwhile isn't waited for
        answer = (await said.wait(2))[1]
    assert answer.library_offset == 1
    assert [match.reference_id for match in answer.matches] == ["film"]


async def test_an_answer_that_is_too_large_for_its_topic_is_refused(
    kafka: KafkaSettings, tmp_path: Path, thread: ThreadPoolExecutor
) -> None:
    library, said = shard(), Said(max_bytes=500)
    library.apply(fingerprint("film", look(1)), 0)
    async with answering(kafka, tmp_path, library, thread, said, Log(1, 1)):
        await asyncio.to_thread(put, kafka, fingerprinted(fingerprint("p", look(1))))
        (refusal,) = await said.wait(1)
    assert (refusal.probe_id, refusal.error, refusal.shard) == ("p", "too_large", 0)


@pytest.mark.parametrize("error", [MemoryError("no room"), OSError(28, "No space left on device")])
def test_what_the_machine_lacks_is_told_and_not_waited_for(error: Exception) -> None:
    working: Any = Working(error)
    said = probe_step(working, source_of(asked(VIDEO, "p")))
    assert isinstance(said, ProbeAnswered)
    assert said.error == "internal"
    assert str(error) in (said.message or "")


def test_a_probe_that_fails_for_another_reason_is_tried_twice() -> None:
    working: Any = Working(ZeroDivisionError("division by zero"))
    said = probe_step(working, source_of(asked(VIDEO, "p")))
    assert isinstance(said, ProbeAnswered)
    assert (said.error, said.message) == ("internal", "ZeroDivisionError: division by zero")
    assert working.begun == ["p", "p"]
