"""What runs in a decoder's child process: one video file in, a spool of prepared frames out.

Its parent is `stream.decode.decoder`; how packets become frames is in `stream.decode.strategies`. A
crash, a leak or an endless loop in here ends the child and costs one video.
"""

import errno
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
from pathlib import Path

import av.error
import av.logging
import numpy as np

from stream.decode.decoded_video import DecodedVideo
from stream.decode.room import NoRoomError, is_shortage
from stream.decode.sampling import PacketTable
from stream.decode.sandbox import enter_sandbox
from stream.decode.settings import DecodeSettings
from stream.decode.spool import PreviewFrames, PreviewSpool, Spool, check_spool, spool_shares
from stream.decode.strategies import Counts, work_of
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
    # Python ignores SIGXFSZ, so a write beyond it raises EFBIG, which `outcomes` knows.
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
    """As `decode_video`, within the limit."""
    with in_time(settings):
        return decode_video(path, spool, size, settings, preview, reserve)


@contextmanager
def in_time(settings: DecodeSettings) -> Iterator[None]:
    """SIGALRM ends this process when the block takes longer than the limit.

    The kernel's timer also ends code that hangs in C, and a step of the wall clock doesn't move it.
    """
    signal.setitimer(signal.ITIMER_REAL, settings.timeout_seconds)
    try:
        yield
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
    with outcomes(settings, lambda: needed), ExitStack() as files:
        work = work_of(path, settings)
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
def outcomes(settings: DecodeSettings, needed: Callable[[], int]) -> Iterator[None]:
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


def _check_yield(sink: Spool, counts: Counts, table: PacketTable, settings: DecodeSettings) -> None:
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
