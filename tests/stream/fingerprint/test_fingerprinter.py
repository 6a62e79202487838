"""The fingerprint step on small videos: when, what, and how much; no broker."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.encoder.serve import FrameEncoder, default_encoder_path
from models.video.frames import prepare
from stream.contract.events import VideoFingerprinted, VideoUploaded
from stream.contract.fingerprint import Fingerprint
from stream.contract.packed import quantise
from stream.errors import CorruptError, NotFoundError, NoVideoError
from stream.fingerprint.fingerprinter import Fingerprinted, Fingerprinter
from stream.settings import Settings, load_settings
from tests.stream.text_video_pair import make_pair
from tests.stream.videos import make_video, side_by_side

SECONDS = 12
RATE = 10


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings(
        fetch={"roots": [str(tmp_path_factory.getbasetemp())]},
        decode={"processes": 1},
        text_video={"path": make_pair(tmp_path_factory.mktemp("pair"))},
    )


@pytest.fixture(scope="module")
def fingerprinter(settings: Settings) -> Iterator[Fingerprinter]:
    with Fingerprinter(settings) as made:
        yield made


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds that show another picture in each of them."""
    return make_video(
        tmp_path_factory.mktemp("fingerprint") / "video.mp4",
        count=SECONDS * RATE,
        frames_per_second=RATE,
        key_every=RATE,
        draw=scene,
    )


def scene(index: int, width: int, height: int) -> NDArray[np.uint8]:
    """Coarse random colours, anew in each second."""
    coarse = np.random.default_rng(index // RATE).integers(0, 256, (6, 8, 3), np.uint8)
    rows, columns = -(-height // 6), -(-width // 8)
    return coarse.repeat(rows, axis=0).repeat(columns, axis=1)[:height, :width]


def upload(path: Path, video_id: str = "v") -> VideoUploaded:
    return VideoUploaded(
        video_id=video_id,
        uri=path.as_uri(),
        owner_id="o",
        title="A [title]",
        role="reference",
        content_version="2",
    )


@pytest.fixture(scope="module")
def made(fingerprinter: Fingerprinter, video: Path) -> Fingerprinted:
    return fingerprinter.fingerprint(upload(video), "request")


def test_key_frames_lie_a_second_apart_at_their_true_times(made: Fingerprinted) -> None:
    times = made.fingerprint.key_frames.seconds
    assert times == pytest.approx(np.arange(SECONDS), abs=0.11)
    assert made.fingerprint.duration_seconds == pytest.approx(SECONDS, abs=0.11)


def test_descriptors_are_unit_rows_of_the_encoders_dimension(made: Fingerprinted) -> None:
    codes, encoder = made.fingerprint.key_frames.codes, FrameEncoder(default_encoder_path("auto"))
    assert codes.shape == (SECONDS, encoder.dimension)
    assert made.fingerprint.model_version == encoder.model_version
    norms = np.linalg.norm(codes.astype(np.float64), axis=1) / 127
    assert norms == pytest.approx(np.ones(SECONDS), abs=0.02)


def test_each_descriptor_is_that_of_the_picture_shown_then(made: Fingerprinted) -> None:
    encoder = FrameEncoder(default_encoder_path("auto"))
    pictures = [scene(second * RATE, 320, 240) for second in range(SECONDS)]
    expected = encoder.encode(
        np.stack([prepare(picture, encoder.input_size) for picture in pictures])
    )
    cosines = expected @ made.fingerprint.key_frames.codes.T / 127
    assert cosines.argmax(axis=1).tolist() == list(range(SECONDS))
    assert cosines.diagonal().min() > 0.97


def test_what_the_library_keeps_of_the_upload_travels_with_it(
    made: Fingerprinted, video: Path
) -> None:
    event = made.fingerprint.to_event()
    assert (event.uri, event.title) == (video.as_uri(), "A [title]")
    assert (event.video_id, event.content_version) == ("v", "2")
    assert (event.owner_id, event.role, event.request_id) == ("o", "reference", "request")
    assert event.stage_seconds.keys() == {"fetch", "decode", "select", "encode", "embed"}
    assert len(made.fingerprint.motion_codes) == np.ceil(round(4 * event.duration_seconds, 6))
    assert VideoFingerprinted.from_bytes(event.to_bytes()) == event


def test_the_same_video_has_the_same_fingerprint(
    fingerprinter: Fingerprinter, made: Fingerprinted, video: Path
) -> None:
    again = fingerprinter.fingerprint(upload(video), "request")
    ours, theirs = (replace(one.fingerprint, stage_seconds={}) for one in (again, made))
    assert ours.to_event() == theirs.to_event()
    assert again.embedding == made.embedding


def test_a_video_of_one_frame_has_one_descriptor(
    fingerprinter: Fingerprinter, tmp_path: Path
) -> None:
    path = make_video(tmp_path / "one.mp4", count=1, draw=scene)
    single = fingerprinter.fingerprint(upload(path), "request")
    assert single.fingerprint.key_frames.seconds.tolist() == [0.0]
    assert single.embedding is not None
    assert np.linalg.norm(single.embedding.vector) == pytest.approx(1.0, abs=1e-6)


def test_a_blank_video_has_nothing_to_describe(
    fingerprinter: Fingerprinter, tmp_path: Path
) -> None:
    path = make_video(
        tmp_path / "black.mp4",
        count=50,
        draw=lambda index, width, height: np.zeros((height, width, 3), np.uint8),
    )
    with pytest.raises(NoVideoError, match="blank"):
        fingerprinter.fingerprint(upload(path), "request")


def test_blank_seconds_are_left_out(fingerprinter: Fingerprinter, tmp_path: Path) -> None:
    def dark_after_three_seconds(index: int, width: int, height: int) -> NDArray[np.uint8]:
        picture = scene(index, width, height)
        return picture if index < 3 * RATE else np.zeros_like(picture)

    path = make_video(
        tmp_path / "fades.mp4",
        count=6 * RATE,
        frames_per_second=RATE,
        key_every=RATE,
        draw=dark_after_three_seconds,
    )
    video = fingerprinter.fingerprint(upload(path), "request").fingerprint
    assert video.key_frames.seconds == pytest.approx([0, 1, 2], abs=0.11)
    assert video.duration_seconds == pytest.approx(6, abs=0.11)


def test_time_spent_is_told_also_where_it_fails(
    fingerprinter: Fingerprinter, tmp_path: Path
) -> None:
    stages: dict[str, float] = {}
    with pytest.raises(NotFoundError):
        fingerprinter.fingerprint(upload(tmp_path / "absent.mp4"), "request", stages)
    assert stages.keys() == {"fetch"}
    (tmp_path / "text.mp4").write_text("no video\n" * 100)
    with pytest.raises(CorruptError):
        fingerprinter.fingerprint(upload(tmp_path / "text.mp4"), "request", stages)
    assert stages.keys() == {"fetch", "decode"}


def test_more_key_frames_than_a_batch_are_all_described(settings: Settings, video: Path) -> None:
    small = settings.model_copy(
        update={"encoder": settings.encoder.model_copy(update={"batch": 5})}
    )
    with Fingerprinter(small) as fingerprinter:
        again = fingerprinter.fingerprint(upload(video), "request").fingerprint
    assert len(again.key_frames.codes) == SECONDS


def test_parts_of_a_put_together_picture_search_and_are_not_stored(
    settings: Settings, fingerprinter: Fingerprinter, tmp_path: Path
) -> None:
    path = make_video(
        tmp_path / "beside.mp4", count=SECONDS * RATE, frames_per_second=RATE, draw=side_by_side
    )
    parts = fingerprinter.fingerprint(upload(path), "request").fingerprint
    key_frames = settings.key_frames.model_copy(update={"query_parts": 0})
    with Fingerprinter(settings.model_copy(update={"key_frames": key_frames})) as whole_alone:
        whole = whole_alone.fingerprint(upload(path), "request").fingerprint
    assert SECONDS <= len(whole.query_frames) < len(parts.query_frames)
    np.testing.assert_array_equal(np.unique(parts.query_frames.seconds), whole.query_frames.seconds)
    np.testing.assert_array_equal(parts.key_frames.codes, whole.key_frames.codes)
    first = np.flatnonzero(np.diff(parts.query_frames.moments, prepend=-1))
    np.testing.assert_array_equal(parts.query_frames.codes[first], whole.query_frames.codes)
    assert Fingerprint.from_bytes(parts.to_event().to_bytes()).to_event() == parts.to_event()


def test_codes_are_rounded_and_never_overflow() -> None:
    rows = np.array([[1.0, -1.0, 0.0, 0.5], [1.004, -1.004, 0.0039, -0.0039]], np.float32)
    assert quantise(rows).tolist() == [[127, -127, 0, 64], [127, -127, 0, 0]]


def test_a_file_whose_name_is_not_utf_8_is_fingerprinted(
    fingerprinter: Fingerprinter, made: Fingerprinted, video: Path, tmp_path: Path
) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.mp4"))
    odd.hardlink_to(video)
    again = fingerprinter.fingerprint(upload(odd), "request")
    ours, theirs = (one.fingerprint.key_frames.codes for one in (again, made))
    np.testing.assert_array_equal(ours, theirs)
