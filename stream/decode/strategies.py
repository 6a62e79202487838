"""From a video's packets to frames in a spool: by a plan, or one frame after the other.

A plan decodes what the samples need, and wants packets that carry their times; of a stream without,
every frame is decoded. Serves `stream.decode.child`.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import av.error
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from stream.decode.container import frame_seconds, jumps, open_video
from stream.decode.decoded_video import Strategy
from stream.decode.jumping_clock import JUMP_SECONDS
from stream.decode.packets import check_duration, read_table, readable_packets
from stream.decode.sampling import (
    PacketTable,
    SamplingPlan,
    held_samples,
    max_frames,
    plan_of_times,
    plan_sampling,
    times_between,
)
from stream.decode.settings import DecodeSettings
from stream.decode.webp import is_animated_webp, read_webp_table, webp_frames


class SeesAll(Protocol):
    """Is given every decoded frame."""

    def add(self, frame: VideoFrame, seconds: float, held_seconds: float = 0.0) -> None:
        """Take a frame, when it is shown, and for how long the one before it was."""
        ...


class Sink(Protocol):
    """Is given the samples, and by `cuts` every decoded frame."""

    @property
    def cuts(self) -> SeesAll:
        """Takes every decoded frame."""
        ...

    def add(self, frame: VideoFrame, seconds: float) -> None:
        """Take a frame as the sample of a time; the same frame may come for several."""
        ...


@dataclass
class Counts:
    """What becomes of a video while it is decoded.

    Attributes:
        end_seconds: where its last frame ends, less the lead.
        wanted: frames that the plan asks for.
        frames: that were decoded.
        broken: packets that couldn't be.
    """

    strategy: Strategy
    end_seconds: float
    wanted: int = 0
    frames: int = 0
    broken: int = 0


@dataclass(frozen=True)
class Work:
    """One video, before a frame of it is decoded.

    Attributes:
        max_frames: that may be written.
        decode: gives the samples to a sink.
    """

    table: PacketTable
    max_frames: int
    decode: Callable[[Sink], Counts]


def work_of(
    path: Path, settings: DecodeSettings, seconds: NDArray[np.float64] | None = None
) -> Work:
    """What is to be done with a video, by what its container says.

    Args:
        path: the video.
        settings: sampling and limits.
        seconds: (K,) of the video that are looked at alone, as far as its packets have times;
            evenly spaced ones without it.

    Raises:
        RejectedError: it can't be used; its code says why.
    """
    if is_animated_webp(path):
        table = read_webp_table(path, settings)
        return _planned(table, settings, lambda plan, counts: webp_frames(path, table), seconds)
    table = read_table(path, settings)
    if table.complete:
        return _planned(
            table,
            settings,
            lambda plan, counts: _planned_frames(path, plan, counts, settings),
            seconds,
        )
    expected = len(table) * table.frame_seconds * settings.frames_per_second
    most = min(len(table), math.ceil(expected)) + 1
    return Work(table, most, lambda sink: _follow(sink, path, table, settings))


def _planned(
    table: PacketTable,
    settings: DecodeSettings,
    frames: Callable[[SamplingPlan, Counts], Iterator[VideoFrame]],
    seconds: NDArray[np.float64] | None,
) -> Work:
    plan = (
        plan_sampling(
            table,
            frames_per_second=settings.frames_per_second,
            tolerance_seconds=settings.tolerance_seconds,
            motion_frames_per_second=settings.motion_frames_per_second,
        )
        if seconds is None
        else plan_of_times(table, seconds - table.lead_seconds)
    )
    counts = Counts(
        "key_frames" if bool(table.key[plan.feed].all()) else "groups",
        end_seconds=table.duration_seconds,
        wanted=len(plan.sample_pts),
    )

    def decode(sink: Sink) -> Counts:
        _keep_samples(sink, frames(plan, counts), table, plan)
        return counts

    most = max_frames(plan.sample_pts, plan.sample_seconds, settings.repeat_gap_seconds)
    return Work(table, most, decode)


def _keep_samples(
    sink: Sink, frames: Iterator[VideoFrame], table: PacketTable, plan: SamplingPlan
) -> None:
    """Match frames, in order of presentation, with the samples of the plan.

    A sample whose own frame is broken is given by the frame that was shown before it.
    """
    waiting = 0
    before: VideoFrame | None = None
    shown = np.sort(table.pts[table.shown])
    origin = int(shown[0])
    for frame in frames:
        if frame.pts is None or frame.is_corrupt:
            continue
        # Frames before the first that is shown are only decoded since others refer to them.
        if frame.pts >= origin:
            seconds = (frame.pts - origin) * float(frame.time_base or 0)
            place = int(np.searchsorted(shown, frame.pts))
            held = (frame.pts - int(shown[max(place - 1, 0)])) * float(frame.time_base or 0)
            sink.cuts.add(frame, table.lead_seconds + seconds, held)
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
    path: Path, plan: SamplingPlan, counts: Counts, settings: DecodeSettings
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
            # Drained first: frames that are still in the decoder would be lost by the flush.
            if plan.fresh[index] and fed:
                yield from _decode(stream, None, counts)
                codec.flush_buffers()
            if reference_only is not (skip := not plan.wanted[index]):
                # Between samples, frames that no other refers to are not even decoded.
                codec.skip_frame = "NONREF" if skip else "DEFAULT"
                reference_only = skip
            fed = True
            yield from _decode(stream, packet, counts)
        yield from _decode(stream, None, counts)


def _decode(stream: VideoStream, packet: object, counts: Counts) -> list[VideoFrame]:
    """The frames that a packet completes; none, and counted, where it is broken."""
    try:
        frames = stream.codec_context.decode(packet)  # type: ignore[arg-type]
    # PyAV's own is an `FFmpegError` too: memory is no broken packet.
    except MemoryError:
        raise
    except av.error.FFmpegError:
        counts.broken += 1
        return []
    for frame in frames:
        frame.time_base = stream.time_base  # frames that a flush brings out have none
    counts.frames += len(frames)
    return frames


def _follow(sink: Sink, path: Path, table: PacketTable, settings: DecodeSettings) -> Counts:
    """Decode every frame of a stream whose packets don't carry their times.

    A frame without a time of its own follows the one before it at the stream's rate. Samples of
    the one that was shown last are taken when the next one comes.
    """
    counts = Counts("every_frame", end_seconds=0.0)
    before: VideoFrame | None = None
    shown_at = 0.0
    for frame, seconds in _timed_frames(path, counts, settings):
        check_duration(table.lead_seconds + seconds, None, settings)
        sink.cuts.add(frame, table.lead_seconds + seconds, seconds - shown_at)
        if before is not None:
            _hold(sink, before, shown_at, seconds, settings)
        before, shown_at = frame, seconds
    if before is not None:
        check_duration(table.lead_seconds + counts.end_seconds, table.stated_seconds, settings)
        _hold(sink, before, shown_at, counts.end_seconds, settings)
    return counts


def _hold(
    sink: Sink, frame: VideoFrame, start: float, end: float, settings: DecodeSettings
) -> None:
    """The samples of a frame that is on the screen from start to end, in seconds."""
    times = times_between(start, end, settings.frames_per_second)
    kept = held_samples(np.zeros(len(times), np.intp), times - start)
    for time_seconds in times[kept].tolist():
        sink.add(frame, max(time_seconds, start))


def _timed_frames(
    path: Path, counts: Counts, settings: DecodeSettings
) -> Iterator[tuple[VideoFrame, float]]:
    """All frames with seconds that never go back: a time that does restarts from where it is."""
    with open_video(path, settings) as (container, stream):
        unit = float(stream.time_base or 0)
        step = frame_seconds(stream)
        longest = JUMP_SECONDS if jumps(container) else math.inf
        packets = itertools.chain(readable_packets(container, stream), (None,))
        previous: int | None = None
        # The first frame comes a step later, at 0.
        seconds = -step
        for packet in packets:
            # To drain a decoder that has had no frame raises, and says nothing of the file.
            if packet is None and not counts.frames:
                continue
            for frame in _decode(stream, packet, counts):
                passed = 0.0
                if frame.pts is not None and previous is not None:
                    passed = (frame.pts - previous) * unit
                seconds += passed if 0 < passed <= longest else step
                previous = frame.pts
                counts.end_seconds = seconds + step
                yield frame, seconds
