"""The embed step: which frames it looks at, what travels with the vector, and what it may cost."""

import base64
import io
import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from models.errors import ModelFileError
from models.text_video.serve import PairFiles
from models.video.frames import content_box, difference
from stream.agents.fingerprint import fingerprint_step
from stream.contract.events import Submission, VideoEmbedded, VideoFingerprinted, VideoUploaded
from stream.contract.message import Source
from stream.contract.order import submission_headers
from stream.decode.decoder import Decoder
from stream.decode.settings import DecodeSettings
from stream.fingerprint import embed
from stream.fingerprint.embed import (
    distinct,
    most_alike,
    open_embedder,
    open_text_encoder,
    spread,
    thumbnail,
)
from stream.fingerprint.fingerprinter import Fingerprinted, Fingerprinter
from stream.fingerprint.settings import TextVideoSettings
from stream.settings import Settings, load_settings
from tests.stream.text_video_pair import DIMENSION, VERSION, make_outside, make_pair
from tests.stream.videos import make_video, set_display_matrix

RATE = 10
TINTS = {"red": (220, 20, 20), "green": (20, 220, 20), "blue": (20, 20, 220)}
QUARTER_TURN = (0, 1, -1, 0)


def tinted(*names: str) -> Any:
    """Ten frames of each tint, with a coarse pattern so that no frame is blank."""

    def draw(index: int, width: int, height: int) -> NDArray[np.uint8]:
        name = names[min(index // RATE, len(names) - 1)]
        coarse = np.random.default_rng(index // RATE).uniform(0.4, 1.1, (6, 8, 1))
        rows, columns = -(-height // 6), -(-width // 8)
        shades = coarse.repeat(rows, axis=0).repeat(columns, axis=1)[:height, :width]
        return np.clip(shades * TINTS[name], 0, 255).astype(np.uint8)

    return draw


def three_scenes(index: int, width: int, height: int) -> NDArray[np.uint8]:
    """Two seconds each of stripes, rings and blocks, in red, green and blue."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    blocks = np.random.default_rng(1).uniform(0, 1, (8, 8)).repeat(height, 0).repeat(width, 1)
    shades = [
        np.sin(x / 9) / 2 + 0.5,
        np.sin(np.hypot(x - width / 2, y - height / 2) / 6) / 2 + 0.5,
        blocks[::8, ::8],
    ]
    scene = index // (2 * RATE)
    tint = np.array([*TINTS.values()][scene])
    shown = (0.2 + shades[scene][..., None]) * tint
    return np.asarray(np.clip(shown, 0, 255), np.uint8)


def tinted_video(path: Path, *names: str, **options: Any) -> Path:
    return make_video(
        path,
        count=len(names) * RATE,
        frames_per_second=RATE,
        key_every=RATE,
        draw=tinted(*names),
        **options,
    )


def settings_of(folder: Path, **text_video: Any) -> Settings:
    return load_settings(
        fetch={"roots": [str(folder)]}, decode={"processes": 1}, text_video=text_video
    )


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="module")
def fingerprinter(pair: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fingerprinter]:
    with Fingerprinter(settings_of(tmp_path_factory.getbasetemp(), path=pair)) as made:
        yield made


def upload(path: Path, **fields: Any) -> VideoUploaded:
    return VideoUploaded(video_id="v", uri=path.as_uri(), owner_id="o", **fields)


def embedded(made: Fingerprinted) -> VideoEmbedded:
    assert made.embedding is not None
    return made.embedding


def test_the_vector_is_the_video_encoders_of_the_key_frames(
    fingerprinter: Fingerprinter, tmp_path: Path
) -> None:
    path = tinted_video(tmp_path / "red.mp4", "red", "red", "red")
    made = fingerprinter.fingerprint(upload(path, content_version=7), "request")
    event = embedded(made)
    assert (event.video_id, event.content_version) == ("v", 7)
    assert (event.model_version, event.dimension) == (VERSION, DIMENSION)
    assert event.duration_seconds == made.fingerprint.duration_seconds
    assert np.linalg.norm(event.vector) == pytest.approx(1.0, abs=1e-6)
    assert int(np.argmax(event.vector)) == 0 and event.vector[0] > 0.9
    assert made.fingerprint.stage_seconds["embed"] > 0
    assert VideoEmbedded.from_bytes(event.to_bytes()) == event


def test_moments_are_what_differs_each_with_a_vector_of_its_own(
    fingerprinter: Fingerprinter, tmp_path: Path
) -> None:
    path = make_video(
        tmp_path / "three.mp4", count=6 * RATE, frames_per_second=RATE, draw=three_scenes
    )
    event = embedded(fingerprinter.fingerprint(upload(path), "request"))
    moments = event.moments()
    shown = dict.fromkeys(moments.vectors.argmax(axis=1).tolist())
    assert [*shown] == [0, 1, 2], "in order of time"
    assert np.abs(np.linalg.norm(moments.vectors, axis=1) - 1).max() < 1e-5
    third = event.duration_seconds / 3
    for second, vector in zip(moments.seconds.tolist(), moments.vectors, strict=True):
        assert int(second // third) == vector.argmax()
    one = tinted_video(tmp_path / "one.mp4", "red")
    assert len(embedded(fingerprinter.fingerprint(upload(one), "r")).moments().seconds) == 0


def test_a_pair_of_before_gives_the_video_alone(tmp_path: Path) -> None:
    pair = make_pair(tmp_path / "before", moments=False)
    path = make_video(
        tmp_path / "three.mp4", count=6 * RATE, frames_per_second=RATE, draw=three_scenes
    )
    with Fingerprinter(settings_of(tmp_path, path=pair)) as fingerprinter:
        event = embedded(fingerprinter.fingerprint(upload(path), "request"))
    assert event.moment_seconds is None and event.moment_vectors is None
    assert np.linalg.norm(event.vector) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(("scenes", "most"), [(1, 12), (5, 12), (5, 3), (20, 12)])
def test_a_frame_of_each_scene_is_looked_at_and_of_too_many_the_longest(
    scenes: int, most: int
) -> None:
    random = np.random.default_rng(scenes)
    looks = np.linalg.qr(random.standard_normal((64, 64)))[0][:scenes]
    lengths = np.arange(scenes, 0, -1) + 1  # the first scene is the longest
    rows = np.repeat(looks, lengths, axis=0) + 0.02 * random.standard_normal((lengths.sum(), 64))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    scene = np.repeat(np.arange(scenes), lengths)
    chosen = distinct(rows, np.full((len(rows), 3), 0.5, np.float32), most)
    assert scene[chosen].tolist() == [*range(min(scenes, most))]


def test_other_colours_are_another_picture_to_a_text() -> None:
    rows = np.repeat(np.eye(1, 8, dtype=np.float32), 6, axis=0)
    colours = np.array([[0.8, 0.1, 0.1]] * 3 + [[0.1, 0.8, 0.1]] * 3, np.float32)
    assert distinct(rows, colours, 12).tolist() == [0, 3]
    assert distinct(rows, colours[:1].repeat(6, axis=0), 12).tolist() == [0]


def test_pictures_of_the_whole_video_travel_in_order_of_time_and_in_their_shape(
    fingerprinter: Fingerprinter, tmp_path: Path
) -> None:
    path = tinted_video(tmp_path / "wide.mp4", "red", "green", "blue", size=(320, 180))
    event = embedded(fingerprinter.fingerprint(upload(path), "request"))
    pictures = [Image.open(io.BytesIO(base64.b64decode(text))) for text in event.thumbnails]
    assert [int(np.asarray(picture).mean((0, 1)).argmax()) for picture in pictures] == [0, 1, 2]
    for picture, text in zip(pictures, event.thumbnails, strict=True):
        assert picture.format == "JPEG" and min(picture.size) <= 128
        assert picture.width / picture.height == pytest.approx(16 / 9, rel=0.03)
        assert len(text) < 12_000


def test_an_event_of_before_is_still_read() -> None:
    old = {
        "schema_version": 1, "video_id": "v", "model_version": "m", "dimension": 2,
        "vector": [1.0, 0.0], "duration_seconds": 3.0,
    }  # fmt: skip
    event = VideoEmbedded.from_json(old)
    assert (event.content_version, event.thumbnails) == (None, [])


@pytest.mark.parametrize(("count", "most"), [(1, 3), (3, 3), (10, 3), (100, 32), (5, 0)])
def test_at_most_so_many_frames_are_looked_at_evenly_spread(count: int, most: int) -> None:
    chosen = np.arange(count, dtype=np.intp) * 2 + 1
    found = spread(chosen, most)
    assert len(found) == min(count, most)
    assert np.isin(found, chosen).all() and (np.diff(found) > 0).all()
    if 2 <= most < count:
        gaps = np.diff(found, prepend=-found[0], append=4 * count - found[-1])
        assert gaps.max() <= 2 * gaps.min() + 4


@pytest.mark.parametrize("ratio", [16 / 9, 1.0, 9 / 16, 50.0, 0.001])
def test_a_thumbnail_has_the_shape_that_was_shown_within_reason(ratio: float) -> None:
    square = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    picture = Image.open(io.BytesIO(base64.b64decode(thumbnail(square, ratio))))
    assert picture.width / picture.height == pytest.approx(min(max(ratio, 0.25), 4), rel=0.03)
    assert min(picture.size) <= 128


def test_no_pictures_where_none_are_asked_for(pair: Path, tmp_path: Path) -> None:
    path = tinted_video(tmp_path / "red.mp4", "red")
    with Fingerprinter(settings_of(tmp_path, path=pair, thumbnails=0)) as fingerprinter:
        assert embedded(fingerprinter.fingerprint(upload(path), "r")).thumbnails == []


def test_a_pair_of_another_input_size_sees_frames_of_that_size(tmp_path: Path) -> None:
    large = make_pair(tmp_path / "large", size=224)
    path = tinted_video(tmp_path / "blue.mp4", "blue", "blue")
    with Fingerprinter(settings_of(tmp_path, path=large)) as fingerprinter:
        made = fingerprinter.fingerprint(upload(path), "request")
    with Fingerprinter(settings_of(tmp_path), embed=False) as fingerprinter:
        without = fingerprinter.fingerprint(upload(path), "request")
    assert int(np.argmax(embedded(made).vector)) == 2
    assert made.fingerprint.to_event().descriptors == without.fingerprint.to_event().descriptors
    assert without.embedding is None


def test_a_pair_from_outside_replaces_ours_for_videos_and_for_texts(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, outside=make_outside(tmp_path / "outside"))
    path = tinted_video(tmp_path / "green.mp4", "green", "green")
    with Fingerprinter(settings) as fingerprinter:
        event = embedded(fingerprinter.fingerprint(upload(path), "request"))
    texts = open_text_encoder(settings.text_video)
    assert event.model_version == texts.model_version
    assert event.model_version.startswith("colours-")
    red, green = texts.embed(["red", "绿"]) @ np.array(event.vector)
    assert green > 0.9 > red


def test_previews_show_what_is_new_and_what_was_long_ago(tmp_path: Path) -> None:
    colours = ["red", "green", "green", "blue", *6 * ["red"], "green"]
    path = tinted_video(tmp_path / "film.mp4", *colours)
    with (
        Decoder(DecodeSettings(processes=1), 96, 224) as decoder,
        decoder.decode(path) as video,
    ):
        assert video.preview_frames is not None
        assert video.frames.shape == (len(video.seconds), 96, 96, 3)
        assert video.preview_frames.shape == (len(video.preview_places), 224, 224, 3)
        for place, frame in enumerate(video.frames):
            last = video.preview_places[video.preview_places <= place][-1]
            since = video.seconds[place] - video.seconds[last]
            assert since == 0 or since < (1 if difference(video.frames[last], frame) > 24 else 4)
        assert np.diff(video.seconds[video.preview_places]).min() >= 1 - 1e-3
        assert 6 <= len(video.preview_places) <= 8
        first, preview = video.frames[video.preview_places], video.preview_frames
        assert first.mean((1, 2)) == pytest.approx(preview.mean((1, 2)), abs=4)
    assert len(list(tmp_path.glob("samesource-*"))) == 0


@pytest.mark.parametrize(
    ("there", "wanted", "found"),
    [
        ([0], [0, 7], [0]),
        ([0, 4, 6], [1, 3], [0]),  # not the next one, near as it is: it is another shot
        ([0, 4, 6], [5], [2]),
        ([0, 6], [4, 5], [1]),  # the shot that begins at 4
        ([0, 4, 6], [0, 4, 6, 7], [0, 1, 2]),
    ],
)
def test_the_frames_that_look_most_alike_stand_for_the_others(
    there: list[int], wanted: list[int], found: list[int]
) -> None:
    frames = np.zeros((8, 8, 8, 3), np.uint8)
    frames[:4] += np.arange(4, dtype=np.uint8)[:, None, None, None]
    frames[4:] += np.arange(200, 204, dtype=np.uint8)[:, None, None, None]
    places = most_alike(frames, np.array(there), np.array(wanted))
    assert places.tolist() == found


@pytest.mark.parametrize(
    ("size", "turn", "bars", "ratio"),
    [
        ((320, 180), False, False, 16 / 9),
        ((320, 180), True, False, 9 / 16),
        ((320, 240), False, True, 16 / 9),
        ((180, 320), False, False, 9 / 16),
    ],
)
def test_a_square_knows_the_shape_that_its_picture_had(
    tmp_path: Path, size: tuple[int, int], turn: bool, bars: bool, ratio: float
) -> None:
    def letterboxed(index: int, width: int, height: int) -> NDArray[np.uint8]:
        picture: NDArray[np.uint8] = tinted("red")(index, width, height)
        margin = round((height - width / ratio) / 2)
        picture[:margin], picture[height - margin :] = 0, 0
        assert not bars or content_box(picture)[1] > 0
        return picture

    path = make_video(
        tmp_path / "film.mp4", count=RATE, frames_per_second=RATE, key_every=1, size=size,
        draw=letterboxed if bars else tinted("red"),
    )  # fmt: skip
    if turn:
        set_display_matrix(path, QUARTER_TURN)
    with Decoder(DecodeSettings(processes=1), 96) as decoder, decoder.decode(path) as video:
        assert video.preview_frames is None
        assert video.aspect_ratios == pytest.approx(np.full(len(video.seconds), ratio), rel=0.04)


@pytest.mark.parametrize("turn", [False, True])
@pytest.mark.parametrize("bar", [0, 30])
@pytest.mark.parametrize("preview_size", [64, 224])
def test_previews_show_the_same_part_of_the_picture(
    tmp_path: Path, turn: bool, bar: int, preview_size: int
) -> None:
    def slopes(index: int, width: int, height: int) -> NDArray[np.uint8]:
        picture = np.full((height, width, 3), 90, np.uint8)
        picture[..., 0] = np.linspace(40, 220, width)
        picture[bar : height - bar, :, 1] = np.linspace(200, 30, height - 2 * bar)[:, None]
        picture[:bar], picture[height - bar :] = 0, 0
        return picture

    path = make_video(
        tmp_path / "film.mp4", count=RATE, frames_per_second=RATE, key_every=1, size=(320, 240),
        draw=slopes,
    )  # fmt: skip
    if turn:
        set_display_matrix(path, QUARTER_TURN)
    with (
        Decoder(DecodeSettings(processes=1), 96, preview_size) as decoder,
        decoder.decode(path) as video,
    ):
        assert video.preview_frames is not None
        size = (preview_size, preview_size)
        first = Image.fromarray(np.ascontiguousarray(video.frames[0]))
        expected = np.asarray(first.resize(size, Image.Resampling.BICUBIC), np.float32)
        apart = np.abs(video.preview_frames[0] - expected)
        assert apart.mean() < 3 and apart[9:-9, 9:-9].max() < 40


def test_a_failure_costs_the_embedding_and_not_the_fingerprint(
    fingerprinter: Fingerprinter, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def fail(*_: object) -> None:
        raise ModelFileError("no vector")

    monkeypatch.setattr(embed.Embedder, "embed", fail)
    path = tinted_video(tmp_path / "red.mp4", "red")
    source = Source("video.uploaded", 0, 3, 5, upload(path).to_bytes(), b"v")
    [event] = fingerprint_step(fingerprinter, source)
    assert isinstance(event, VideoFingerprinted)
    assert "v can't be embedded" in caplog.text


def test_a_replay_keeps_the_place_of_its_original(
    fingerprinter: Fingerprinter, tmp_path: Path
) -> None:
    path = tinted_video(tmp_path / "red.mp4", "red")
    original = Submission(log_id="uploads", partition=0, offset=3, timestamp_ms=5)
    headers = tuple(submission_headers(original))
    source = Source("video.uploaded", 0, 8, 9, upload(path).to_bytes(), b"v", headers=headers)
    events = fingerprint_step(fingerprinter, source, "uploads")
    assert [getattr(event, "submission", None) for event in events] == [original] * 2


def test_without_a_shipped_pair_nothing_is_embedded_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed, "default_pair_files", lambda: PairFiles.of(tmp_path))
    with caplog.at_level(logging.WARNING):
        assert open_embedder(TextVideoSettings()) is None
    assert "no text–video pair" in caplog.text


def test_a_pair_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"video\.onnx"):
        open_embedder(TextVideoSettings(path=tmp_path))


def test_two_pairs_at_once_are_refused() -> None:
    outside = {
        "image": "i.onnx", "text": "t.onnx", "tokenizer": "t.json", "input_size": 224,
        "dimension": 8, "max_tokens": 8,
    }  # fmt: skip
    with pytest.raises(ValueError, match="leave one out"):
        TextVideoSettings.model_validate({"path": "p", "outside": outside})


def test_pixels_that_are_no_squares_count(tmp_path: Path) -> None:
    path = tmp_path / "anamorphic.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 180, 144, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(64, 45)
        for index in range(RATE):
            frame = av.VideoFrame.from_ndarray(tinted("red")(index, 180, 144), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with Decoder(DecodeSettings(processes=1), 96) as decoder, decoder.decode(path) as video:
        assert video.aspect_ratios == pytest.approx(np.full(len(video.seconds), 16 / 9), rel=0.04)
