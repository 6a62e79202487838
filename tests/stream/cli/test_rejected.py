"""`samesource rejected`: what could not be processed, told to people, and submitted again."""

from typing import Any

import pytest

from stream.admin.replay import Replay, read_replays
from stream.admin.takedown import take_down
from stream.broker.client import Reader, send
from stream.broker.clients import source_of
from stream.broker.message_at import MessageAt
from stream.broker.sender import Sender
from stream.broker.settings import KafkaSettings
from stream.broker.topics import log_identity
from stream.contract.events import (
    ContentVersion,
    VideoDecided,
    VideoFingerprinted,
    VideoRejected,
    VideoUploaded,
)
from stream.contract.message import attempts_headers
from stream.contract.order import Takedown, submission_of
from stream.errors import ErrorCode
from stream.times import now
from tests.stream.command import Command, publish

TOPICS = (
    "video.uploaded", "video.rejected", "video.decided", "video.fingerprinted", "video.embedded",
)  # fmt: skip


def letter(
    offset: int, event: Any, error: ErrorCode = "corrupt", topic: str = "video.uploaded"
) -> VideoRejected:
    return VideoRejected(
        video_id=event.get("video_id") if isinstance(event, dict) else None,
        error=error, message=f"no [index] in {offset}", source_topic=topic,
        source_partition=2, source_offset=offset, attempts=1, request_id=str(offset),
        rejected_at=now(), event=event,
    )  # fmt: skip


def upload(video_id: str, **more: Any) -> dict[str, Any]:
    return {"video_id": video_id, "uri": f"file:///{video_id}.mp4", "owner_id": "o", **more}


def submitted(kafka: KafkaSettings) -> list[tuple[str, object]]:
    """Ids and attempts of the uploads on the topic."""
    with Reader(kafka, VideoUploaded.topic) as reader:
        return [
            (
                VideoUploaded.from_bytes(message.value()).video_id,
                dict(message.headers() or [])["samesource-attempts"],
            )
            for _, message in reader.until_now()
        ]


def test_nothing_rejected_is_said(command: Command) -> None:
    done = command("rejected", "--replay")
    assert (done.code, done.err) == (0, "nothing was rejected\n")
    assert done.out == "submitted 0 again\n"


def test_dead_letters_are_lines_with_code_reason_and_origin(
    command: Command, kafka: KafkaSettings
) -> None:
    publish(kafka, letter(5, upload("cut")), letter(6, "words", "bad_event"))
    done = command("rejected")
    assert sorted(done.out.splitlines()) == [
        "?: bad_event: no [index] in 6 (video.uploaded[2]@6, attempt 1)",
        "cut: corrupt: no [index] in 5 (video.uploaded[2]@5, attempt 1)",
    ]
    assert submitted(kafka) == []


def test_an_error_code_chooses_among_them(command: Command, kafka: KafkaSettings) -> None:
    publish(kafka, letter(5, upload("cut")), letter(6, upload("late"), "timeout"))
    done = command("rejected", "--error", "timeout")
    assert done.out.startswith("late: timeout: ")
    assert done.out.count("\n") == 1


def test_a_code_that_there_is_not_is_refused_with_those_that_there_are(command: Command) -> None:
    done = command("rejected", "--error", "broken")
    assert done.code == 2
    assert "broken" in done.err
    assert "corrupt" in done.err


def test_a_replay_submits_the_chosen_originals_once_more_with_the_next_attempt(
    command: Command, kafka: KafkaSettings
) -> None:
    again = letter(7, upload("late", title="kept"), "timeout").model_copy(update={"attempts": 2})
    publish(
        kafka,
        letter(4, upload("late"), "timeout"),
        again,
        letter(5, upload("cut")),
        letter(6, {"video_id": "fieldless"}, "timeout"),
        letter(8, upload("joined"), "timeout", topic="video.compared"),
    )
    done = command("rejected", "--error", "timeout", "--replay")
    assert done.out.splitlines()[-1] == "submitted 1 again"
    assert submitted(kafka) == [("late", b"3")]


def decision(video_id: str, request_id: str, version: ContentVersion = 1) -> VideoDecided:
    return VideoDecided(
        video_id=video_id, content_version=version, outcome="clear", alert_ids=[], reason="",
        decided_at=now(), request_id=request_id, stage_seconds={},
    )  # fmt: skip


def test_a_second_replay_submits_nothing_unless_it_is_asked_to(
    command: Command, kafka: KafkaSettings
) -> None:
    publish(kafka, letter(5, upload("late"), "timeout"))
    assert command("rejected", "--replay").out.splitlines()[-1] == "submitted 1 again"
    second = command("rejected", "--replay").out.splitlines()
    assert ": not submitted: submitted again since: video.uploaded[" in second[0]
    assert second[-1] == "submitted 0 again"
    assert command("rejected", "--replay", "--again").out.endswith("submitted 1 again\n")
    assert submitted(kafka) == [("late", b"2")] * 2


@pytest.mark.parametrize("more", [[], ["--again"]])
def test_an_older_version_never_takes_the_place_of_a_newer_one(
    command: Command, kafka: KafkaSettings, more: list[str]
) -> None:
    publish(kafka, letter(5, upload("film", content_version=1), "timeout"))
    newer = VideoUploaded.from_json(upload("film", content_version=2))
    send(kafka, newer.topic, [(newer.key(), newer.to_bytes(), [("samesource-attempts", b"1")])])
    done = command("rejected", "--replay", *more)
    assert ": not submitted: submitted again since as version 2: video.uploaded[" in done.out
    assert submitted(kafka) == [("film", b"1")]


def test_what_was_decided_since_is_left_and_its_own_decision_is_none(
    command: Command, kafka: KafkaSettings
) -> None:
    publish(kafka, letter(5, upload("own"), "timeout"), letter(6, upload("other"), "timeout"))
    publish(kafka, decision("own", "5"), decision("other", "99"))
    done = command("rejected", "--replay")
    (line,) = [line for line in done.out.splitlines() if "not submitted" in line]
    assert line.startswith("other: ")
    assert line.endswith(": not submitted: decided since as clear")
    assert submitted(kafka) == [("own", b"2")]


def reject(kafka: KafkaSettings, video_id: str) -> None:
    """Submit a video, which nobody could process."""
    event = VideoUploaded.from_json(upload(video_id))
    message = (event.key(), event.to_bytes(), attempts_headers(1))
    (sent,) = Sender(kafka).send(event.topic, [message])
    with MessageAt(kafka) as messages:  # as workers see it, with the time that the broker keeps
        place = messages.read(sent.topic, sent.partition, sent.offset)
    assert place is not None
    named = {"source_partition": place.partition, "request_id": place.request_id}
    publish(kafka, letter(place.offset, upload(video_id), "timeout").model_copy(update=named))


@pytest.mark.parametrize("more", [[], ["--again"]])
def test_what_was_removed_since_stays_away_and_what_was_submitted_later_does_not(
    command: Command, kafka: KafkaSettings, more: list[str]
) -> None:
    reject(kafka, "gone")
    reject(kafka, "other")
    take_down(kafka, ["gone", "back"])
    reject(kafka, "back")
    done = command("rejected", "--replay", *more)
    (line,) = [line for line in done.out.splitlines() if "not submitted" in line]
    assert line.startswith("gone: ")
    assert ": not submitted: removed since: video.fingerprinted[0]@" in line
    replayed = [video_id for video_id, attempt in submitted(kafka) if attempt == b"2"]
    assert sorted(replayed) == ["back", "other"]


def test_a_takedown_that_crosses_a_replay_holds_against_it(
    command: Command, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crossed(*arguments: Any, **more: Any) -> list[Replay]:
        found = read_replays(*arguments, **more)
        take_down(kafka, ["crossed"])
        return found

    reject(kafka, "crossed")
    monkeypatch.setattr("stream.admin.replay.read_replays", crossed)
    assert command("rejected", "--replay").out.endswith("submitted 1 again\n")
    with Reader(kafka, VideoFingerprinted.topic) as reader:
        ((topic, message),) = reader.until_now()
    takedown, log_id = Takedown.of(source_of(message, topic)), log_identity(kafka, "video.uploaded")
    with Reader(kafka, VideoUploaded.topic) as reader:
        _, replay = (source_of(message, topic) for topic, message in reader.until_now())
    assert replay.attempts == 2
    assert takedown.covers(submission_of(replay, log_id))
    assert not takedown.covers(replay.submission(log_id))


def test_a_takedown_of_another_program_counts_by_its_time(
    command: Command, kafka: KafkaSettings
) -> None:
    reject(kafka, "gone")
    send(kafka, VideoFingerprinted.topic, [(b"gone", None, [])])
    assert "removed since" in command("rejected", "--replay").out
    assert submitted(kafka) == [("gone", b"1")]


def test_a_letter_without_a_whole_upload_says_so(command: Command, kafka: KafkaSettings) -> None:
    publish(kafka, letter(5, {"video_id": "v"}), letter(6, upload("w"), topic="video.compared"))
    done = command("rejected", "--replay")
    assert "v: corrupt: no [index] in 5" in done.out
    assert ": not submitted: it holds no well-formed upload" in done.out
    assert ": not submitted: it is about a message of video.compared" in done.out
    assert submitted(kafka) == []
