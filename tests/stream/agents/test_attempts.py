"""An input that fails twice is left behind; what the machine lacks is not the input's fault."""

import errno
import gc
from contextlib import suppress
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError, MessageSizeTooLargeError

from models.aligners.base import Segment
from models.aligners.matrix import SimilarityMatrix
from models.all_aligners import make_aligner
from stream.agents import attempts
from stream.agents.attempts import attempted, is_the_machines, publish_or_reject
from stream.agents.library import library_step
from stream.contract.events import Event, VideoCompared, VideoFingerprinted, VideoRejected
from stream.contract.message import Source
from stream.errors import BadEventError, BrokerError, CorruptError, InternalError
from stream.library.settings import LibrarySettings
from stream.library.shard import LibraryShard
from tests.stream.pills import good_fields

SOURCE = Source("video.uploaded", 3, 7, 1000, b'{"video_id":"v"}')


class Failing:
    """Work that raises each of some errors in turn, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.calls = [*errors], 0

    def __call__(self) -> str:
        """Raise, or be done."""
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def test_work_that_fails_once_is_done() -> None:
    work = Failing(ZeroDivisionError("division by zero"))
    assert attempted(SOURCE, work) == "done"
    assert work.calls == 2


def test_work_that_fails_twice_is_internal_with_the_errors_text() -> None:
    work = Failing(*[ZeroDivisionError(f"division {number}") for number in range(9)])
    with pytest.raises(InternalError, match=r"^ZeroDivisionError: division 1$"):
        attempted(SOURCE, work)
    assert work.calls == 2


class OwnError(Exception):
    """Of the test below alone."""


@pytest.mark.parametrize("times", [1, 2])
def test_a_failure_holds_no_message_once_it_is_dealt_with(
    times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts.log, "warning", lambda *_, **__: None)  # pytest keeps what is said
    gc.collect()
    gc.disable()
    try:
        with suppress(InternalError):
            attempted(SOURCE, Failing(*[OwnError() for _ in range(times)]))
        assert not [one for one in gc.get_objects() if isinstance(one, OwnError)]
    finally:
        gc.enable()


@pytest.mark.parametrize("before", [0, 1])
def test_a_rejection_is_final_at_once(before: int) -> None:
    work = Failing(*[ValueError("first")] * before, CorruptError("no [index]"))
    with pytest.raises(CorruptError):
        attempted(SOURCE, work)
    assert work.calls == before + 1


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        KafkaConnectionError("away"),
        BrokerError("away"),
        ConnectionResetError("away"),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EROFS, "Read-only file system"),
        OSError(errno.EMFILE, "Too many open files"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("before", [0, 1])
def test_what_the_machine_lacks_is_not_counted(error: Exception, before: int) -> None:
    work = Failing(*[ValueError("first")] * before, error)
    with pytest.raises(type(error)):
        attempted(SOURCE, work)
    assert work.calls == before + 1


@pytest.mark.parametrize(
    "error",
    [
        MessageSizeTooLargeError("too large"), BadEventError("bad"), ValueError("x"),
        FileNotFoundError(errno.ENOENT, "gone"), RecursionError("deep"),
    ],
    ids=repr,
)  # fmt: skip
def test_what_an_input_is_is_not_the_machines(error: Exception) -> None:
    assert not is_the_machines(error)


class FullTopic:
    """Takes dead letters and what is small."""

    def __init__(self) -> None:
        self.taken: list[Event] = []

    async def publish(self, events: list[Event]) -> None:
        """Refuse anything else."""
        for event in events:
            if not isinstance(event, VideoRejected):
                raise MessageSizeTooLargeError("9,000 bytes")
            self.taken.append(event)


async def test_what_is_too_large_for_its_topic_becomes_a_letter_of_its_request() -> None:
    answer, topic = VideoCompared.from_json(good_fields("video.compared")), FullTopic()
    (letter,) = await publish_or_reject(topic, SOURCE, [answer], request_id="r")  # type: ignore[arg-type]
    assert topic.taken == [letter]
    assert isinstance(letter, VideoRejected)
    assert (letter.error, letter.request_id, letter.video_id) == ("too_large", "r", "v")


async def test_a_kafka_that_refuses_otherwise_is_not_the_inputs_fault() -> None:
    class Away(FullTopic):
        async def publish(self, events: list[Event]) -> None:
            raise KafkaError("away")

    with pytest.raises(KafkaError):
        await publish_or_reject(Away(), SOURCE, [])  # type: ignore[arg-type]


class Stumbling:
    """A real aligner that raises while it is told to."""

    def __init__(self) -> None:
        self.real, self.raises = make_aligner("temporal_network"), 0

    def align(self, similarity: SimilarityMatrix) -> list[Segment]:
        """Raise, or align."""
        if self.raises:
            self.raises -= 1
            raise FloatingPointError("no number")
        return self.real.align(similarity)


def entry(offset: int) -> Source:
    event = VideoFingerprinted.from_json(good_fields("video.fingerprinted", f"v{offset}"))
    return Source("video.fingerprinted", 0, offset, 1000, event.to_bytes(), event.key())


def shard(aligner: Any) -> LibraryShard:
    return LibraryShard(LibrarySettings(), 0, aligner)


def held(made: LibraryShard) -> list[str]:
    return [one.entry.video_id for one in made.state.held()]


def test_an_entry_that_fails_once_is_answered_and_kept_once() -> None:
    aligner = Stumbling()
    made = shard(aligner)
    library_step(made, entry(0), answered=False)
    aligner.raises = 1
    (answer,) = library_step(made, entry(1), answered=False)
    assert isinstance(answer, VideoCompared)
    assert held(made) == ["v0", "v1"]


def test_an_entry_that_fails_twice_is_a_letter_and_what_is_held_is_as_in_a_rebuild() -> None:
    aligner = Stumbling()
    made = shard(aligner)
    library_step(made, entry(0), answered=False)
    aligner.raises = 2
    (letter,) = library_step(made, entry(1), answered=False)
    assert isinstance(letter, VideoRejected)
    assert (letter.error, letter.message) == ("internal", "FloatingPointError: no number")
    assert (letter.video_id, letter.request_id) == ("v1", "request of v1")
    (answer,) = library_step(made, entry(2), answered=False)
    assert isinstance(answer, VideoCompared), "the shard goes on"
    rebuilt = shard(make_aligner("temporal_network"))
    for offset in range(3):
        library_step(rebuilt, entry(offset), answered=True)
    assert held(made) == held(rebuilt) == ["v0", "v1", "v2"]
