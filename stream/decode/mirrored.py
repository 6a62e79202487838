"""Which spans of a copy are mirrored, by a few pictures of both videos at matching seconds.

Runs in a child process, as decoding does; the console asks for it with the evidence of an alert.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from models.video.frames import Rgb
from models.video.mirrored import is_mirrored
from stream.contract.events import MatchedSegment
from stream.decode.child import in_time, outcomes
from stream.decode.container import check_pixels
from stream.decode.pictures import Pictures
from stream.decode.playable import NoCuts
from stream.decode.settings import DecodeSettings
from stream.decode.strategies import work_of
from stream.errors import CorruptError

PICTURES = 4  # of a span; set by hand, as the side
SIDE = 96  # pixels


def mirrored_in_time(
    video: Path, reference: Path, segments: Sequence[MatchedSegment], settings: DecodeSettings
) -> list[bool | None]:
    """As `mirrored_spans`, within the limit."""
    with in_time(settings):
        return mirrored_spans(video, reference, segments, settings)


def mirrored_spans(
    video: Path, reference: Path, segments: Sequence[MatchedSegment], settings: DecodeSettings
) -> list[bool | None]:
    """Whether each span is mirrored; None where its pictures don't say.

    Args:
        video: the copy.
        reference: what it copies.
        segments: the spans, at least one.
        settings: limits; the sampling is this module's where the packets have times.

    Raises:
        RejectedError: one of the videos can't be used; its code says why.
    """
    at = (np.arange(PICTURES) + 0.5) / PICTURES
    copied, original = [], []
    for each in segments:
        along = 1 - at if each.reversed else at
        copied.append(_between(each.video_start_seconds, each.video_end_seconds, at))
        original.append(_between(each.reference_start_seconds, each.reference_end_seconds, along))
    ours = stills(video, np.concatenate(copied), settings)
    theirs = stills(reference, np.concatenate(original), settings)
    places = [slice(first, first + PICTURES) for first in range(0, len(ours), PICTURES)]
    return [is_mirrored(ours[each], theirs[each]) for each in places]


def _between(start: float, end: float, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    return start + shares * (end - start)


def stills(path: Path, seconds: NDArray[np.float64], settings: DecodeSettings) -> Rgb:
    """What a video shows at some seconds: (K, SIDE, SIDE, 3) uint8, prepared.

    Args:
        path: the video.
        seconds: (K,) of it, in any order, K ≥ 1.
        settings: limits.

    Raises:
        RejectedError: the video can't be used; its code says why.
        NoRoomError: this machine is short of memory.
    """
    with outcomes(settings, lambda: 0):
        work = work_of(path, settings, seconds)
        table = work.table
        sink = _Nearest(seconds - table.lead_seconds, table.pixel_aspect_ratio, settings)
        work.decode(sink)
        return sink.pictures()


class _Nearest:
    """Keeps of all samples the ones that are nearest to some seconds."""

    def __init__(
        self, seconds: NDArray[np.float64], pixel_aspect_ratio: float, settings: DecodeSettings
    ) -> None:
        self.cuts = NoCuts()
        self._seconds, self._settings = seconds, settings
        self._pictures = Pictures(SIDE, pixel_aspect_ratio)
        self._apart = np.full(len(seconds), np.inf)
        self._shown = np.zeros((len(seconds), SIDE, SIDE, 3), np.uint8)

    def add(self, frame: VideoFrame, seconds: float) -> None:
        """Take a frame as the sample of a time."""
        apart = np.abs(self._seconds - seconds)
        if not (nearer := apart < self._apart).any():
            return
        check_pixels(frame.width, frame.height, self._settings)
        self._shown[nearer] = self._pictures.picture(frame).rgb
        self._apart[nearer] = apart[nearer]

    def pictures(self) -> Rgb:
        """One for each of the seconds.

        Raises:
            CorruptError: there was no frame.
        """
        if not np.isfinite(self._apart).all():
            raise CorruptError("not one frame can be decoded")
        return self._shown
