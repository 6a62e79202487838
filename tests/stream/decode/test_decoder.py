"""Decoding: the frame that is shown at each even time, and a clear outcome for every bad file."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import av
import av.logging
import numpy as np
import pytest

from stream.decode.decoder import Decoder
from stream.decode.settings import DecodeSettings
from stream.errors import (
    CorruptError,
    NoVideoError,
    RejectedError,
    TooLargeError,
)
from tests.stream.videos import (
    make_audio,
    make_audio_with_cover,
    make_long_video,
    make_video,
    number_of,
    numbered,
    numbers_of,
    set_display_matrix,
    truncate,
)

SIZE = 96
SETTINGS = DecodeSettings(processes=1, frames_per_second=1, motion_frames_per_second=0)
av.logging.set_level(None)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(SETTINGS, SIZE) as decoder:
        yield decoder


def _sampled(decoder: Decoder, path: Path) -> tuple[list[int], list[float]]:
    with decoder.decode(path) as video:
        return numbers_of(video.frames), [round(time, 3) for time in video.seconds.tolist()]


X265 = "log-level=none:open-gop=1:keyint=40:min-keyint=40:scenecut=0:bframes=3"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("h264.mp4", {}),
        ("h264.mkv", {"audio_seconds": 5.0}),
        ("h264.ts", {}),
        ("h264.avi", {"options": {"bf": "0"}}),
        ("h264.h264", {}),
        ("b_frames.mp4", {"options": {"preset": "medium", "bf": "3"}}),
        ("open_groups.mp4", {"options": {"x264-params": "open-gop=1:bframes=3:keyint=40"}}),
        ("hevc.mp4", {"codec": "libx265", "options": {"x265-params": X265}}),
        ("vp9.webm", {"codec": "libvpx-vp9", "options": {"deadline": "realtime"}}),
        ("mpeg4.mp4", {"codec": "mpeg4"}),
        ("one_group.mp4", {"key_every": 1000}),
        ("ten_bit.mp4", {"pixel_format": "yuv420p10le"}),
        ("yuv444.mp4", {"pixel_format": "yuv444p"}),
        ("gray.mp4", {"pixel_format": "gray"}),
        ("full_range.mp4", {"pixel_format": "yuvj420p"}),
        ("alpha.mov", {"codec": "prores_ks", "pixel_format": "yuva444p10le"}),
        ("wide.mp4", {"size": (640, 128)}),
        ("tall.mp4", {"size": (128, 640)}),
        ("odd.mkv", {"size": (321, 241), "pixel_format": "yuv444p"}),
        ("late.mp4", {"times_ms": [2000 + 40 * index for index in range(100)]}),
        ("late.mkv", {"times_ms": [2000 + 40 * index for index in range(100)]}),
        ("late.ts", {"times_ms": [2000 + 40 * index for index in range(100)]}),
    ],
)
def test_the_sample_of_each_second_is_the_frame_shown_then(
    decoder: Decoder, tmp_path: Path, name: str, options: dict[str, object]
) -> None:
    path = make_video(tmp_path / name, **options)  # type: ignore[arg-type]
    assert _sampled(decoder, path) == ([0, 25, 50, 75], [0, 1, 2, 3])


def test_a_frame_of_a_variable_rate_is_shown_until_the_next_one(tmp_path: Path) -> None:
    path = make_video(tmp_path / "vfr.mp4", times_ms=[0, 40, 900, 950, 3000, 3040, 6500, 6600])
    settings = DecodeSettings(processes=1, frames_per_second=1, repeat_gap_seconds=0)
    with Decoder(settings, SIZE) as decoder:
        assert _sampled(decoder, path) == ([0, 3, 3, 4, 5, 5, 5], [0, 1, 2, 3, 4, 5, 6])


def test_a_higher_rate_samples_between_the_seconds(tmp_path: Path) -> None:
    path = make_video(tmp_path / "video.mp4", count=50)
    with Decoder(DecodeSettings(processes=1, frames_per_second=5), SIZE) as decoder:
        assert _sampled(decoder, path)[0] == list(range(0, 50, 5))


@pytest.mark.parametrize(
    ("linear", "pose"),
    [
        ((0, 1, -1, 0), lambda rgb: np.rot90(rgb, -1)),
        ((-1, 0, 0, -1), lambda rgb: np.rot90(rgb, 2)),
        ((0, -1, 1, 0), lambda rgb: np.rot90(rgb, 1)),
        ((-1, 0, 0, 1), lambda rgb: rgb[:, ::-1]),
        ((1, 0, 0, -1), lambda rgb: rgb[::-1]),
    ],
)
def test_frames_are_turned_as_the_file_says(
    decoder: Decoder, tmp_path: Path, linear: tuple[int, ...], pose: object
) -> None:
    plain = make_video(tmp_path / "plain.mp4", count=2, draw=lambda _, w, h: numbered(37, w, h))
    turned = Path(shutil.copy(plain, tmp_path / "turned.mp4"))
    set_display_matrix(turned, linear)
    with decoder.decode(plain) as upright, decoder.decode(turned) as video:
        expected = pose(upright.frames[0])  # type: ignore[operator]
        difference = np.abs(video.frames[0].astype(int) - expected)
        assert difference.mean() < 4
        assert np.abs(video.frames[0].astype(int) - upright.frames[0]).mean() > 10


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("one.mp4", {}),
        ("one.mkv", {}),
        ("one.jpg", {"codec": "mjpeg", "pixel_format": "yuvj420p"}),
        ("one.png", {"codec": "png", "pixel_format": "rgba"}),
    ],
)
def test_one_frame_is_a_video(
    decoder: Decoder, tmp_path: Path, name: str, options: dict[str, object]
) -> None:
    path = make_video(tmp_path / name, count=1, **options)  # type: ignore[arg-type]
    with decoder.decode(path) as video:
        assert (numbers_of(video.frames), video.seconds.tolist()) == ([0], [0])
        assert video.duration_seconds == pytest.approx(0.04)


def test_a_gif_is_a_video(decoder: Decoder, tmp_path: Path) -> None:
    path = make_video(
        tmp_path / "a.gif", codec="gif", pixel_format="rgb8", frames_per_second=10, count=30
    )
    assert _sampled(decoder, path) == ([0, 10, 20], [0, 1, 2])


def test_key_frames_alone_are_decoded_where_they_lie_densely(
    decoder: Decoder, tmp_path: Path
) -> None:
    with decoder.decode(make_video(tmp_path / "dense.mp4", key_every=25)) as video:
        assert (video.strategy, video.decoded_frames) == ("key_frames", 4)


def test_a_key_frame_within_the_tolerance_stands_for_a_sample(
    decoder: Decoder, tmp_path: Path
) -> None:
    path = make_video(tmp_path / "near.mp4", key_every=26, count=60)
    assert _sampled(decoder, path) == ([0, 26, 52], [0, 1.04, 2.08])


def test_a_group_is_decoded_no_further_than_its_last_sample(
    decoder: Decoder, tmp_path: Path
) -> None:
    path = make_video(tmp_path / "groups.mp4", count=500, key_every=45, options={"bf": "0"})
    with decoder.decode(path) as video:
        assert numbers_of(video.frames) == pytest.approx(list(range(0, 500, 25)), abs=2)
        assert video.decoded_frames < 0.75 * video.packets


def test_a_long_still_is_small_and_decodes_fast(decoder: Decoder, tmp_path: Path) -> None:
    still = make_video(
        tmp_path / "one.mp4",
        count=50,
        frames_per_second=5,
        draw=lambda index, w, h: numbered(9, w, h),
    )
    path = make_long_video(tmp_path / "still.mp4", still, seconds=3600)
    with decoder.decode(path) as video:
        assert video.duration_seconds == pytest.approx(3600, abs=1)
        assert len(video.frames) == 3600 / SETTINGS.repeat_gap_seconds
        assert number_of(video.frames[-1]) == 9
        assert video.decode_cpu_seconds < 20


def _text(path: Path) -> Path:
    path.write_text("this is no video\n" * 100)
    return path


def _empty(path: Path) -> Path:
    path.touch()
    return path


def _playlist(path: Path) -> Path:
    other = make_video(path.with_name("secret.ts"))
    path.write_text(f"#EXTM3U\n#EXTINF:4,\n{other.as_uri()}\n#EXT-X-ENDLIST\n")
    return path


@pytest.mark.parametrize(
    ("make", "name", "error", "says"),
    [
        (_text, "text.mp4", CorruptError, "not a readable video"),
        (_empty, "empty.mp4", CorruptError, "0 bytes"),
        (_playlist, "list.m3u8", RejectedError, "not"),
        (make_audio, "audio.m4a", NoVideoError, "holds audio"),
        (make_audio_with_cover, "cover.mp3", NoVideoError, "cover picture"),
        (lambda path: truncate(make_video(path), 0.5), "cut.mp4", CorruptError, "not a readable"),
    ],
)
def test_a_file_without_a_video_is_rejected_with_its_reason(
    decoder: Decoder,
    tmp_path: Path,
    make: object,
    name: str,
    error: type[RejectedError],
    says: str,
) -> None:
    path = make(tmp_path / name)  # type: ignore[operator]
    with pytest.raises(error, match=says):
        decoder.decode(path)


def _with_index_first(path: Path) -> Path:
    whole = make_video(path.with_name("whole.mp4"), count=200)
    with av.open(whole.as_posix()) as reading:
        template = reading.streams.video[0]
        with av.open(path.as_posix(), "w", options={"movflags": "faststart"}) as container:
            stream = container.add_stream_from_template(template)
            for packet in reading.demux(template):
                if packet.size:
                    packet.stream = stream
                    container.mux(packet)
    return path


def test_a_truncated_video_gives_what_is_there(decoder: Decoder, tmp_path: Path) -> None:
    path = truncate(_with_index_first(tmp_path / "most.mp4"), 0.7)
    numbers, seconds = _sampled(decoder, path)
    assert 4 <= len(numbers) < 8
    assert numbers == [round(25 * second) for second in seconds]


def test_a_video_of_which_little_is_left_is_corrupt(decoder: Decoder, tmp_path: Path) -> None:
    path = truncate(_with_index_first(tmp_path / "little.mp4"), 0.35)
    with pytest.raises(CorruptError, match=r"only \d\.\d s of the stated 8\.0 s"):
        decoder.decode(path)


def test_broken_packets_are_counted_and_passed_over(decoder: Decoder, tmp_path: Path) -> None:
    path = make_video(tmp_path / "broken.mp4", count=250, key_every=25)
    with av.open(path.as_posix()) as container:
        places = [
            (packet.pos or 0, packet.size)
            for packet in container.demux(container.streams.video[0])
            if packet.is_keyframe
        ]
    data = bytearray(path.read_bytes())
    position, size = places[5]
    data[position : position + size] = b"\xff" * size
    path.write_bytes(data)
    with decoder.decode(path) as video:
        assert video.broken_packets >= 1
        assert {0, 100, 150, 225} <= set(numbers_of(video.frames))
        assert 125 not in numbers_of(video.frames)


def test_frames_over_the_limit_are_refused_before_decoding(
    decoder: Decoder, tmp_path: Path
) -> None:
    path = make_video(
        tmp_path / "8k.mp4",
        codec="mjpeg",
        pixel_format="yuvj420p",
        count=1,
        size=(7680, 4320),
        draw=lambda _, width, height: np.zeros((height, width, 3), np.uint8),
    )
    with pytest.raises(TooLargeError, match="7680x4320.*decode.max_pixels"):
        decoder.decode(path)


def test_a_video_over_the_longest_duration_is_refused(tmp_path: Path) -> None:
    path = make_video(tmp_path / "long.mp4", times_ms=[0, 1000, 90_000])
    settings = DecodeSettings(processes=1, max_duration_seconds=60)
    with (
        Decoder(settings, SIZE) as decoder,
        pytest.raises(TooLargeError, match="max_duration_seconds"),
    ):
        decoder.decode(path)
