"""The whole service on a real Kafka: a process for each worker, a client that only knows JSON."""

import shutil
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks.copies.same_alerts import differing
from benchmarks.delivery.kills import differences, replayed, running
from benchmarks.delivery.outside_client import Answers, Platform, upload
from benchmarks.delivery.workers import Workers
from models.encoder.serve import FrameEncoder, default_encoder_path
from stream.broker.client import send
from stream.broker.local import LocalKafka
from stream.broker.settings import KafkaSettings
from stream.contract.events import VideoFingerprinted
from stream.contract.packed import pack_codes, pack_times, quantise
from stream.demo.clips import make_demo_videos
from stream.demo.demo_set import DemoSet
from stream.demo.plan import PICTURE_IN_PICTURE, Clip, Copied, Drawn, Plan
from stream.evaluate.copies import evaluate_copies
from stream.settings import load_settings
from tests.stream.videos import make_audio, make_long_video, make_video, numbered, truncate

ANSWER_SECONDS = 120.0


# Every kind of copy that the demo shows; shorter, and of scenes that are quick to draw.
PLAN = Plan(
    references=(
        Clip("r01", (Drawn("skyline", 5, 14),)),
        Clip("r02", (Drawn("wheel", 3, 14),)),
        Clip("r03", (Drawn("landscape", 2, 14),)),
    ),
    uploads=(
        Clip("u01-own-work", (Drawn("chart", 1, 6),)),
        Clip("u02-crop", (Copied("r01", 1, 12, "crop"),), quality=38),
        Clip("u03-two-sources", (Copied("r01", 1, 9, "subtitle"),
                                 Copied("r03", 2, 12, "logo", speed=1.25))),
        Clip("u04-mirrored", (Drawn("chart", 2, 3), Copied("r02", 2, 12, "flip"))),
        Clip("u05-window", (Copied("r03", 1, 13, PICTURE_IN_PICTURE),)),
        Clip("u06-cut-off", (Drawn("chart", 4, 2),)),
    ),
    broken="u06-cut-off",
)  # fmt: skip


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> DemoSet:
    """References and edited copies of them, with the truth."""
    return make_demo_videos(tmp_path_factory.mktemp("clips"), lambda done, total: None, PLAN)


@dataclass(frozen=True)
class Service:
    """Every worker in a process of its own, and a client; videos may be below pytest's folder."""

    kafka: KafkaSettings
    workers: Workers
    platform: Platform


@contextmanager
def serving(local_kafka: LocalKafka, folder: Path) -> Iterator[Service]:
    """A service on topics of its own."""
    kafka = KafkaSettings(
        bootstrap_servers=local_kafka.bootstrap_servers,
        topic_prefix=f"service-{uuid.uuid4().hex[:8]}.",
    )
    with running(kafka, folder.parent, folder) as workers:
        platform = Platform(kafka.bootstrap_servers, kafka.topic_prefix)
        try:
            yield Service(kafka, workers, platform)
        finally:
            platform.close()


@dataclass(frozen=True)
class Answered:
    """A service that has answered all clips before anything else.

    Attributes:
        answers: to the clips alone.
        logged: what its library log said then.
    """

    service: Service
    answers: Answers
    logged: Answers


@pytest.fixture(scope="module")
def answered(
    local_kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory, clips: DemoSet
) -> Iterator[Answered]:
    """For tests whose videos don't look like the clips, nor like those of the others."""
    with serving(local_kafka, tmp_path_factory.mktemp("service")) as started:
        submit(started.platform, clips)
        answers = {topic: [*events] for topic, events in started.platform.answers.items()}
        yield Answered(started, answers, replayed(started.kafka))


@pytest.fixture(scope="module")
def service(answered: Answered) -> Service:
    return answered.service


@pytest.fixture
def own_service(
    local_kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """For a test that kills its workers."""
    with serving(local_kafka, tmp_path_factory.mktemp("service")) as started:
        yield started


@pytest.fixture
def platform(service: Service) -> Platform:
    return service.platform


def submit(platform: Platform, clips: DemoSet) -> None:
    ids: list[str] = []
    for paths, role in ((clips.references, "reference"), (clips.uploads, "upload")):
        platform.submit(upload(path, role) for path in paths)
        ids += [path.stem for path in paths]
        platform.read_until(platform.decided(ids), ANSWER_SECONDS)
    platform.read(3)


def alerted(answers: Answers) -> set[tuple[str, str]]:
    return {(alert["video_id"], alert["reference_id"]) for alert in answers["alert.raised"]}


def outcome_of(answers: Answers, video_id: str) -> list[str]:
    return [event["outcome"] for event in answers["video.decided"] if event["video_id"] == video_id]


def test_each_upload_gets_one_decision_and_each_copy_an_alert(
    answered: Answered, clips: DemoSet
) -> None:
    submitted = [path.stem for path in (*clips.references, *clips.uploads)]
    answers = answered.answers
    assert Counter(event["video_id"] for event in answers["video.decided"]) == Counter(submitted)
    assert set(clips.truth) <= alerted(answers)
    assert {event["video_id"] for event in answers["video.embedded"]} == {*submitted} - clips.broken
    assert {event["video_id"] for event in answers["video.rejected"]} == clips.broken
    named = [alert for event in answers["video.decided"] for alert in event["alert_ids"]]
    assert Counter(named) == Counter(event["alert_id"] for event in answers["alert.raised"])
    assert differences(without_rejected(answers), answered.logged) == {
        "outcomes": [],
        "alerts": [],
    }


def test_killed_workers_lose_nothing_and_say_nothing_else(
    own_service: Service, clips: DemoSet
) -> None:
    workers, platform = own_service.workers, own_service.platform
    platform.submit(upload(path, "reference") for path in clips.references)
    workers.kill("fingerprint-a")
    workers.kill("library-0")
    workers.kill("decide-a")
    platform.read_until(platform.decided(path.stem for path in clips.references), ANSWER_SECONDS)
    platform.submit(upload(path, "upload") for path in clips.uploads)
    platform.read(2)
    for name in ("decide-b", "library-1", "fingerprint-b"):
        workers.kill(name)
        platform.read(1)
    submitted = [path.stem for path in (*clips.references, *clips.uploads)]
    platform.read_until(platform.decided(submitted), ANSWER_SECONDS)
    platform.read(5)
    answers = platform.answers
    assert {event["video_id"] for event in answers["video.decided"]} == {*submitted}
    assert set(clips.truth) <= alerted(answers)
    assert differences(without_rejected(answers), replayed(own_service.kafka)) == {
        "outcomes": [],
        "alerts": [],
    }


def test_the_alerts_are_those_that_evaluate_finds(
    answered: Answered, clips: DemoSet, tmp_path: Path
) -> None:
    dataset = tmp_path / "set"
    for folder, paths in (("references", clips.references), ("queries", clips.uploads)):
        (dataset / folder).mkdir(parents=True)
        for path in paths:
            if path.stem not in clips.broken:
                shutil.copy(path, dataset / folder)
    (dataset / "pairs.csv").write_text(
        "query_id,reference_id\n" + "".join(f"{q},{r}\n" for q, r in clips.truth)
    )
    (dataset / "labels.json").write_text("{}")
    report = evaluate_copies(dataset, load_settings(), console=Console(quiet=True))
    assert len(report.boxes) >= len(clips.truth)
    references = {path.stem for path in clips.references}
    assert differing(answered.answers, report, references) == []


def without_rejected(answers: Answers) -> Answers:
    """Answers that have an entry in the library log."""
    kept = [event for event in answers["video.decided"] if event["outcome"] != "rejected"]
    return {**answers, "video.decided": kept}


def test_an_upload_seen_twice_is_answered_again_with_the_same_ids(
    answered: Answered, platform: Platform, clips: DemoSet
) -> None:
    name, original = next(iter(clips.truth))
    (path,) = (path for path in clips.uploads if path.stem == name)
    platform.submit([upload(path, "upload")])
    platform.read_until(lambda answers: len(outcome_of(answers, name)) > 1, ANSWER_SECONDS)
    first, second = (
        event for event in platform.answers["video.decided"] if event["video_id"] == name
    )
    assert first["outcome"] == second["outcome"] == "matched"
    assert first["alert_ids"] == second["alert_ids"] != []
    assert (name, original) in alerted(answered.answers)
    # Its first copy isn't in the library as another.
    assert alerted(platform.answers) == alerted(answered.answers)


def bad_files(folder: Path) -> dict[str, Path]:
    """A file for each code that a file can end with."""
    good = make_video(folder / "good.mp4", count=75)
    text = folder / "text.mp4"
    text.write_text("this is no video\n" * 100)
    empty = folder / "empty.mp4"
    empty.touch()
    cut = make_video(folder / "cut.mp4", count=75)
    size = (4112, 2304)  # hardly more pixels than are allowed
    return {
        "good": good,
        "text": text,
        "empty": empty,
        "cut": truncate(cut, 0.5),
        "sound": make_audio(folder / "sound.mp4"),
        "huge": make_video(
            folder / "huge.mp4", size=size, count=1, options={"preset": "ultrafast"}
        ),
        "one": make_video(folder / "one.mp4", count=1),
        "absent": folder / "absent.mp4",
    }


def still_video(folder: Path, seconds: float) -> Path:
    """One picture for so long."""
    short = make_video(
        folder / "short.mp4",
        count=60,
        frames_per_second=1,
        size=(96, 72),
        key_every=10,
        draw=lambda index, width, height: numbered(12345, width, height),
    )
    return make_long_video(folder / "still.mp4", short, seconds)


EXPECTED = {
    "text": ("rejected", "corrupt"),
    "empty": ("rejected", "corrupt"),
    "cut": ("rejected", "corrupt"),
    "sound": ("rejected", "no_video"),
    "huge": ("rejected", "too_large"),
    "absent": ("rejected", "not_found"),
    "outside": ("rejected", "forbidden_uri"),
    "fieldless": ("rejected", "bad_event"),
    "one": ("clear", None),
    "still": ("clear", None),
    "good": ("clear", None),
}


def test_bad_input_gets_its_code_and_a_decision_and_the_next_video_is_processed(
    platform: Platform, tmp_path: Path
) -> None:
    files = bad_files(tmp_path)
    files["still"] = still_video(tmp_path, 3 * 3600.0)
    good = files.pop("good")
    platform.submit_bytes(b"this is not JSON", b"nobody")
    platform.submit([{"video_id": "fieldless", "owner_id": "o"}])
    platform.submit(
        [{"video_id": "outside", "uri": Path("/etc/hostname").as_uri(), "owner_id": "o"}]
    )
    platform.submit(upload(path, "upload") | {"video_id": name} for name, path in files.items())
    platform.read_until(platform.decided(EXPECTED.keys() - {"good"}), 300.0)
    platform.submit([upload(good, "upload")])
    platform.read_until(platform.decided(["good"]), ANSWER_SECONDS)
    letters = {event.get("video_id"): event for event in platform.answers["video.rejected"]}
    for name, (outcome, code) in EXPECTED.items():
        assert outcome_of(platform.answers, name) == [outcome], name
        assert letters.get(name, {}).get("error") == code, name
    assert letters[None]["error"] == "bad_event"
    assert "uri" in letters["fieldless"]["message"]
    assert letters["cut"]["event"]["video_id"] == "cut"
    assert letters["cut"]["source_topic"] == "video.uploaded"


def test_the_fingerprint_of_a_ten_hour_video_passes_through_the_log(
    service: Service, platform: Platform
) -> None:
    frames, dimension = 36_000, 128
    random = np.random.default_rng(0)
    rows = random.standard_normal((frames, dimension)).astype(np.float32)
    event = VideoFingerprinted(
        video_id="ten-hours",
        content_version=1,
        owner_id="o",
        role="upload",
        request_id="0-0-0",
        model_version=FrameEncoder(default_encoder_path()).model_version,
        duration_seconds=36_000.0,
        dimension=dimension,
        key_frame_seconds=pack_times(np.arange(frames, dtype=np.float32)),
        descriptors=pack_codes(quantise(rows / np.linalg.norm(rows, axis=1, keepdims=True))),
        stage_seconds={},
    )
    assert len(event.to_bytes()) > 6_000_000
    send(service.kafka, event.topic, [(event.key(), event.to_bytes(), [])])
    platform.read_until(platform.decided(["ten-hours"]), ANSWER_SECONDS)
    assert outcome_of(platform.answers, "ten-hours") == ["clear"]
