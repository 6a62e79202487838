"""Shot cuts and motion among the frames that are decoded anyway."""

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from models.changes import BLOCKS, SAMPLES, Changes
from models.motion import motion_codes

PLANAR_LUMA = frozenset(
    {"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "gray"}
)


class CutFinder:
    """Takes the frames of one video in order of presentation; names the cuts at the end."""

    def __init__(self) -> None:
        self._changes = Changes()
        self._scaler: VideoReformatter | None = None
        self._cuts: list[int] | None = None

    def add(self, frame: VideoFrame, seconds: float) -> None:
        """Note a frame.

        Args:
            frame: in any pixel format.
            seconds: since the start of the video; not before the frame added last.
        """
        self._changes.add(self._luma(frame), seconds)
        self._cuts = None

    def cut_seconds(self) -> list[float]:
        """Time of the first frame seen of each new shot, ascending."""
        seconds: list[float] = self._changes.seconds[self._found()].tolist()
        return seconds

    def motion(self, duration_seconds: float) -> NDArray[np.uint8]:
        """How much moves, (M,) uint8, as `models.motion` writes it down.

        Args:
            duration_seconds: length of the video.
        """
        changes = self._changes
        return motion_codes(changes.steps, changes.seconds, self._found(), duration_seconds)

    def _found(self) -> list[int]:
        """Numbers of the frames that begin a shot, looked for once."""
        if self._cuts is None:
            self._cuts = self._changes.cuts()
        return self._cuts

    def _luma(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """(H, W) uint8; a view of the codec's own memory where the format allows it."""
        if frame.format.name in PLANAR_LUMA and min(frame.width, frame.height) >= BLOCKS * SAMPLES:
            plane = frame.planes[0]
            whole = np.frombuffer(plane, np.uint8)  # type: ignore[call-overload]
            rows: NDArray[np.uint8] = whole.reshape(plane.height, plane.line_size)[:, : plane.width]
            return rows
        if self._scaler is None:
            self._scaler = VideoReformatter()
        side = BLOCKS * SAMPLES
        small = self._scaler.reformat(
            frame, width=side, height=side, format="gray", interpolation=Interpolation.POINT
        )
        return np.asarray(small.to_ndarray(), np.uint8)
