"""`samesource show`: one upload's whole story, in order of time, for people and machines."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stream.admin.upload_story import story_of
from stream.broker.client import Reader, send
from stream.broker.settings import KafkaSettings
from stream.cli.output import stdout
from stream.contract.embedded import Moments, packed_moments
from stream.contract.events import (
    EVENTS,
    AlertRaised,
    AlertSuppressed,
    VideoDecided,
    VideoEmbedded,
    VideoFingerprinted,
    VideoRejected,
    VideoUploaded,
)
from stream.contract.order import RESTATED
from stream.times import now
from tests.stream.answers import SEGMENT, answer, match, verdict
from tests.stream.brokers import broker_with
from tests.stream.cli.test_commands import one_line
from tests.stream.command import Command, publish
from tests.stream.console.store.said import applied
from tests.stream.library_log import fingerprint as unpacked
from tests.stream.library_log import look


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Iterator[KafkaSettings]:
    """A broker of this test's own, which holds a fetch for as long as it may: ends come behind."""
    monkeypatch.setattr("stream.broker.clients.FETCH_WAIT_MS", 5)
    with broker_with(EVENTS) as settings:
        yield settings


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], kafka: KafkaSettings
) -> Command:
    made = Command(monkeypatch, capfd)
    monkeypatch.setattr(stdout, "width", 400)  # no detail is folded
    made.on(kafka)
    return made


def fingerprint(video_id: str, seed: int, **changed: Any) -> VideoFingerprinted:
    return unpacked(video_id, look(seed), **changed).to_event()


def upload(video_id: str = "copy") -> VideoUploaded:
    return VideoUploaded(video_id=video_id, uri=f"file:///{video_id}.mp4", owner_id="fan")


def alert(alert_id: str, video_id: str, reference_id: str, **more: Any) -> dict[str, Any]:
    return {
        "alert_id": alert_id, "video_id": video_id, "reference_id": reference_id,
        "video_owner_id": "fan", "reference_owner_id": "studio", "score": 0.9,
        "segments": [SEGMENT], "model_version": "m", "library_offset": 3, "raised_at": now(),
        **more,
    }  # fmt: skip


def decision(request_id: str, outcome: Any = "matched", video_id: str = "copy") -> VideoDecided:
    return VideoDecided(
        video_id=video_id, content_version=1, outcome=outcome, alert_ids=["a1"], reason="1 alert",
        decided_at=now(), request_id=request_id, stage_seconds={},
    )  # fmt: skip


def embedding(video_id: str = "copy") -> VideoEmbedded:
    seconds, vectors = packed_moments(
        Moments(np.array([1.0, 9.0], np.float32), np.eye(2, dtype=np.float32))
    )
    return VideoEmbedded(
        video_id=video_id, model_version="pair-1", dimension=2, vector=[0.6, 0.8],
        duration_seconds=30.0, thumbnails=["", ""], moment_seconds=seconds, moment_vectors=vectors,
    )  # fmt: skip


def letter(**more: Any) -> VideoRejected:
    fields: dict[str, Any] = {
        "video_id": "cut", "error": "corrupt", "message": "no [index]",
        "source_topic": "video.uploaded", "source_partition": 2, "source_offset": 5, "attempts": 1,
        "request_id": "2-5-1000", "rejected_at": now(), "event": {"video_id": "cut", "uri": "x"},
    }  # fmt: skip
    return VideoRejected(**fields | more)


def lines_of(out: str) -> list[tuple[str, str]]:
    """What and details of each line of the table."""
    rows = [line[22:] for line in out.splitlines()[2:] if line.strip()]
    cut = out.splitlines()[0].index("details") - 22
    return [(row[:cut].strip(), row[cut:].strip()) for row in rows]


def test_an_upload_is_told_from_its_submission_to_its_takedown(
    command: Command, kafka: KafkaSettings
) -> None:
    publish(kafka, upload("other"), upload())
    (request,) = [
        moment.source.request_id
        for moment in story_of(kafka, "copy", since_ms=0, timeout_seconds=30).moments
    ]
    publish(kafka, embedding(), embedding("other"), fingerprint("other", 1))
    publish(kafka, fingerprint("copy", 2, request_id=request))
    publish(kafka, answer(0, match("film"), video_id="copy", request_id=request))
    publish(kafka, answer(1, video_id="copy", request_id=request))
    publish(kafka, AlertRaised(**alert("a1", "copy", "film")))
    policy = applied(10.0, is_licensed=True)
    kept_back = alert("a2", "copy", "trailer", reason="too_short", detail="8 s, expected 10 s")
    kept_back["policy"] = policy
    publish(kafka, AlertSuppressed(**kept_back))
    publish(kafka, decision(request), decision("0-0-1", "clear", "other"))
    publish(kafka, AlertRaised(**alert("a3", "third", "copy")))
    publish(kafka, AlertRaised(**alert("a4", "third", "film")))
    publish(kafka, verdict("a1", note="theirs"), verdict("a4"))
    publish(kafka, verdict("a1", scope="alert"), verdict("a1", "withdrawn", note="a mistake"))
    for topic in ("video.embedded", "video.fingerprinted"):
        send(kafka, topic, [(b"copy", None, [])])
        send(kafka, topic, [(b"other", None, [])])
    done = command("show", "copy")
    assert (done.code, done.err) == (0, "")
    span = "1.0–9.0 s are its 31.0–39.0 s, 90%"
    assert lines_of(done.out) == [
        ("submitted", f"as upload of fan, version 1: file:///copy.mp4 (request {request})"),
        ("embedded", "2 numbers for 30.0 s by pair-1, 2 pictures, 2 moments"),
        ("fingerprinted", "log offset 1: 30 key frames of 30.0 s by encoder-1 (decode 1.5 s)"),
        ("answered", "shard 0 of 2, as of log offset 7: film 90%"),
        ("answered", "shard 1 of 2, as of log offset 7: nothing"),
        ("alert raised", f"copies film: {span} (alert a1)"),
        (
            "alert suppressed",
            f"copies trailer: {span} (alert a2); too_short: 8 s, expected 10 s; judged by "
            "studio's policy: at least 10 s, the uploader is licensed",
        ),
        ("decided", f"matched: 1 alert; alerts a1 (request {request})"),
        (
            "alert raised",
            "third copies it: 1.0–9.0 s are the original's 31.0–39.0 s, 90% (alert a3)",
        ),
        ("verdict", "alert a1 dismissed by ann: theirs"),
        ("verdict", "alert a1 dismissed as this alert alone by ann"),
        ("verdict", "alert a1 withdrawn by ann: a mistake"),
        *((what, where) for what, where in lines_of(done.out) if what == "taken down"),
    ]
    taken_down = [where for what, where in lines_of(done.out) if what == "taken down"]
    assert [where.split(" (")[0] for where in taken_down] == ["from search", "from the library"]


def test_why_an_upload_was_rejected_is_a_line_with_its_code(
    command: Command, kafka: KafkaSettings
) -> None:
    send(kafka, "video.uploaded", [(b"cut", b'{"video_id": "cut"}', [])])
    publish(kafka, letter(), decision("2-5-1000", "rejected", "cut"))
    what, details = zip(*lines_of(command("show", "cut").out), strict=True)
    assert what == ("unreadable", "rejected", "decided")
    assert "uri: Field required" in details[0]
    assert details[1] == "corrupt: no [index] (video.uploaded[2]@5, attempt 1)"
    assert details[2].startswith("rejected: ")


def test_a_fingerprint_that_cannot_be_unpacked_is_told_as_such(
    command: Command, kafka: KafkaSettings
) -> None:
    entry = fingerprint("copy", 2).model_copy(update={"descriptors": "AAAA"})
    send(kafka, entry.topic, [(entry.key(), entry.to_bytes(), [])])
    ((what, text),) = lines_of(command("show", "copy").out)
    assert what == "unreadable"
    assert "video.fingerprinted[0]@0: VideoFingerprinted: 3 bytes of descriptors" in text


def test_machines_read_the_same_as_json_with_each_event_and_without_arrays(
    command: Command, kafka: KafkaSettings
) -> None:
    publish(kafka, upload(), embedding(), fingerprint("copy", 2, request_id="r"))
    publish(kafka, letter(video_id="copy", source_topic="video.compared", event={"matches": []}))
    done = command("show", "copy", "--json")
    told = json.loads(done.out)
    assert (done.code, told["video_id"], told["complete"]) == (0, "copy", True)
    moments = told["moments"]
    assert [one["what"] for one in moments] == [
        "submitted", "embedded", "fingerprinted", "rejected",
    ]  # fmt: skip
    assert [one["topic"] for one in moments][2] == "video.fingerprinted"
    assert moments[2]["event"]["model_version"] == "encoder-1"
    packed = {"descriptors", "key_frame_seconds", "vector", "thumbnails", "moment_vectors"}
    assert not [name for one in moments for name in one["event"] if name in packed]
    assert "event" not in moments[3]["event"], "only an upload's own letter shows the original"
    assert [one["at"] for one in moments] == sorted(one["at"] for one in moments)


def test_what_a_worker_said_twice_is_told_once_and_what_a_shard_restated_is_said_to_be(
    command: Command, kafka: KafkaSettings
) -> None:
    found = answer(0, video_id="copy")
    publish(kafka, upload(), upload(), found, found)
    entry = fingerprint("copy", 2)
    publish(kafka, entry)
    send(kafka, entry.topic, [(entry.key(), entry.to_bytes(), RESTATED)])
    told = [what for what, _ in lines_of(command("show", "copy").out)]
    assert told == ["submitted", "submitted", "answered", "fingerprinted", "fingerprinted again"]


def test_an_upload_that_waits_is_told_with_what_it_waits_for(
    command: Command, kafka: KafkaSettings
) -> None:
    publish(kafka, upload())
    assert command("show", "copy").err.endswith("no fingerprint worker has finished it\n")
    story = story_of(kafka, "copy", since_ms=0, timeout_seconds=30)
    (submitted,) = story.moments
    request = submitted.source.request_id
    for event, told in (
        (fingerprint("copy", 2, request_id=request), "no shard has answered its fingerprint"),
        (answer(1, video_id="copy", request_id="another", shards=3), "no shard has answered its"),
        (answer(1, video_id="copy", request_id=request, shards=3), "of 3 shards 1 answered"),
        (decision("another"), "of 3 shards 1 answered"),
        (decision(request), "None"),
    ):
        story.moments.append(replace(submitted, event=event))
        assert told in str(story.open_request())


def test_an_id_that_no_message_names_is_one_line_and_exit_code_1(command: Command) -> None:
    done = command("show", "nobody")
    assert (done.code, done.out) == (1, "")
    one_line(done.err, "about nobody", "30 days", "--days")


def test_a_broker_that_falls_silent_is_told_and_not_taken_for_the_end(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(kafka, upload(), upload())
    poll = Reader._poll
    silent: list[int] = []

    def falls_silent(reader: Reader, seconds: float) -> Any:
        found = None if silent else poll(reader, seconds)
        if found:
            silent.append(1)
            monkeypatch.setattr("stream.broker.client.ANSWER_SECONDS", 1.0)
        return found

    monkeypatch.setattr(Reader, "_poll", falls_silent)
    story = story_of(kafka, "copy", since_ms=0, timeout_seconds=30)
    assert [moment.what for moment in story.moments] == ["submitted"]
    assert not story.complete


def test_reading_ends_in_time_and_says_that_there_may_be_more(
    command: Command, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(kafka, upload())
    steps = iter([0.0, 0.5, *[1.5] * 100])  # the first topics are read, then time is over
    clock = time.monotonic

    class Clock:
        """What the story's deadline is measured by."""

        @staticmethod
        def monotonic() -> float:
            return next(steps)

    monkeypatch.setattr("stream.admin.upload_story.time", Clock)
    before = clock()
    story = story_of(kafka, "copy", since_ms=0, timeout_seconds=1.0)
    assert not story.complete
    assert clock() - before < 20
