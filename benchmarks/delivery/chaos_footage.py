"""Small uploads cut from real clips, for runs in which what is copied must be known.

Serves `chaos`. A look is a piece of a clip; an upload shows its own look and, often, a piece of
another upload's.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

# Small and slow, since footage is made while the day runs and must not be its bottleneck; eight
# seconds hold enough samples for an alert on a part of them. Set by hand.
SIZE = (192, 144)
FRAMES_PER_SECOND = 8  # four times the sampling rate
LOOK_SECONDS = 8  # of an upload's own footage

Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class Look:
    """What an upload shows that is its own: `LOOK_SECONDS` of a clip."""

    clip: Path
    start_seconds: float


def looks_of(clips: Sequence[Path], seed: int) -> list[Look]:
    """Every whole piece of every clip, none overlapping another, in an order of chance."""
    found = [
        Look(clip, float(start))
        for clip in clips
        for start in range(0, int(_seconds_of(clip)) - LOOK_SECONDS + 1, LOOK_SECONDS)
    ]
    random.Random(seed).shuffle(found)
    return found


def frames_of(look: Look) -> Frames:
    """The pictures of a look, (N, H, W, 3) uint8 RGB, `FRAMES_PER_SECOND` of them a second."""
    count, pictures = LOOK_SECONDS * FRAMES_PER_SECOND, list[NDArray[Any]]()
    with av.open(look.clip.as_posix()) as container:
        stream = container.streams.video[0]
        unit = float(stream.time_base or 0)
        container.seek(int(look.start_seconds / unit), stream=stream)
        for frame in container.decode(stream):
            seconds = float((frame.pts or 0) * unit) - look.start_seconds
            while seconds >= len(pictures) / FRAMES_PER_SECOND and len(pictures) < count:
                small = frame.reformat(width=SIZE[0], height=SIZE[1], format="rgb24")
                pictures.append(small.to_ndarray())
            if len(pictures) == count:
                break
    return np.stack(pictures)


def write_upload(path: Path, parts: Sequence[Frames], crf: int = 30) -> None:
    """Write pictures one after another as an MP4 file."""
    with av.open(path.as_posix(), "w") as container:
        stream: Any = container.add_stream(
            "libx264", rate=FRAMES_PER_SECOND, options={"preset": "ultrafast", "crf": str(crf)}
        )
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.gop_size = 4 * FRAMES_PER_SECOND
        for picture in np.concatenate(parts):
            container.mux(stream.encode(VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def _seconds_of(clip: Path) -> float:
    with av.open(clip.as_posix()) as container:
        return (container.duration or 0) / 1e6
