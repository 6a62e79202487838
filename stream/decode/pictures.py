"""A decoded frame to the square that the encoder takes: small, upright, without borders."""

from typing import Any, NamedTuple

import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from numpy.typing import NDArray

from models.frames import content_box, squared

OVERSAMPLING = 1.5


class Picture(NamedTuple):
    """What an encoder sees of a frame.

    Attributes:
        rgb: (S, S, 3) uint8.
        aspect_ratio: width by height, as shown, of what was made a square.
    """

    rgb: NDArray[np.uint8]
    aspect_ratio: float


class Pictures:
    """Makes the encoder's view of frames, in the pose in which they are shown.

    The codec's scaler makes a frame small before anything else touches it. The pixels' own aspect
    ratio doesn't matter to the square, only to what is said of it. Alpha is ignored.
    """

    def __init__(self, size: int, pixel_aspect_ratio: float = 1.0) -> None:
        """Make one per video.

        Args:
            size: side of the pictures in pixels.
            pixel_aspect_ratio: width by height of a coded pixel.
        """
        self._size, self._pixel_aspect_ratio = size, pixel_aspect_ratio
        self._scaler = VideoReformatter()

    def picture(self, frame: VideoFrame) -> Picture:
        """The square of a frame in any pixel format."""
        small, signs = self._small(frame), pose(frame)
        pixel = self._pixel_aspect_ratio * frame.width / small.shape[1]
        pixel *= small.shape[0] / frame.height  # the scaler rounds both sides
        turned = signs is not None and signs[0, 0] == 0
        shown = upright(small, signs)
        left, top, right, bottom = box = content_box(shown)
        ratio = (right - left) / (bottom - top) * (1 / pixel if turned else pixel)
        return Picture(squared(shown, box, self._size), ratio)

    def _small(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """(H, W, 3) uint8, its short side so small that borders can still be found."""
        scale = min(1.0, OVERSAMPLING * self._size / min(frame.width, frame.height))
        small = self._scaler.reformat(
            frame,
            width=max(1, round(frame.width * scale)),
            height=max(1, round(frame.height * scale)),
            format="rgb24",
            interpolation=Interpolation.BILINEAR,
            src_color_range=frame.color_range,
            dst_color_range=ColorRange.JPEG,
            threads=1,
        )
        return np.asarray(small.to_ndarray(), np.uint8)


def same_pixels(before: VideoFrame, frame: VideoFrame) -> bool:
    """Whether two frames are equal in every byte: a codec copies what stands still."""
    if before is frame:
        return True
    if (before.format.name, before.width, before.height) != (
        frame.format.name,
        frame.width,
        frame.height,
    ):
        return False
    return all(
        bytes(one) == bytes(other) for one, other in zip(before.planes, frame.planes, strict=True)
    )


def pose(frame: VideoFrame) -> NDArray[np.int32] | None:
    """The linear part of the display matrix, (2, 2) int32 in {-1, 0, 1}; None where upright.

    Source: ISO/IEC 14496-12, the matrix of the track header: [x' y'] = [x y] · matrix.
    """
    side_data: Any = frame.side_data
    raw = next((data for data in side_data if data.type == Type.DISPLAYMATRIX), None)
    if raw is None:
        return None
    linear = np.frombuffer(bytes(raw), np.int32).reshape(3, 3)[:2, :2]
    largest = np.abs(linear).max()
    signs = np.rint(linear / largest).astype(np.int32) if largest else np.eye(2, dtype=np.int32)
    turned = np.abs(signs).sum(axis=0).tolist() == [1, 1] == np.abs(signs).sum(axis=1).tolist()
    return signs if turned and not np.array_equal(signs, np.eye(2)) else None


def upright(rgb: NDArray[np.uint8], signs: NDArray[np.int32] | None) -> NDArray[np.uint8]:
    """Turn and mirror pixels (H, W, 3) as the display matrix says."""
    if signs is None:
        return rgb
    if signs[0, 0] == 0:
        rgb = rgb.swapaxes(0, 1)
        down, right = signs[0, 1], signs[1, 0]
    else:
        down, right = signs[1, 1], signs[0, 0]
    return rgb[::down, ::right]
