"""Reads pictures out of video files and writes them as H.264, for the demo's clips."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import numpy as np
from PIL import Image

from stream.demo.paint import HEIGHT
from stream.errors import SamesourceError

FRAMES_PER_SECOND = 15  # smooth enough to watch; half the frames to draw and encode
ROUNDING = 1e-3
"""Seconds: containers round the times of their pictures."""


class FootageError(SamesourceError):
    """A video file can't be read or written by the demo; its text names the file and the cause."""


def write_video(
    path: Path, frames: Iterable[Image.Image], *, quality: int = 25, threads: int = 1
) -> None:
    """Encode frames at `FRAMES_PER_SECOND`; the same frames give the same bytes.

    Args:
        path: the MP4 file to make.
        frames: RGB, all of one even width and height.
        quality: x264's constant rate factor: 18 is very good, 40 very bad.
        threads: of x264; another number gives other bytes.

    Raises:
        FootageError: the file can't be written.
    """
    try:
        with av.open(str(path), "w") as container:
            stream = container.add_stream(
                "libx264",
                rate=FRAMES_PER_SECOND,
                options={"preset": "superfast", "crf": str(quality), "threads": str(threads)},
            )
            stream.pix_fmt = "yuv420p"
            for number, picture in enumerate(frames):
                if number == 0:
                    stream.width, stream.height = picture.size
                container.mux(stream.encode(_frame_of(picture)))
            # x264 keeps its last frames back until it hears that there are no more.
            container.mux(stream.encode(None))
    except (av.FFmpegError, OSError) as error:
        raise FootageError(f"can't write {path}: {error}") from error


def read_frames(
    path: Path, start_seconds: float, end_seconds: float, *, speed: float = 1.0
) -> Iterator[Image.Image]:
    """Pictures of a span, evenly spaced so that they play at `FRAMES_PER_SECOND`.

    Args:
        path: any video that FFmpeg reads.
        start_seconds: of the half-open span, counted from the video's first picture.
        end_seconds: where it ends; frames stop early when the video does.
        speed: 1.25 plays the span in four fifths of its time.

    Yields:
        RGB, scaled down to the height of the demo's clips, of even width and height.

    Raises:
        FootageError: not a readable video.
    """
    step = speed / FRAMES_PER_SECOND
    total = round((end_seconds - start_seconds) / step)
    number, shown = 0, None
    for seconds, picture in _timed(path, start_seconds):
        while shown and number < total and start_seconds + number * step < seconds - ROUNDING:
            yield shown
            number += 1
        if number == total:
            return
        shown = picture
    if shown:
        yield shown


def seconds_of(path: Path) -> float:
    """How long the video plays.

    Raises:
        FootageError: not a readable video, or its length is unknown.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise FootageError(f"{path}: holds no video")
            if container.duration is None:
                raise FootageError(f"{path}: its length is unknown")
            return container.duration / 1e6
    except (av.FFmpegError, OSError) as error:
        raise FootageError(f"{path}: {error}") from error


def _timed(path: Path, start_seconds: float) -> Iterator[tuple[float, Image.Image]]:
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            first = (stream.start_time or 0) * float(stream.time_base or 0)
            # A seek lands on a key frame before it; near the beginning that is the first picture
            # anyway.
            if start_seconds > 10:
                container.seek(int((first + start_seconds) * 1e6))
            for frame in container.decode(stream):
                if frame.time is None:
                    continue
                yield frame.time - first, _picture(frame)
    except (av.FFmpegError, OSError, IndexError) as error:
        raise FootageError(f"{path}: {error}") from error


def _frame_of(picture: Image.Image) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")


def _picture(frame: av.VideoFrame) -> Image.Image:
    share = min(1.0, HEIGHT / frame.height)
    # Even, as yuv420p has one colour for two pixels of either direction.
    width, height = (max(2, round(side * share / 2) * 2) for side in (frame.width, frame.height))
    return Image.fromarray(frame.to_ndarray(format="rgb24", width=width, height=height))
