"""Small test videos, made by PyAV: every frame shows its own number, so that a test can read it.

Serves the tests of fetching, decoding and fingerprinting.
"""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.container import OutputContainer
from av.video.frame import VideoFrame
from numpy.typing import NDArray

BITS = 16
GRID = 4
TICKS = 1000
_MADE: dict[tuple[object, ...], bytes] = {}
Draw = Callable[[int, int, int], NDArray[np.uint8]]


@cache
def _noise(width: int, height: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(7).integers(60, 200, (height // 8 + 1, width // 8 + 1, 3))
    return noise.repeat(8, axis=0).repeat(8, axis=1)[:height, :width].astype(np.uint8)


def numbered(index: int, width: int, height: int) -> NDArray[np.uint8]:
    """(H, W, 3) uint8: a noisy frame around 4x4 blocks, white where a bit of `index` is set."""
    rgb = _noise(width, height).copy()
    top, left = height // 6, width // 6
    rows, columns = (height - 2 * top) // GRID, (width - 2 * left) // GRID
    for bit in range(BITS):
        row, column = top + bit // GRID * rows, left + bit % GRID * columns
        rgb[row : row + rows, column : column + columns] = 235 if index >> bit & 1 else 20
    return rgb


def number_of(picture: NDArray[np.uint8]) -> int:
    """The number that a prepared frame (S, S, 3) shows."""
    side = len(picture)
    edge, block = side / 6, side * 4 / 6 / GRID
    centres = [round(edge + (position + 0.5) * block) for position in range(GRID)]
    bits = [picture[row, column].mean() > 128 for row in centres for column in centres]
    return sum(1 << bit for bit, is_set in enumerate(bits) if is_set)


def numbers_of(pictures: NDArray[np.uint8]) -> list[int]:
    """The numbers of prepared frames (N, S, S, 3)."""
    return [number_of(picture) for picture in pictures]


def soft(index: int, width: int, height: int) -> NDArray[np.uint8]:
    """(H, W, 3) uint8: waves that drift, others from each thousand on."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    kind = np.random.default_rng(index // 1000).uniform(0.02, 0.05, 6)
    phase = index % 1000 / 3
    waves = [np.sin(kind[i] * x + phase) + np.sin(kind[i + 3] * y - phase) for i in range(3)]
    return (127 + 60 * np.stack(waves, axis=-1)).clip(0, 255).astype(np.uint8)


def side_by_side(index: int, width: int, height: int) -> NDArray[np.uint8]:
    """Two pictures put together, each of waves that drift."""
    left, right = (soft(index + shift, width, height) for shift in (0, 1000))
    return np.concatenate([left[:, : width // 2], right[:, width // 2 :]], axis=1)


def make_video(
    path: Path,
    *,
    count: int = 100,
    frames_per_second: int | Fraction = 25,
    times_ms: Sequence[int] | None = None,
    size: tuple[int, int] = (320, 240),
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    key_every: int = 50,
    options: dict[str, str] | None = None,
    draw: Draw = numbered,
    audio_seconds: float = 0.0,
) -> Path:
    """A video of numbered frames; encoded once in a process for those who ask for the same.

    Args:
        path: its extension names the container.
        count: of frames.
        frames_per_second: when `times_ms` isn't given; else only what the file states.
        times_ms: presentation time of each frame in milliseconds, for a variable rate.
        size: width and height in pixels.
        codec: the encoder.
        pixel_format: of the coded frames.
        key_every: frames between key frames.
        options: of the encoder.
        draw: index, width, height to (H, W, 3) uint8.
        audio_seconds: of a tone, muxed before the pictures.
    """
    asked = (
        path.suffix, count, frames_per_second, None if times_ms is None else tuple(times_ms), size,
        codec, pixel_format, key_every, tuple(sorted((options or {}).items())), audio_seconds,
    )  # fmt: skip
    if draw is numbered and asked in _MADE:
        path.write_bytes(_MADE[asked])
        return path
    defaults = {"preset": "veryfast", "sc_threshold": "0"} if codec == "libx264" else {}
    ticks = TICKS if times_ms else int(frames_per_second)
    times = times_ms or range(count)
    with av.open(path.as_posix(), "w") as container:
        stream: Any = container.add_stream(
            codec, rate=frames_per_second, options=defaults | (options or {})
        )
        stream.width, stream.height = size
        stream.pix_fmt = pixel_format
        stream.gop_size = key_every
        stream.codec_context.time_base = Fraction(1, ticks)
        if audio_seconds:
            add_tone(container, audio_seconds)
        for index, time in enumerate(times):
            frame = VideoFrame.from_ndarray(draw(index, *size), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, ticks)
            container.mux(stream.encode(frame.reformat(format=pixel_format)))
        container.mux(stream.encode())
    if draw is numbered:
        _MADE[asked] = path.read_bytes()
    return path


def add_tone(container: OutputContainer, seconds: float, codec: str = "aac") -> None:
    """Mux a tone of 440 Hz."""
    rate, block = 44100, 1024
    stream: Any = container.add_stream(codec, rate=rate)
    for start in range(0, int(seconds * rate), block):
        phase = 2 * np.pi * 440 * np.arange(start, start + block) / rate
        samples = (0.3 * np.sin(phase)).astype(np.float32)[None]
        frame = AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def make_audio(path: Path, seconds: float = 2.0) -> Path:
    """A file with sound and nothing else."""
    with av.open(path.as_posix(), "w") as container:
        add_tone(container, seconds)
    return path


def make_audio_with_cover(path: Path) -> Path:
    """Music with a cover picture, which a container holds as a video stream of one frame."""
    with av.open(path.as_posix(), "w") as container:
        cover: Any = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        add_tone(container, 1.0, "libmp3lame")
        frame = VideoFrame.from_ndarray(numbered(1, 64, 64), format="rgb24")
        frame.pts = 0
        container.mux(cover.encode(frame.reformat(format="yuvj420p")))
        container.mux(cover.encode())
    return path


def make_long_video(path: Path, source: Path, seconds: float) -> Path:
    """A video that repeats another one without encoding it again."""
    with av.open(source.as_posix()) as reading, av.open(path.as_posix(), "w") as container:
        template = reading.streams.video[0]
        stream = container.add_stream_from_template(template)
        packets = [packet for packet in reading.demux(template) if packet.size]
        unit = template.time_base or Fraction(1, TICKS)
        ends = [(packet.pts or 0) + (packet.duration or 0) for packet in packets]
        period = max(ends) - min(packet.pts or 0 for packet in packets)
        for turn in range(round(seconds / float(period * unit))):
            for packet in packets:
                again = av.Packet(bytes(packet))
                again.pts = (packet.pts or 0) + turn * period
                again.dts = (packet.dts or 0) + turn * period
                again.time_base, again.stream = unit, stream
                again.duration, again.is_keyframe = packet.duration, packet.is_keyframe
                container.mux(again)
    return path


def set_display_matrix(path: Path, linear: Iterable[int]) -> Path:
    """Write a, b, c, d of the display matrix into the only track of an mp4 file."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 44
    for value, position in zip(linear, (0, 1, 3, 4), strict=True):
        at = start + 4 * position
        data[at : at + 4] = (value << 16).to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    return path


def truncate(path: Path, share: float) -> Path:
    """Keep only the first part of a file's bytes."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path
