"""What runs in a decoder's child process: one video file in, a spool of prepared frames out.

Its parent is `stream.decode.decoder`. A crash, a leak or an endless loop in here ends the child
and costs one video.
"""

import itertools
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av.error
import av.logging
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from models.frames import difference, is_repeat
from stream.decode.cuts import CutFinder
from stream.decode.packets import (
    check_duration,
    check_pixels,
    frame_seconds,
    open_video,
    read_table,
    readable_packets,
)
from stream.decode.pictures import Picture, Pictures, same_pixels
from stream.decode.sampling import (
    ROUNDING_SECONDS,
    PacketTable,
    SamplingPlan,
    plan_sampling,
)
from stream.decode.settings import DecodeSettings
from stream.errors import CorruptError, TooLargeError

EPSILON = 1e-3  # seconds
NEWS = 24.0  # levels of 255, the mean over a frame, from which on it looks unlike another

Strategy = Literal["key_frames", "groups", "every_frame"]


@dataclass(frozen=True)
class Decoded:
    """What a child reports; the frames themselves are in the spool file.

    Attributes:
        seconds: of each spooled frame, ascending.
        aspect_ratios: width by height, as shown, of each spooled frame before it became a square.
        second: of each frame in the second spool, its place in the first.
        cut_seconds: of the first decoded frame of each new shot, ascending.
        motion: how much moves, a byte for each of `models.motion`'s codes.
        decoded_frames: that the codec gave; samples and what they refer to.
        broken: packets that could not be read or decoded.
        cpu_seconds: of the child, for this video.
    """

    seconds: list[float]
    aspect_ratios: list[float]
    second: list[int]
    duration_seconds: float
    cut_seconds: list[float]
    motion: bytes
    decoded_frames: int
    packets: int
    broken: int
    strategy: Strategy
    cpu_seconds: float


def prepare_child(memory_bytes: int) -> None:
    """Once per child: end with the parent, and never take more memory than allowed."""
    av.logging.set_level(None)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _end_with_parent() -> None:
    """A parent that is killed can't end its children."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class SecondSpool:
    """A second file for some of the frames, for an encoder that takes another size.

    A frame goes there when it looks unlike the last one there, or that is long ago.

    Attributes:
        path: an empty file.
        size: side of a frame in pixels.
        least_gap_seconds: between two frames, unlike as they may be.
        most_gap_seconds: between two frames, unless nothing moves.
    """

    path: Path
    size: int
    least_gap_seconds: float
    most_gap_seconds: float


def decode_video(
    path: Path,
    spool: Path,
    size: int,
    settings: DecodeSettings,
    second: SecondSpool | None = None,
) -> Decoded:
    """Decode evenly spaced frames into a file, or into two at different sizes.

    Args:
        path: the video.
        spool: an empty file, written: (N, size, size, 3) uint8 RGB, prepared, in order of time.
        size: side of a frame in pixels.
        settings: sampling and limits.
        second: written as `spool`, fewer frames.

    Raises:
        RejectedError: the video can't be used; its code says why.
    """
    began = time.process_time()
    try:
        table = read_table(path, settings)
        with ExitStack() as files:
            first = _Output(files.enter_context(spool.open("r+b")).write, size, table)
            other = None
            if second is not None:
                file = files.enter_context(second.path.open("r+b"))
                other = _Output(file.write, second.size, table)
            sink = _Spool(first, other, second, settings)
            counts = _decode_into(sink, path, table, settings)
    except MemoryError as error:
        raise TooLargeError(
            f"decoding takes more than decode.memory_bytes = {settings.memory_bytes}"
        ) from error
    _check_yield(sink, counts, table, settings)
    return Decoded(
        seconds=sink.seconds,
        aspect_ratios=sink.aspect_ratios,
        second=sink.second,
        duration_seconds=counts.end_seconds,
        cut_seconds=sink.cuts.cut_seconds(),
        motion=sink.cuts.motion(counts.end_seconds).tobytes(),
        decoded_frames=counts.frames,
        packets=len(table),
        broken=table.broken + counts.broken,
        strategy=counts.strategy,
        cpu_seconds=time.process_time() - began,
    )


class _Output:
    """A spool file and the pictures that go there."""

    def __init__(self, write: Callable[[bytes], int], size: int, table: PacketTable) -> None:
        self.write = write
        self.pictures = Pictures(size, table.pixel_aspect_ratio)


class _Spool:
    """Writes samples, leaving out repeats within the bounded gap; `cuts` sees every frame."""

    def __init__(
        self,
        first: _Output,
        second: _Output | None,
        rule: SecondSpool | None,
        settings: DecodeSettings,
    ) -> None:
        self.seconds: list[float] = []
        self.aspect_ratios: list[float] = []
        self.second: list[int] = []
        self.samples = 0
        self.cuts = CutFinder()
        self._first, self._second, self._rule = first, second, rule
        self._gap = settings.repeat_gap_seconds
        self._settings = settings
        self._source: VideoFrame | None = None
        self._picture = Picture(np.empty((0, 0, 3), np.uint8), 1.0)
        self._last = self._last_second = self._picture.rgb

    def add(self, frame: VideoFrame, seconds: float) -> None:
        """Take a frame as the sample of a time; the same frame may come for several."""
        self.samples += 1
        if self._source is None or not same_pixels(self._source, frame):
            check_pixels(frame.width, frame.height, self._settings)
            self._picture = self._first.pictures.picture(frame)
        self._source = frame
        rgb = self._picture.rgb
        if self.seconds:
            if seconds <= self.seconds[-1]:
                return
            if seconds - self.seconds[-1] < self._gap and is_repeat(self._last, rgb):
                return
        self._first.write(rgb.tobytes())
        self._last = rgb
        self.seconds.append(seconds)
        self.aspect_ratios.append(self._picture.aspect_ratio)
        self._write_second(frame)

    def _write_second(self, frame: VideoFrame) -> None:
        """Write the last frame of the first spool to the second too, if it tells something new."""
        if self._second is None or self._rule is None or not self._tells(self._rule):
            return
        square = self._second.pictures.square(frame, self._picture.content)
        self._second.write(square.tobytes())
        self.second.append(len(self.seconds) - 1)
        self._last_second = self._last

    def _tells(self, rule: SecondSpool) -> bool:
        if not self.second:
            return True
        since = self.seconds[-1] - self.seconds[self.second[-1]] + EPSILON
        if since >= rule.most_gap_seconds:
            return True
        return since >= rule.least_gap_seconds and difference(self._last_second, self._last) > NEWS


@dataclass
class _Counts:
    strategy: Strategy
    end_seconds: float
    wanted: int = 0
    frames: int = 0
    broken: int = 0


def _decode_into(sink: _Spool, path: Path, table: PacketTable, settings: DecodeSettings) -> _Counts:
    if not table.complete:
        return _follow(sink, path, table, settings)
    plan = plan_sampling(
        table,
        frames_per_second=settings.frames_per_second,
        tolerance_seconds=settings.tolerance_seconds,
    )
    only_keys = bool(table.key[plan.feed].all())
    counts = _Counts(
        "key_frames" if only_keys else "groups",
        end_seconds=table.duration_seconds,
        wanted=len(plan.sample_pts),
    )
    _keep_samples(sink, _planned_frames(path, plan, counts, settings), table, plan)
    return counts


def _keep_samples(
    sink: _Spool, frames: Iterator[VideoFrame], table: PacketTable, plan: SamplingPlan
) -> None:
    """Match frames, in order of presentation, with the samples of the plan.

    A sample whose own frame is broken is given by the frame that was shown before it.
    """
    waiting = 0
    before: VideoFrame | None = None
    origin = int(table.pts[table.shown].min())
    for frame in frames:
        if frame.pts is None or frame.is_corrupt:
            continue
        if frame.pts >= origin:
            sink.cuts.add(frame, (frame.pts - origin) * float(frame.time_base or 0))
        while waiting < len(plan.sample_pts) and plan.sample_pts[waiting] <= frame.pts:
            own = plan.sample_pts[waiting] == frame.pts
            if own:
                sink.add(frame, float(plan.sample_seconds[waiting]))
            elif before is not None and before.pts is not None and before.pts >= origin:
                unit = float(before.time_base or 0)
                sink.add(before, (before.pts - origin) * unit)
            waiting += 1
        before = frame


def _planned_frames(
    path: Path, plan: SamplingPlan, counts: _Counts, settings: DecodeSettings
) -> Iterator[VideoFrame]:
    """Feed what the plan says; frames in order of presentation, samples and references alike."""
    with open_video(path, settings) as (container, stream):
        codec = stream.codec_context
        packets = (packet for packet in readable_packets(container, stream) if packet is not None)
        reference_only: bool | None = None
        fed = False
        for index, packet in enumerate(itertools.islice(packets, len(plan.feed))):
            if not plan.feed[index]:
                continue
            if plan.fresh[index] and fed:
                yield from _decode(stream, None, counts)
                codec.flush_buffers()
            if reference_only is not (skip := not plan.wanted[index]):
                codec.skip_frame = "NONREF" if skip else "DEFAULT"
                reference_only = skip
            fed = True
            yield from _decode(stream, packet, counts)
        yield from _decode(stream, None, counts)


def _decode(stream: VideoStream, packet: object, counts: _Counts) -> list[VideoFrame]:
    """The frames that a packet completes; none, and counted, where it is broken."""
    try:
        frames = stream.codec_context.decode(packet)  # type: ignore[arg-type]
    except MemoryError:
        raise
    except av.error.FFmpegError:
        counts.broken += 1
        return []
    for frame in frames:
        frame.time_base = stream.time_base  # frames that a flush brings out have none
    counts.frames += len(frames)
    return frames


def _follow(sink: _Spool, path: Path, table: PacketTable, settings: DecodeSettings) -> _Counts:
    """Decode every frame of a stream whose packets don't carry their times.

    A frame without a time of its own follows the one before it at the stream's rate.
    """
    counts = _Counts("every_frame", end_seconds=0.0)
    before: VideoFrame | None = None
    shown_at = 0.0
    for frame, seconds in _timed_frames(path, counts, settings):
        sink.cuts.add(frame, seconds)
        while before is not None and _next(sink, settings) < seconds - ROUNDING_SECONDS:
            sink.add(before, max(_next(sink, settings), shown_at))
        before, shown_at = frame, seconds
        check_duration(seconds, None, settings)
    if before is not None and _next(sink, settings) < counts.end_seconds - ROUNDING_SECONDS:
        sink.add(before, max(_next(sink, settings), shown_at))
    check_duration(counts.end_seconds, table.stated_seconds, settings)
    return counts


def _next(sink: _Spool, settings: DecodeSettings) -> float:
    """The even time of the next sample."""
    return sink.samples / settings.frames_per_second


def _timed_frames(
    path: Path, counts: _Counts, settings: DecodeSettings
) -> Iterator[tuple[VideoFrame, float]]:
    """All frames with seconds that never go back: a time that does restarts from where it is."""
    with open_video(path, settings) as (container, stream):
        unit = float(stream.time_base or 0)
        step = frame_seconds(stream)
        packets = itertools.chain(readable_packets(container, stream), (None,))
        previous: int | None = None
        seconds = -step
        for packet in packets:
            if packet is None and not counts.frames:
                continue
            for frame in _decode(stream, packet, counts):
                forward = frame.pts is not None and previous is not None and frame.pts > previous
                seconds += (frame.pts - previous) * unit if forward else step  # type: ignore[operator]
                previous = frame.pts
                counts.end_seconds = seconds + step
                yield frame, seconds


def _check_yield(
    sink: _Spool, counts: _Counts, table: PacketTable, settings: DecodeSettings
) -> None:
    if not sink.seconds:
        raise CorruptError(
            f"not one frame of {len(table)} packets can be decoded "
            f"({counts.broken} of those tried are broken)"
        )
    if sink.samples < settings.min_readable_share * counts.wanted:
        raise CorruptError(
            f"only {sink.samples} of {counts.wanted} sampled frames can be decoded, less than "
            f"decode.min_readable_share = {settings.min_readable_share}"
        )
