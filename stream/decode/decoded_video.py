"""What decoding a video gives: made by the child process, its frames mapped by the parent."""

from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from stream.decode.spool import PreviewSpool

Strategy = Literal["key_frames", "groups", "every_frame"]


def _no_frames() -> NDArray[np.uint8]:
    return np.empty((0, 0, 0, 3), np.uint8)


@dataclass
class DecodedVideo:
    """Evenly spaced frames of one video. A context manager; close it to free the disk space.

    Frames are too many to be sent from one process to another: a child writes them into a spool
    file and reports everything else, and `map_frames` gives its parent the frames.

    Attributes:
        seconds: (N,) float32, ascending; repeats are left out, so gaps differ.
        aspect_ratios: (N,) float32, width by height, as shown, of what each frame was before it
            became a square; borders left out.
        preview_places: (M,) places of the previews among the frames, ascending.
        duration_seconds: from the first shown frame to the end of the last.
        cut_seconds: (C,) float32, ascending: the first decoded frame of each new shot.
        motion: (M,) uint8, how much moves, as `models.video.motion` writes it down.
        decode_cpu_seconds: of the child process.
        decoded_frames: that the codec gave, samples and what they refer to, of `packets` in the
            file.
        broken_packets: that could not be read or decoded.
        strategy: what was decoded: key frames alone, groups of pictures as far as needed, or
            every frame.
        frames: (N, S, S, 3) uint8 RGB, prepared; mapped from disk, in order of time, N ≥ 1.
        preview_frames: (M, Z, Z, 3) uint8 RGB, some of the frames for an encoder that takes another
            size, M ≥ 1; None where nobody asked for it.
    """

    seconds: NDArray[np.float32]
    aspect_ratios: NDArray[np.float32]
    preview_places: NDArray[np.intp]
    duration_seconds: float
    cut_seconds: NDArray[np.float32]
    motion: NDArray[np.uint8]
    decode_cpu_seconds: float
    decoded_frames: int
    packets: int
    broken_packets: int
    strategy: Strategy
    frames: NDArray[np.uint8] = field(default_factory=_no_frames)
    preview_frames: NDArray[np.uint8] | None = None

    def map_frames(self, spool: Path, size: int, preview: PreviewSpool | None) -> None:
        """Map the frames from the files that the child has filled.

        Args:
            spool: of the frames.
            size: side of a frame in pixels.
            preview: of the previews; None where nobody asked for them.
        """
        self.frames = _mapped(spool, len(self.seconds), size)
        if preview is not None:
            self.preview_frames = _mapped(preview.path, len(self.preview_places), preview.size)

    def close(self) -> None:
        """Let go of the frames; their disk space is free once no view of them is left."""
        # A copy: the emptiest view still keeps the file mapped, and its disk space with it.
        self.frames = self.frames[:0].copy()
        self.preview_frames = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _mapped(spool: Path, count: int, size: int) -> NDArray[np.uint8]:
    return np.memmap(spool, np.uint8, mode="r", shape=(count, size, size, 3))
