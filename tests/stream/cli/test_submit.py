"""`samesource submit`: what it puts on the topic, and how it waits for decisions."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from stream.broker.client import Reader
from stream.broker.embedded import embedded_kafka
from stream.broker.settings import KafkaSettings
from stream.contract.events import Outcome, VideoDecided, VideoUploaded
from stream.times import now
from tests.stream.command import Command, publish, started


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaSettings]:
    with embedded_kafka(KafkaSettings(topic_prefix="t.")) as settings:
        yield settings


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    kafka: KafkaSettings,
) -> Command:
    monkeypatch.chdir(tmp_path)
    made = Command(monkeypatch, capfd)
    made.on(kafka)
    return made


def uploads(kafka: KafkaSettings) -> dict[str, VideoUploaded]:
    with Reader(kafka, VideoUploaded.topic) as reader:
        found = [VideoUploaded.from_bytes(message.value()) for _, message in reader.until_now()]
    return {upload.video_id: upload for upload in found}


def wait_for_uploads(kafka: KafkaSettings, video_ids: set[str], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not video_ids <= uploads(kafka).keys():
        assert time.monotonic() < deadline, f"{video_ids} were not submitted"


def decision(video_id: str, outcome: Outcome = "clear", reason: str = "nothing") -> VideoDecided:
    return VideoDecided(
        video_id=video_id, content_version=1, outcome=outcome, alert_ids=[], reason=reason,
        decided_at=now(), request_id="1", stage_seconds={},
    )  # fmt: skip


def test_files_and_uris_become_uploads(
    command: Command, kafka: KafkaSettings, tmp_path: Path
) -> None:
    (tmp_path / "ä file, 1.mp4").touch()
    done = command("submit", "ä file, 1.mp4", "https://example.org/v/two.mp4?sign=1")
    assert (done.code, done.err) == (0, "")
    assert "submitted 2" in done.out
    found = uploads(kafka)
    assert found["ä file, 1"].uri == (tmp_path / "ä file, 1.mp4").as_uri()
    assert found["two"].uri == "https://example.org/v/two.mp4?sign=1"
    assert (found["two"].role, found["two"].owner_id) == ("upload", "owner-of-two")


def test_references_and_owners_are_told(command: Command, kafka: KafkaSettings) -> None:
    command("submit", "--reference", "--owner", "studio", "https://example.org/film.mp4")
    film = uploads(kafka)["film"]
    assert (film.role, film.owner_id) == ("reference", "studio")


@pytest.mark.parametrize(
    ("locations", "words"),
    [
        (["good.mp4", "absent.mp4"], ["no file absent.mp4", "https://"]),
        (["good.mp4", "."], [". is a folder", "./*"]),
        (["good.mp4", "other/good.mp4"], ["good.mp4 and other/good.mp4", "'good'", "rename"]),
        (["good.mp4", "https://example.org/good.webm"], ["https://example.org/good.webm"]),
        (["good.mp4", "https://example.org/"], ["https://example.org/ has no file name"]),
        (["good.mp4", "https://[good/a.mp4"], ["https://[good/a.mp4 is no URI"]),
    ],
)
def test_a_wrong_file_is_told_in_one_line_and_nothing_is_submitted(
    command: Command,
    kafka: KafkaSettings,
    tmp_path: Path,
    locations: list[str],
    words: list[str],
) -> None:
    (tmp_path / "other").mkdir()
    for name in ("good.mp4", "other/good.mp4"):
        (tmp_path / name).touch()
    before = uploads(kafka)
    done = command("submit", *locations)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: ") and done.err.count("\n") == 1
    assert all(word in done.err for word in words), done.err
    assert uploads(kafka) == before


def test_decisions_are_shown_as_they_come(kafka: KafkaSettings, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    publish(kafka, decision("a", reason="said before this submission"))
    with started(kafka, "submit", "--wait", tmp_path / "a.mp4", tmp_path / "b.mp4") as process:
        assert process.stdout is not None
        wait_for_uploads(kafka, {"a", "b"})
        publish(kafka, decision("somebody else's"), decision("b", "matched", "shares [a] with c"))
        assert process.stdout.readline() == "b: matched, shares [a] with c\n"
        assert process.poll() is None, "a is still waited for"
        publish(kafka, decision("a", "rejected", "corrupt: no index"))
        assert process.stdout.readline() == "a: rejected, corrupt: no index\n"
        assert process.wait(20) == 0


def test_waiting_ends_with_who_is_waited_for_and_the_cure(command: Command, tmp_path: Path) -> None:
    (tmp_path / "c.mp4").touch()
    done = command("submit", "--wait", "--timeout-seconds", "1", "c.mp4")
    assert done.code == 1
    assert "no decision for 1 s; waiting for ['c']" in done.err
    assert "samesource worker all" in done.err


@pytest.mark.parametrize("arguments", [("alerts", "--follow"), ("submit", "--wait")])
def test_interrupting_ends_the_wait_quietly(
    kafka: KafkaSettings,
    arguments: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    video = Path(f"long-{uuid4()}.mp4")  # nobody sent it before: who sees it knows that it waits
    video.touch()
    videos = [video] if arguments[0] == "submit" else []
    with started(kafka, *arguments, *videos) as process:
        assert process.stderr is not None
        if arguments[0] == "alerts":
            assert process.stderr.readline() == "no alerts yet\n"
        else:
            wait_for_uploads(kafka, {video.stem})
        process.send_signal(signal.SIGINT)
        code = process.wait(10)
        rest = process.stderr.read()
    assert code == 130
    assert "Traceback" not in rest
