"""What runs in a decoder's child process: one video file in, a spool of prepared frames out.

Its parent is `stream.decode.decoder`. A crash, a leak or an endless loop in here ends the child
and costs one video.
"""

import errno
import itertools
import math
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import av.error
import av.logging
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from stream.decode.decoded_video import DecodedVideo, Strategy
from stream.decode.packets import (
    JUMP_SECONDS,
    check_duration,
    frame_seconds,
    jumps,
    open_video,
    read_table,
    readable_packets,
)
from stream.decode.room import NoRoomError, is_shortage
from stream.decode.sampling import (
    PacketTable,
    SamplingPlan,
    held_samples,
    max_frames,
    plan_sampling,
    times_between,
)
from stream.decode.sandbox import enter_sandbox
from stream.decode.settings import DecodeSettings
from stream.decode.spool import PreviewFrames, PreviewSpool, Spool, check_spool, spool_shares
from stream.decode.webp import is_animated_webp, read_webp_table, webp_frames
from stream.errors import CorruptError, RejectedError, TooLargeError

DECODERS = {"av", "PIL"}  # folders of their code


def prepare_child(settings: DecodeSettings) -> None:
    """Once per child: end with the parent, and never take more than allowed."""
    # What FFmpeg says of a damaged file would fill the log; the errors that it raises say enough.
    av.logging.set_level(None)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        # On top of what is mapped by now: libraries alone map gigabytes that they never touch.
        limit = pages * resource.getpagesize() + settings.memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    # Python ignores SIGXFSZ, so a write beyond it raises EFBIG, which `_outcomes` knows.
    resource.setrlimit(resource.RLIMIT_FSIZE, (settings.spool_bytes, settings.spool_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The kernel's own action ends the process inside a C call; a Python handler would wait for its
    # end.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    # Last: the steps above read /proc and start a thread.
    enter_sandbox(settings.spool_folder or Path(tempfile.gettempdir()))


def _end_with_parent() -> None:
    """A parent that is killed can't end its children."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)


def decode_in_time(
    path: Path,
    spool: Path,
    size: int,
    settings: DecodeSettings,
    preview: PreviewSpool | None = None,
    reserve: bool = True,
) -> DecodedVideo:
    """As `decode_video`; SIGALRM ends this process when it takes longer than the limit.

    The kernel's timer also ends code that hangs in C, and a step of the wall clock doesn't move it.
    """
    signal.setitimer(signal.ITIMER_REAL, settings.timeout_seconds)
    try:
        return decode_video(path, spool, size, settings, preview, reserve)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def decode_video(
    path: Path,
    spool: Path,
    size: int,
    settings: DecodeSettings,
    preview: PreviewSpool | None = None,
    reserve: bool = True,
) -> DecodedVideo:
    """Decode evenly spaced frames into a file, or into two at different sizes.

    What is returned has no frames yet: whoever wants them maps the files.

    Args:
        path: the video.
        spool: an empty file, written: (N, size, size, 3) uint8 RGB, prepared, in order of time.
        size: side of a frame in pixels.
        settings: sampling and limits.
        preview: written as `spool`, fewer frames.
        reserve: take the disk space that may be needed before anything is written.

    Raises:
        RejectedError: the video can't be used; its code says why.
        NoRoomError: the disk is full, or could be before the end.
    """
    began = time.process_time()
    needed = 0
    with _outcomes(settings, lambda: needed), ExitStack() as files:
        work = _work(path, settings)
        table = work.table
        shares = spool_shares(work.max_frames, table.duration_seconds, size, preview)
        needed = sum(shares)
        check_spool(needed, settings)
        outputs = [files.enter_context(spool.open("r+b"))]
        previews = None
        if preview is not None:
            outputs.append(files.enter_context(preview.path.open("r+b")))
            previews = PreviewFrames(outputs[1].write, preview, table.pixel_aspect_ratio)
        # Before the first frame: a disk that fills up at the last minute would cost the whole
        # decoding.
        if reserve:
            for output, share in zip(outputs, shares, strict=True):
                os.posix_fallocate(output.fileno(), 0, share)
        sink = Spool(outputs[0].write, size, table.pixel_aspect_ratio, settings, previews)
        counts = work.decode(sink)
        # To where the last write ended: what was reserved and not needed is free again.
        for output in outputs:
            output.truncate()
        _check_yield(sink, counts, table, settings)
        lead, end = table.lead_seconds, counts.end_seconds + table.lead_seconds
        return DecodedVideo(
            seconds=np.array([lead + seconds for seconds in sink.seconds], np.float32),
            aspect_ratios=np.array(sink.aspect_ratios, np.float32),
            preview_places=np.array(sink.preview_places, np.intp),
            duration_seconds=end,
            cut_seconds=np.array([lead] * (lead > 0) + sink.cuts.cut_seconds(), np.float32),
            motion=sink.cuts.motion(end),
            decode_cpu_seconds=time.process_time() - began,
            decoded_frames=counts.frames,
            packets=len(table),
            broken_packets=table.broken + counts.broken,
            strategy=counts.strategy,
        )


@contextmanager
def _outcomes(settings: DecodeSettings, needed: Callable[[], int]) -> Iterator[None]:
    """Whatever a video can raise, as what it means."""
    try:
        yield
    except (RejectedError, NoRoomError):
        raise
    except MemoryError as error:
        raise TooLargeError(
            f"decoding takes more than decode.memory_bytes = {settings.memory_bytes}"
        ) from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.EFBIG:
            raise TooLargeError(
                f"decoded frames take more than decode.spool_bytes = {settings.spool_bytes}"
            ) from error
        # FFmpeg's errors are OSErrors as well, and a damaged file may come with any errno.
        if is_shortage(error) and not isinstance(error, av.error.FFmpegError):
            raise NoRoomError(needed()) from error
        # What a reading library raises on odd bytes, be it a TypeError, is the file's fault; the
        # same from our own code is a bug, and goes on up.
        if isinstance(error, av.error.FFmpegError) or _raised_by_decoder(error):
            raise CorruptError(f"can't be decoded: {type(error).__name__}: {error}") from error
        raise


def _raised_by_decoder(error: BaseException) -> bool:
    """Whether the code of a library that reads the file raised."""
    # The innermost frame decides: every error passes through our code on its way.
    file = ""
    traceback = error.__traceback__
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        traceback = traceback.tb_next
    return bool(DECODERS & set(Path(file).parts[:-1]))


@dataclass
class _Counts:
    strategy: Strategy
    end_seconds: float
    wanted: int = 0
    frames: int = 0
    broken: int = 0


@dataclass(frozen=True)
class _Work:
    """One video, before a frame of it is decoded.

    Attributes:
        max_frames: that may be written.
        decode: fills a spool.
    """

    table: PacketTable
    max_frames: int
    decode: Callable[[Spool], _Counts]


def _work(path: Path, settings: DecodeSettings) -> _Work:
    if is_animated_webp(path):
        table = read_webp_table(path, settings)
        return _planned(table, settings, lambda plan, counts: webp_frames(path, table))
    table = read_table(path, settings)
    if table.complete:
        return _planned(
            table, settings, lambda plan, counts: _planned_frames(path, plan, counts, settings)
        )
    expected = len(table) * table.frame_seconds * settings.frames_per_second
    most = min(len(table), math.ceil(expected)) + 1
    return _Work(table, most, lambda sink: _follow(sink, path, table, settings))


def _planned(
    table: PacketTable,
    settings: DecodeSettings,
    frames: Callable[[SamplingPlan, _Counts], Iterator[VideoFrame]],
) -> _Work:
    plan = plan_sampling(
        table,
        frames_per_second=settings.frames_per_second,
        tolerance_seconds=settings.tolerance_seconds,
    )
    counts = _Counts(
        "key_frames" if bool(table.key[plan.feed].all()) else "groups",
        end_seconds=table.duration_seconds,
        wanted=len(plan.sample_pts),
    )

    def decode(sink: Spool) -> _Counts:
        _keep_samples(sink, frames(plan, counts), table, plan)
        return counts

    most = max_frames(plan.sample_pts, plan.sample_seconds, settings.repeat_gap_seconds)
    return _Work(table, most, decode)


def _keep_samples(
    sink: Spool, frames: Iterator[VideoFrame], table: PacketTable, plan: SamplingPlan
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


def _decode(stream: VideoStream, packet: object, counts: _Counts) -> list[VideoFrame]:
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


def _follow(sink: Spool, path: Path, table: PacketTable, settings: DecodeSettings) -> _Counts:
    """Decode every frame of a stream whose packets don't carry their times.

    A frame without a time of its own follows the one before it at the stream's rate. Samples of
    the one that was shown last are taken when the next one comes.
    """
    counts = _Counts("every_frame", end_seconds=0.0)
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
    sink: Spool, frame: VideoFrame, start: float, end: float, settings: DecodeSettings
) -> None:
    """The samples of a frame that is on the screen from start to end, in seconds."""
    times = times_between(start, end, settings.frames_per_second)
    kept = held_samples(np.zeros(len(times), np.intp), times - start)
    for time_seconds in times[kept].tolist():
        sink.add(frame, max(time_seconds, start))


def _timed_frames(
    path: Path, counts: _Counts, settings: DecodeSettings
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
