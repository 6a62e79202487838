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
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av.error
import av.logging
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from stream.decode.packets import (
    check_duration,
    frame_seconds,
    open_video,
    read_table,
    readable_packets,
)
from stream.decode.sampling import (
    ROUNDING_SECONDS,
    PacketTable,
    SamplingPlan,
    plan_sampling,
)
from stream.decode.settings import DecodeSettings
from stream.decode.spool import SecondFrames, SecondSpool, Spool
from stream.errors import CorruptError, TooLargeError

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
            ratio, other = table.pixel_aspect_ratio, None
            if second is not None:
                file = files.enter_context(second.path.open("r+b"))
                other = SecondFrames(file.write, second, ratio)
            write = files.enter_context(spool.open("r+b")).write
            sink = Spool(write, size, ratio, settings, other)
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


@dataclass
class _Counts:
    strategy: Strategy
    end_seconds: float
    wanted: int = 0
    frames: int = 0
    broken: int = 0


def _decode_into(sink: Spool, path: Path, table: PacketTable, settings: DecodeSettings) -> _Counts:
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
    sink: Spool, frames: Iterator[VideoFrame], table: PacketTable, plan: SamplingPlan
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


def _follow(sink: Spool, path: Path, table: PacketTable, settings: DecodeSettings) -> _Counts:
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


def _next(sink: Spool, settings: DecodeSettings) -> float:
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
    sink: Spool, counts: _Counts, table: PacketTable, settings: DecodeSettings
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
