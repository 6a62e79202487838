"""Seconds are those that players show: jumps of a broadcast's clock are none, a hole is real."""

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import av.logging
import numpy as np
import pytest

from stream.decode.decoded_video import DecodedVideo
from stream.decode.decoder import Decoder
from stream.decode.settings import DecodeSettings
from stream.errors import TooLargeError
from tests.stream.videos import make_video, numbered, numbers_of

SIZE = 96
SETTINGS = DecodeSettings(processes=1, frames_per_second=1, repeat_gap_seconds=0)
WRAP_SECONDS = 2**33 / 90_000
av.logging.set_level(None)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(SETTINGS, SIZE) as decoder:
        yield decoder


def _later(path: Path, source: Path, seconds: float, first: int = 0) -> Path:
    """The packets of a video from the first-th on, not encoded again, at other times."""
    with av.open(source.as_posix()) as reading, av.open(path.as_posix(), "w") as container:
        template = reading.streams.video[0]
        stream = container.add_stream_from_template(template)
        for index, packet in enumerate(p for p in reading.demux(template) if p.size):
            if index >= first:
                shift = round(seconds / float(template.time_base or 1))
                packet.pts, packet.dts = (packet.pts or 0) + shift, (packet.dts or 0) + shift
            packet.stream = stream
            container.mux(packet)
    return path


def _part(folder: Path, name: str, seconds: float, first_number: int) -> bytes:
    """Four seconds of a broadcast whose clock begins at `seconds`, as bytes."""
    codec = {"codec": "mpeg2video"} if name.endswith("vob") else {"options": {"bf": "2"}}
    plain = make_video(
        folder / f"plain{first_number}.{name}",
        draw=lambda index, w, h: numbered(first_number + index, w, h),
        **codec,
    )
    return _later(folder / f"part{first_number}.{name}", plain, seconds).read_bytes()


def _whole(video: DecodedVideo) -> None:
    """Eight seconds, the second half of them behind the join."""
    assert video.duration_seconds == pytest.approx(8, abs=0.1)
    assert video.seconds.tolist() == pytest.approx(range(8), abs=0.05)
    assert numbers_of(video.frames) == pytest.approx(list(range(0, 200, 25)), abs=2)


@pytest.mark.parametrize("container", ["ts", "vob"])
@pytest.mark.parametrize(
    ("before", "behind"),
    [
        (0, 0),
        (0, 24),
        (0, 604),
        (0, 3600),
        (0, 90_000),
        (3600, 0),
        (90_000, 0),
        (WRAP_SECONDS - 4, 0),
        (WRAP_SECONDS - 2, 2),
    ],
)
def test_a_broadcast_plays_on_where_its_clock_jumps(
    decoder: Decoder, tmp_path: Path, container: str, before: float, behind: float
) -> None:
    path = tmp_path / f"joined.{container}"
    parts = _part(tmp_path, container, before, 0) + _part(tmp_path, container, behind, 100)
    path.write_bytes(parts)
    with decoder.decode(path) as video:
        _whole(video)


def test_a_broadcast_that_misses_a_few_seconds_is_not_moved(
    decoder: Decoder, tmp_path: Path
) -> None:
    path = tmp_path / "joined.ts"
    path.write_bytes(_part(tmp_path, "ts", 0, 0) + _part(tmp_path, "ts", 9, 100))
    with decoder.decode(path) as video:
        assert video.duration_seconds == pytest.approx(13, abs=0.1)


@pytest.mark.parametrize("name", ["hole.mkv", "hole.flv", "hole.mp4"])
def test_a_hole_is_real_time_and_costs_next_to_nothing(
    decoder: Decoder, tmp_path: Path, name: str
) -> None:
    plain = make_video(tmp_path / f"plain.{name[5:]}", count=100, options={"bf": "0"})
    with decoder.decode(_later(tmp_path / name, plain, 20_000, first=50)) as video:
        assert video.duration_seconds == pytest.approx(20_004, abs=0.1)
        numbers, seconds = numbers_of(video.frames), video.seconds.tolist()
        assert numbers[:2] + numbers[-2:] == [0, 25, 50, 75]
        assert seconds[-2:] == pytest.approx([20_002, 20_003])
        assert set(numbers[2:-2]) == {49}
        assert seconds[-3] == pytest.approx(20_001)
        assert len(numbers) < 160
        assert np.abs(video.cut_seconds - 20_002).min() < 0.01
        assert video.decode_cpu_seconds < 5


def test_a_day_long_hole_is_refused_before_it_is_filled_with_frames(tmp_path: Path) -> None:
    """Two frames of one time: packets can't be told apart, and every frame is decoded."""
    plain = make_video(tmp_path / "plain.mkv", count=30, options={"bf": "0"})
    path = _later(tmp_path / "bomb.mkv", plain, 90_000, first=28)
    with av.open(path.as_posix()) as container:
        times = [packet.pts for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    block = data.index(b"\xa3")  # the first SimpleBlock; its second gets the same time
    assert times[:2] == [0, 40]
    place = data.index((40).to_bytes(2, "big"), block)
    data[place : place + 2] = bytes(2)
    path.write_bytes(data)
    settings = DecodeSettings(processes=1, spool_bytes=2**20, frames_per_second=30)
    with Decoder(settings, SIZE) as decoder, pytest.raises(TooLargeError, match="max_duration"):
        decoder.decode(path)


def _with_late_video(path: Path, lead_seconds: float) -> Path:
    times = [round(1000 * lead_seconds) + 40 * index for index in range(100)]
    return make_video(path, times_ms=times, audio_seconds=lead_seconds + 4)


@pytest.mark.parametrize("name", ["late.mp4", "late.mov", "late.mkv", "late.ts"])
def test_seconds_count_from_where_the_sound_begins(
    decoder: Decoder, tmp_path: Path, name: str
) -> None:
    with decoder.decode(_with_late_video(tmp_path / name, 3.0)) as video:
        assert numbers_of(video.frames) == [0, 25, 50, 75]
        assert video.seconds.tolist() == pytest.approx([3, 4, 5, 6], abs=0.15)
        assert video.duration_seconds == pytest.approx(7, abs=0.15)
        assert video.cut_seconds[0] == pytest.approx(video.seconds[0])
        assert len(video.motion) == np.ceil(round(4 * video.duration_seconds, 6))


def test_the_delay_of_an_encoder_is_no_lead(decoder: Decoder, tmp_path: Path) -> None:
    with decoder.decode(_with_late_video(tmp_path / "soon.mkv", 0.06)) as video:
        assert video.seconds[0] == 0


def test_sound_that_begins_a_day_earlier_makes_a_video_too_long(
    decoder: Decoder, tmp_path: Path
) -> None:
    plain = make_video(tmp_path / "plain.mkv", audio_seconds=2)
    path = tmp_path / "late.mkv"
    with av.open(plain.as_posix()) as reading, av.open(path.as_posix(), "w") as container:
        streams = {
            stream.index: container.add_stream_from_template(stream)
            for stream in (reading.streams.video[0], reading.streams.audio[0])
        }
        packets = [packet for packet in reading.demux() if packet.size]
        for packet in packets:
            if packet.stream.type == "video":
                packet.pts, packet.dts = (packet.pts or 0) + 10**8, (packet.dts or 0) + 10**8
        for packet in packets:
            packet.stream = streams[packet.stream.index]
            container.mux(packet)
    with pytest.raises(TooLargeError, match="max_duration_seconds"):
        decoder.decode(path)


def test_a_recording_with_few_frames_has_a_cut_at_each_new_picture(tmp_path: Path) -> None:
    def shot(index: int, width: int, height: int) -> np.ndarray:
        noise = np.random.default_rng(index).integers(0, 255, (8, 8, 3), np.uint8)
        return noise.repeat(height // 8, axis=0).repeat(width // 8, axis=1)

    times = [0, 2000, 4040, 5870, 7410, 8740, 10340, 10380]
    path = make_video(tmp_path / "sparse.mkv", times_ms=times, draw=shot)
    with Decoder(DecodeSettings(processes=1), SIZE) as decoder, decoder.decode(path) as video:
        assert video.cut_seconds.tolist() == pytest.approx(
            [t / 1000 for t in times[1:-2]], abs=0.01
        )
        assert len(video.motion) == 0


def test_a_last_frame_is_not_shown_for_the_mean_distance_of_uneven_frames(
    decoder: Decoder, tmp_path: Path
) -> None:
    """Matroska states one duration for all frames; a converter writes the mean, and a true end."""
    path = make_video(
        tmp_path / "a.mkv",
        times_ms=[0, 2000, 4040, 5870, 7410, 7440, 8740, 10340, 12410, 14210],
        frames_per_second=Fraction(5, 8),
    )
    data = path.read_bytes()
    at = data.index(b"\x44\x89\x88") + 3  # the length in milliseconds, a float of 64 bits
    path.write_bytes(data[:at] + struct.pack(">d", 14_250.0) + data[at + 8 :])
    with decoder.decode(path) as video:
        assert video.duration_seconds == pytest.approx(14.2 + 1, abs=0.1)


def test_the_last_slide_of_an_even_slide_show_is_shown_as_long_as_the_others(
    decoder: Decoder, tmp_path: Path
) -> None:
    path = make_video(
        tmp_path / "a.mkv", times_ms=[0, 3000, 6000, 9000], frames_per_second=Fraction(1, 3)
    )
    with decoder.decode(path) as video:
        assert video.duration_seconds == pytest.approx(12, abs=0.1)
