"""The files that a child fills: every sample at one size, and some of them at another."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame

from models.video.frames import Rgb, difference, is_repeat
from stream.decode.changes import CutFinder
from stream.decode.container import check_pixels
from stream.decode.pictures import Picture, Pictures, same_pixels
from stream.decode.settings import DecodeSettings
from stream.errors import TooLargeError

EPSILON = 1e-3  # seconds
NEWS = 24.0  # levels of 255, the mean over a frame, from which on it looks unlike another

Write = Callable[[bytes], int]


@dataclass(frozen=True)
class PreviewSpool:
    """A file of previews: some of the frames, for an encoder that takes another size.

    A frame goes there when it looks unlike the last one there, or that is long ago.

    Attributes:
        path: an empty file.
        size: side of a frame in pixels.
        min_gap_seconds: between two frames, unlike as they may be.
        max_gap_seconds: between two frames, unless nothing moves.
    """

    path: Path
    size: int
    min_gap_seconds: float
    max_gap_seconds: float


def spool_shares(
    max_frames: int, duration_seconds: float, size: int, preview: PreviewSpool | None
) -> list[int]:
    """The most bytes of each spool, of the previews' only where there is one.

    Args:
        max_frames: of the frames' spool.
        duration_seconds: of the video.
        size: side of a frame there, in pixels.
        preview: what goes to the previews' spool.
    """
    shares = [max_frames * size * size * 3]
    if preview is not None:
        spaced = math.floor(duration_seconds / preview.min_gap_seconds + EPSILON) + 1
        shares.append(min(max_frames, spaced) * preview.size * preview.size * 3)
    return shares


def check_spool(size_bytes: int, settings: DecodeSettings) -> None:
    """Refuse frames over the limit.

    Raises:
        TooLargeError: names the size and the limit.
    """
    if size_bytes > settings.spool_bytes:
        raise TooLargeError(
            f"decoded frames of {size_bytes} bytes or more are over "
            f"decode.spool_bytes = {settings.spool_bytes}"
        )


class PreviewFrames:
    """Writes the previews.

    Attributes:
        places: of each preview, its place among the frames.
    """

    def __init__(self, write: Write, rule: PreviewSpool, pixel_aspect_ratio: float) -> None:
        """Begin; `write` appends to the file of `rule`."""
        self.places: list[int] = []
        self._write, self._rule = write, rule
        self._pictures = Pictures(rule.size, pixel_aspect_ratio)
        self._last: tuple[Rgb, float] | None = None

    def offer(self, place: int, frame: VideoFrame, picture: Picture, seconds: float) -> None:
        """Take a frame that the other spool has, if it tells something new.

        Args:
            place: where it is there.
            frame: as decoded.
            picture: what was written there.
            seconds: its time.
        """
        if self._last is not None and not self._tells(self._last, picture.rgb, seconds):
            return
        self._write(self._pictures.square(frame, picture).tobytes())
        self.places.append(place)
        self._last = picture.rgb, seconds

    def _tells(self, last: tuple[Rgb, float], rgb: Rgb, seconds: float) -> bool:
        since = seconds - last[1] + EPSILON
        if since >= self._rule.max_gap_seconds:
            return True
        return since >= self._rule.min_gap_seconds and difference(last[0], rgb) > NEWS


class Spool:
    """Writes samples, leaving out repeats within the bounded gap.

    Attributes:
        seconds: of each frame written, ascending.
        aspect_ratios: width by height, as shown, of each before it became a square.
        samples: that were offered.
        cuts: to be given every decoded frame.
    """

    def __init__(
        self,
        write: Write,
        size: int,
        pixel_aspect_ratio: float,
        settings: DecodeSettings,
        preview: PreviewFrames | None = None,
    ) -> None:
        """Begin; `write` appends to the file, (size, size, 3) bytes at a time."""
        self.seconds: list[float] = []
        self.aspect_ratios: list[float] = []
        self.samples = 0
        self.cuts = CutFinder()
        self._write, self._preview, self._settings = write, preview, settings
        self._pictures = Pictures(size, pixel_aspect_ratio)
        self._written = 0
        self._source: VideoFrame | None = None
        self._picture: Picture | None = None
        self._last = np.empty((0, 0, 3), np.uint8)

    @property
    def preview_places(self) -> list[int]:
        """Places of the frames that have a preview."""
        return [] if self._preview is None else self._preview.places

    def add(self, frame: VideoFrame, seconds: float) -> None:
        """Take a frame as the sample of a time; the same frame may come for several."""
        self.samples += 1
        # Checked again, since a stream may change its size behind a header that was within the
        # limit.
        picture = self._picture
        if picture is None or self._source is None or not same_pixels(self._source, frame):
            check_pixels(frame.width, frame.height, self._settings)
            picture = self._pictures.picture(frame)
        self._source, self._picture = frame, picture
        rgb = picture.rgb
        if self.seconds:
            since = seconds - self.seconds[-1]
            # Two samples of one moment, as at a broken frame: times of frames must ascend.
            if since <= 0:
                return
            if since < self._settings.repeat_gap_seconds and is_repeat(self._last, rgb):
                return
        # After the write and not by a count of frames: what repeats is left out and costs nothing.
        self._written += self._write(rgb.tobytes())
        check_spool(self._written, self._settings)
        self._last = rgb
        self.seconds.append(seconds)
        self.aspect_ratios.append(picture.aspect_ratio)
        if self._preview is not None:
            self._preview.offer(len(self.seconds) - 1, frame, picture, seconds)
