"""What people upload, one contract for all: the sample of each second is the frame shown then."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.logging
import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange

from stream.decode.decoder import Decoder
from stream.decode.settings import DecodeSettings
from tests.stream.videos import add_tone, make_video, numbered, numbers_of, truncate

SIZE = 96
SETTINGS = DecodeSettings(processes=1, frames_per_second=1, repeat_gap_seconds=0)
RATE, COUNT = 10, 40
WHOLE = [0, 10, 20, 30]
Make = Callable[[Path], Path]
av.logging.set_level(None)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(SETTINGS, SIZE) as decoder:
        yield decoder


def _coded(codec: str, pixel_format: str = "yuv420p", **options: str) -> Make:
    def make(path: Path) -> Path:
        return make_video(
            path,
            codec=codec,
            pixel_format=pixel_format,
            count=COUNT,
            frames_per_second=RATE,
            key_every=20,
            options=options,
        )

    return make


def _sized(width: int, height: int, pixel_format: str = "yuv420p") -> Make:
    def make(path: Path) -> Path:
        return make_video(
            path,
            size=(width, height),
            pixel_format=pixel_format,
            count=COUNT,
            frames_per_second=RATE,
        )

    return make


def _muxed(
    path: Path,
    *,
    muxer: dict[str, str] | None = None,
    set_up: Callable[[Any], None] = lambda stream: None,
    each: Callable[[VideoFrame], None] = lambda frame: None,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    others: int = 0,
) -> Path:
    """As `make_video`, with more to set."""
    with av.open(path.as_posix(), "w", options=muxer or {}) as container:
        stream: Any = container.add_stream(codec, rate=RATE)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 320, 240, pixel_format, 20
        set_up(stream)
        more: list[Any] = [container.add_stream("mpeg4", rate=RATE) for _ in range(others)]
        for other in more:
            other.width, other.height, other.pix_fmt = 64, 48, "yuv420p"
            other.disposition = av.stream.Disposition(0)
        for index in range(COUNT):
            frame = VideoFrame.from_ndarray(numbered(index, 320, 240), format="rgb24")
            frame = frame.reformat(format=pixel_format)
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            each(frame)
            container.mux(stream.encode(frame))
            for other in more:
                small = VideoFrame.from_ndarray(numbered(999, 64, 48), format="rgb24")
                small = small.reformat(format="yuv420p")
                small.pts, small.time_base = index, Fraction(1, RATE)
                container.mux(other.encode(small))
        for each_stream in (stream, *more):
            container.mux(each_stream.encode())
    return path


def _fragmented(path: Path) -> Path:
    return _muxed(path, muxer={"movflags": "frag_keyframe+empty_moov+default_base_moof"})


def _index_first(path: Path) -> Path:
    return _muxed(path, muxer={"movflags": "faststart"})


def _recorded_by_a_browser(path: Path) -> Path:
    """A WebM that was never finished: no duration, no cues."""
    return _muxed(
        path, muxer={"live": "1"}, codec="libvpx", set_up=lambda s: setattr(s, "bit_rate", 10**6)
    )


def _interlaced(path: Path) -> Path:
    def top_first(frame: VideoFrame) -> None:
        frame.interlaced_frame = True  # type: ignore[misc]

    def set_up(stream: Any) -> None:
        stream.codec_context.options = {"flags": "+ilme+ildct"}
        stream.bit_rate = 4_000_000

    try:
        return _muxed(path, codec="mpeg2video", set_up=set_up, each=top_first)
    except AttributeError:
        return _muxed(path, codec="mpeg2video", set_up=set_up)


def _colours(transfer: int) -> Make:
    """HDR: ten bits, BT.2020, a curve for bright screens (16 PQ, 18 HLG)."""

    def set_up(stream: Any) -> None:
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = 9, transfer, 9
        context.color_range = ColorRange.MPEG

    return lambda path: _muxed(path, pixel_format="yuv420p10le", set_up=set_up)


def _wide_pixels(path: Path) -> Path:
    return _muxed(
        path,
        set_up=lambda s: setattr(s.codec_context, "sample_aspect_ratio", Fraction(2, 1)),
    )


def _several_streams(path: Path) -> Path:
    return _muxed(path, others=2)


def _with_sound(path: Path) -> Path:
    return make_video(path, count=COUNT, frames_per_second=RATE, audio_seconds=4)


def _lying_duration(path: Path) -> Path:
    """A header that claims a thousandth of what is there."""
    data = bytearray(_with_sound(path).read_bytes())
    at = data.index(b"mvhd") + 4 + 16
    data[at : at + 4] = (4).to_bytes(4, "big")
    path.write_bytes(data)
    return path


def _with_cover(path: Path) -> Path:
    """A cover picture beside the video."""
    with av.open(path.as_posix(), "w") as container:
        stream: Any = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 320, 240, "yuv420p", 20
        cover: Any = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 640, 480, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        add_tone(container, 4)
        picture = VideoFrame.from_ndarray(numbered(999, 640, 480), format="rgb24")
        picture.pts = 0
        container.mux(cover.encode(picture.reformat(format="yuvj420p")))
        container.mux(cover.encode())
        for index in range(COUNT):
            frame = VideoFrame.from_ndarray(numbered(index, 320, 240), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode())
    return path


def _changing_size(path: Path) -> Path:
    """Half of it at another size: two broadcasts in a row."""
    halves = []
    for number, size in enumerate(((320, 240), (480, 270))):
        half = make_video(
            path.with_name(f"half{number}.ts"),
            count=20,
            size=size,
            frames_per_second=RATE,
            options={"bf": "0"},
            draw=lambda index, w, h, first=20 * number: numbered(first + index, w, h),  # type: ignore[misc]
        )
        halves.append(half.read_bytes())
    path.write_bytes(b"".join(halves))
    return path


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("h264.mp4", _coded("libx264")),
        ("hevc.mkv", _coded("libx265", **{"x265-params": "log-level=none"})),
        ("av1.mp4", _coded("libsvtav1", preset="12")),
        ("vp8.webm", _coded("libvpx", deadline="realtime", **{"b": "2M"})),
        ("vp9.webm", _coded("libvpx-vp9", deadline="realtime", **{"cpu-used": "8"})),
        ("mpeg2.mpg", _coded("mpeg2video")),
        ("mpeg2.ts", _coded("mpeg2video")),
        ("mpeg4.avi", _coded("mpeg4")),
        ("mjpeg.mov", _coded("mjpeg", "yuvj420p")),
        ("prores.mov", _coded("prores_ks", "yuv422p10le")),
        ("ten_bit.mkv", _coded("libx264", "yuv420p10le")),
        ("yuv444.mp4", _coded("libx264", "yuv444p")),
        ("alpha.mov", _coded("prores_ks", "yuva444p10le")),
        ("a.apng", _coded("apng", "rgba")),
        ("a.gif", _coded("gif", "rgb8")),
        ("a.avif", _coded("libsvtav1", preset="12")),
        ("wmv.asf", _coded("wmv2")),
        ("flv.flv", _coded("libx264")),
        ("odd.mkv", _sized(321, 241, "yuv444p")),
        ("tall.mp4", _sized(180, 320)),
        ("pq.mkv", _colours(16)),
        ("hlg.mp4", _colours(18)),
        ("interlaced.mpg", _interlaced),
        ("anamorphic.mp4", _wide_pixels),
        ("fragmented.mp4", _fragmented),
        ("index_first.mp4", _index_first),
        ("index_last.mp4", _with_sound),
        ("recorded.webm", _recorded_by_a_browser),
        ("lying.mp4", _lying_duration),
        ("several.mkv", _several_streams),
        ("cover.mp4", _with_cover),
        ("changing.ts", _changing_size),
    ],
)
def test_the_sample_of_each_second_is_the_frame_shown_then(
    decoder: Decoder, tmp_path: Path, name: str, make: Make
) -> None:
    # In a thread that ends with it: SVT-AV1 gives the thread that calls it real-time priority where
    # it may, which all that is started from there inherits, so that nothing else gets to run.
    with ThreadPoolExecutor(1) as thread:
        path = thread.submit(make, tmp_path / name).result()
    with decoder.decode(path) as video:
        seconds = video.seconds.tolist()
        assert seconds == pytest.approx(range(len(WHOLE)), abs=0.11)
        shown = numbers_of(video.frames)
        assert shown == [round(RATE * second) for second in seconds]
        assert shown == pytest.approx(WHOLE, abs=1)
        assert video.duration_seconds == pytest.approx(COUNT / RATE, abs=0.2)


def test_a_truncated_tail_is_left_out(decoder: Decoder, tmp_path: Path) -> None:
    with decoder.decode(truncate(_index_first(tmp_path / "cut_off.mp4"), 0.97)) as video:
        assert numbers_of(video.frames) == WHOLE
        assert 3 < video.duration_seconds < 4


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", ["few.mp4", "few.webm", "few.ts"])
def test_one_and_two_frames_are_a_video(
    decoder: Decoder, tmp_path: Path, name: str, count: int
) -> None:
    codec = "libvpx" if name.endswith("webm") else "libx264"
    path = make_video(tmp_path / name, count=count, frames_per_second=RATE, codec=codec)
    with decoder.decode(path) as video:
        assert numbers_of(video.frames) == [0]
        assert video.duration_seconds == pytest.approx(count / RATE, abs=0.11)


def test_wide_pixels_are_told_from_wide_pictures(decoder: Decoder, tmp_path: Path) -> None:
    with decoder.decode(_wide_pixels(tmp_path / "anamorphic.mp4")) as video:
        assert np.median(video.aspect_ratios) == pytest.approx(2 * 320 / 240, rel=0.05)


def test_an_edit_list_hides_what_it_leaves_out(decoder: Decoder, tmp_path: Path) -> None:
    """A trimmed copy that keeps the packets before the first shown frame."""
    plain = make_video(tmp_path / "plain.mp4", options={"bf": "0"}, key_every=100)
    data = bytearray(plain.read_bytes())
    at = data.index(b"elst") + 12  # one entry: duration, first shown, rate
    scale_at = data.index(b"mdhd") + 16
    scale = int.from_bytes(data[scale_at : scale_at + 4], "big")
    data[at + 4 : at + 8] = scale.to_bytes(4, "big")  # begins at one second
    path = tmp_path / "trimmed.mp4"
    path.write_bytes(data)
    with decoder.decode(path) as video:
        assert numbers_of(video.frames) == [25, 50, 75]
        assert video.seconds.tolist() == pytest.approx([0, 1, 2], abs=0.05)
