"""A decoded frame to the square that the encoder takes: small, upright, without borders."""

from typing import Any, NamedTuple

import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from numpy.typing import NDArray

from models.video.frames import Box, Rgb, content_box, squared

OVERSAMPLING = 1.5  # so much larger a picture does the fast scaler leave to the good one
ENOUGH = 0.9  # of a square's side: a made picture so large is made a little larger; set by hand


class Picture(NamedTuple):
    """What an encoder sees of a frame.

    Attributes:
        rgb: (S, S, 3) uint8.
        aspect_ratio: width by height, as shown, of what was made a square.
        shown: (H, W, 3) uint8, the whole frame upright, small, from which it was made.
        box: what of that became the square, as `content_box` says it.
    """

    rgb: Rgb
    aspect_ratio: float
    shown: Rgb
    box: Box


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
        scale = OVERSAMPLING * self._size / min(frame.width, frame.height)
        small, signs = self._scaled(frame, scale), pose(frame)
        # Of a pixel of the small picture, whose sides were rounded one by one.
        pixel = self._pixel_aspect_ratio * frame.width / small.shape[1]
        pixel *= small.shape[0] / frame.height  # the scaler rounds both sides
        shown = upright(small, signs)
        left, top, right, bottom = box = content_box(shown)
        ratio = (right - left) / (bottom - top) * (1 / pixel if _turned(signs) else pixel)
        return Picture(squared(shown, box, self._size), ratio, shown, box)

    def square(self, frame: VideoFrame, picture: Picture) -> Rgb:
        """The square of a frame of which there is a picture, for less than `picture` costs.

        Args:
            frame: in any pixel format.
            picture: of the same frame, of any size.

        Returns:
            (S, S, 3) uint8.
        """
        left, top, right, bottom = picture.box
        if min(right - left, bottom - top) >= ENOUGH * self._size:
            return squared(picture.shown, picture.box, self._size)
        height, width = picture.shown.shape[:2]
        left, top, right, bottom = left / width, top / height, right / width, bottom / height
        signs = pose(frame)
        sides = (frame.height, frame.width) if _turned(signs) else (frame.width, frame.height)
        scale = self._size / max(1.0, min((right - left) * sides[0], (bottom - top) * sides[1]))
        shown = upright(self._scaled(frame, scale), signs)
        height, width = shown.shape[:2]
        across, down = _span(left, right, width), _span(top, bottom, height)
        return squared(shown, (across[0], down[0], across[1], down[1]), self._size)

    def _scaled(self, frame: VideoFrame, scale: float) -> Rgb:
        """(H, W, 3) uint8, made small by the codec's scaler; never made larger."""
        scale = min(1.0, scale)
        small = self._scaler.reformat(
            frame,
            width=max(1, round(frame.width * scale)),
            height=max(1, round(frame.height * scale)),
            format="rgb24",
            interpolation=Interpolation.BILINEAR,
            src_color_range=frame.color_range,
            dst_color_range=ColorRange.JPEG,
            # Children run side by side already, one video each.
            threads=1,
        )
        return np.asarray(small.to_ndarray(), np.uint8)


def _span(start: float, stop: float, length: int) -> tuple[int, int]:
    """Pixels of shares of a side, at least one."""
    first = min(round(start * length), length - 1)
    return first, max(round(stop * length), first + 1)


def same_pixels(before: VideoFrame, frame: VideoFrame) -> bool:
    """Whether two frames are equal in every byte: a codec copies what stands still."""
    # Bytes are compared before pixels are scaled: a memcmp is far cheaper than a picture.
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


def _turned(signs: NDArray[np.int32] | None) -> bool:
    """Whether width and height change places."""
    return signs is not None and signs[0, 0] == 0


def upright(rgb: Rgb, signs: NDArray[np.int32] | None) -> Rgb:
    """Turn and mirror pixels (H, W, 3) as the display matrix says."""
    if signs is None:
        return rgb
    if _turned(signs):
        rgb = rgb.swapaxes(0, 1)
        down, right = signs[0, 1], signs[1, 0]
    else:
        down, right = signs[1, 1], signs[0, 0]
    return rgb[::down, ::right]
