"""Shot cuts and motion among the frames that are decoded anyway."""

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from models.video.motion import motion_codes
from models.video.shots import MIN_JUMP, SIDE, Changes

PLANAR_LUMA = frozenset(
    {"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "gray"}
)

HELD_SECONDS = 0.75  # of one frame: the next that looks unlike it begins a shot
HOLE_SECONDS = 10.0  # the next frame begins a shot, like as it may be
HELD_SHARE = 0.5  # of a video: what moves is unknown


class CutFinder:
    """Takes the frames of one video in order of presentation; names the cuts at the end.

    Where single frames are on the screen for long, as in recordings of a screen, a jump can't be
    compared with the footage around it: there each jump counts.
    """

    def __init__(self) -> None:
        self._changes = Changes()
        self._scaler: VideoReformatter | None = None
        self._cuts: list[int] | None = None
        self._held: list[tuple[int, float]] = []

    def add(self, frame: VideoFrame, seconds: float, held_seconds: float = 0.0) -> None:
        """Note a frame.

        Args:
            frame: in any pixel format.
            seconds: since the start of the video; not before the frame added last.
            held_seconds: how long the frame before it was on the screen; frames that were not
                decoded are frames as well.
        """
        if held_seconds >= HELD_SECONDS:
            self._held.append((len(self._changes), held_seconds))
        luma = self._luma(frame)
        self._changes.add(luma, seconds, width=min(frame.width, luma.shape[1]))
        self._cuts = None

    def cut_seconds(self) -> list[float]:
        """Time of the first frame seen of each new shot, ascending."""
        seconds: list[float] = self._changes.seconds[self._found()].tolist()
        return seconds

    def motion(self, duration_seconds: float) -> NDArray[np.uint8]:
        """How much moves, (M,) uint8, as `models.video.motion` writes it down; empty where unknown.

        Args:
            duration_seconds: length of the video.
        """
        changes = self._changes
        if sum(held for _, held in self._held) > HELD_SHARE * duration_seconds:
            return np.empty(0, np.uint8)
        return motion_codes(changes.steps, changes.seconds, self._found(), duration_seconds)

    def _found(self) -> list[int]:
        """Numbers of the frames that begin a shot, looked for once."""
        if self._cuts is None:
            steps = self._changes.steps
            after_held = {
                place
                for place, held in self._held
                if held >= HOLE_SECONDS or steps[place] >= MIN_JUMP
            }
            # The first frame begins a shot for certain, and is no cut.
            self._cuts = sorted(after_held.union(self._changes.cuts()) - {0})
        return self._cuts

    def _luma(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """(H, W) uint8 with padded rows; the codec's own memory where the format allows it."""
        if frame.format.name in PLANAR_LUMA and min(frame.width, frame.height) >= SIDE:
            plane = frame.planes[0]
            whole = np.frombuffer(plane, np.uint8)  # type: ignore[call-overload]
            rows: NDArray[np.uint8] = whole.reshape(plane.height, plane.line_size)
            return rows
        if self._scaler is None:
            self._scaler = VideoReformatter()
        small = self._scaler.reformat(
            frame, width=SIDE, height=SIDE, format="gray", interpolation=Interpolation.POINT
        )
        return np.asarray(small.to_ndarray(), np.uint8)
