"""A copy of a video that every browser plays: VP9 in WebM, small, without sound.

Its seconds are those of the video. Runs in a child process, as decoding does; the console asks for
it where a browser refuses the video itself.
"""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from stream.decode.child import in_time, outcomes
from stream.decode.container import check_pixels
from stream.decode.pictures import pose, upright
from stream.decode.settings import DecodeSettings
from stream.decode.strategies import work_of
from stream.errors import CorruptError

FRAMES_PER_SECOND = 12.0  # enough to compare two pictures by; set by hand, as the rest
SHORT_SIDE = 360  # pixels
MAX_LONG_SIDE = 1280
MILLISECOND = Fraction(1, 1000)
OPTIONS = {"deadline": "realtime", "cpu-used": "8", "crf": "36", "b": "0", "g": "24"}
"""A key frame every two seconds: a player that jumps decodes no more than that."""


def playable_in_time(path: Path, target: Path, settings: DecodeSettings) -> None:
    """As `write_playable`, within the limit."""
    with in_time(settings):
        write_playable(path, target, settings)


def write_playable(path: Path, target: Path, settings: DecodeSettings) -> None:
    """Write the copy over a file.

    Args:
        path: the video.
        target: a file that is there already: this process may make none.
        settings: limits; the sampling is this module's.

    Raises:
        RejectedError: the video can't be used; its code says why.
        NoRoomError: the disk is full.
    """
    rate = {"frames_per_second": FRAMES_PER_SECOND, "motion_frames_per_second": FRAMES_PER_SECOND}
    sampled = settings.model_copy(update=rate)
    with outcomes(settings, lambda: 0), target.open("r+b") as file:
        file.truncate()
        work = work_of(path, sampled)
        with av.open(file, "w", format="webm") as container:
            film = Film(container, work.table.pixel_aspect_ratio, work.table.lead_seconds, sampled)
            film.end(work.decode(film).end_seconds)


class Film:
    """Takes samples as a spool does, and encodes them."""

    def __init__(
        self,
        container: Any,
        pixel_aspect_ratio: float,
        lead_seconds: float,
        settings: DecodeSettings,
    ) -> None:
        """Begin.

        Args:
            container: of PyAV, to write to.
            pixel_aspect_ratio: width by height of a coded pixel.
            lead_seconds: before the first picture.
            settings: limits.
        """
        self.cuts = NoCuts()
        self._container, self._settings = container, settings
        self._pixel_aspect_ratio, self._lead = pixel_aspect_ratio, lead_seconds
        self._scaler = VideoReformatter()
        self._stream: VideoStream | None = None
        self._last: tuple[VideoFrame, float] | None = None
        self._last_ms = -1

    def add(self, frame: VideoFrame, seconds: float) -> None:
        """Take a frame as the sample of a time; times that don't ascend are passed over."""
        at_ms = round(1000 * (self._lead + seconds))
        if at_ms <= self._last_ms:
            return
        check_pixels(frame.width, frame.height, self._settings)
        self._last_ms = at_ms
        picture = self._picture(frame)
        if self._stream is None:
            self._stream = self._opened(picture.width, picture.height)
        elif (picture.width, picture.height) != (self._stream.width, self._stream.height):
            picture = picture.reformat(self._stream.width, self._stream.height)
        picture.pts, picture.time_base = at_ms, MILLISECOND
        self._container.mux(self._stream.encode(picture))
        self._last = frame, seconds

    def end(self, seconds: float) -> None:
        """Show the last frame until then, and write what the encoder still holds.

        Raises:
            CorruptError: there was no frame.
        """
        if self._stream is None or self._last is None:
            raise CorruptError("not one frame can be decoded")
        # A copy that ends sooner than the video could not be wound to its last seconds.
        self.add(self._last[0], max(seconds - 1 / FRAMES_PER_SECOND, self._last[1]))
        self._container.mux(self._stream.encode(None))

    def _opened(self, width: int, height: int) -> VideoStream:
        stream: VideoStream = self._container.add_stream(
            "libvpx-vp9", rate=round(FRAMES_PER_SECOND), options=OPTIONS
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = stream.time_base = MILLISECOND
        stream.codec_context.thread_count = 1
        return stream

    def _picture(self, frame: VideoFrame) -> VideoFrame:
        """Small, upright, with square pixels and even sides."""
        wide = frame.width * self._pixel_aspect_ratio
        scale = min(1.0, SHORT_SIDE / min(wide, frame.height))
        scale = min(scale, MAX_LONG_SIDE / max(wide, frame.height))
        small = self._scaler.reformat(
            frame,
            width=_even(wide * scale),
            height=_even(frame.height * scale),
            format="rgb24",
            interpolation=Interpolation.BILINEAR,
            src_color_range=frame.color_range,
            dst_color_range=ColorRange.JPEG,
            threads=1,
        )
        rgb = upright(np.asarray(small.to_ndarray(), np.uint8), pose(frame))
        return VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")


class NoCuts:
    """Where nobody asks for cuts."""

    def add(self, frame: VideoFrame, seconds: float, held_seconds: float = 0.0) -> None:
        """Pass a frame over."""


def _even(pixels: float) -> int:
    """As 4:2:0 wants a side."""
    return max(2, 2 * round(pixels / 2))
