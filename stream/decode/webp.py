"""Animated WebP, which the codec library doesn't decode: Pillow does.

Serves `stream.decode.strategies`. The container is read here, so that sizes and times are known,
and refused, before a picture is decoded.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from PIL import Image

from stream.decode.container import check_pixels
from stream.decode.packets import check_duration
from stream.decode.sampling import PacketTable
from stream.decode.settings import DecodeSettings
from stream.errors import CorruptError

HEADER_BYTES = 30  # RIFF header of 12, head of the VP8X chunk of 8, its content of 10
ANIMATED = 0x02  # bit of the VP8X flags
MILLISECOND = Fraction(1, 1000)  # WebP counts in these
TOO_SHORT_MS, INSTEAD_MS = 10, 100  # as browsers have it


def is_animated_webp(path: Path) -> bool:
    """Whether a file says that it is one."""
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
    return (
        len(head) == HEADER_BYTES
        and (head[:4], head[8:16]) == (b"RIFF", b"WEBPVP8X")
        and bool(head[20] & ANIMATED)
    )


def read_webp_table(path: Path, settings: DecodeSettings) -> PacketTable:
    """When each picture is shown; each is a key frame.

    Raises:
        TooLargeError: pixels or seconds over the limits.
        CorruptError: there is no picture.
    """
    durations = []
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
        check_pixels(1 + _number(head[24:27]), 1 + _number(head[27:30]), settings)
        # Chunks are padded to even lengths.
        file.seek(20 + _number(head[16:20]) + (_number(head[16:20]) & 1))
        while len(chunk := file.read(8)) == 8:
            length = _number(chunk[4:])
            body = file.read(min(length, 16)) if chunk[:4] == b"ANMF" else b""
            if len(body) == 16:
                stated = _number(body[12:15])
                durations.append(stated if stated > TOO_SHORT_MS else INSTEAD_MS)
            file.seek(length + (length & 1) - len(body), 1)
    if not durations:
        raise CorruptError("an animated WebP without a picture")
    ends = np.cumsum(np.array(durations, np.int64))
    starts = ends - durations
    everywhere = np.ones(len(starts), bool)
    check_duration(float(ends[-1]) / 1000, None, settings)
    return PacketTable(
        pts=starts,
        seconds=starts / 1000,
        key=everywhere,
        shown=everywhere,
        duration_seconds=float(ends[-1]) / 1000,
        complete=True,
    )


def webp_frames(path: Path, table: PacketTable) -> Iterator[VideoFrame]:
    """The pictures in order, as far as they can be decoded; alpha is ignored.

    Raises:
        CorruptError: not even the first can be.
    """
    Image.MAX_IMAGE_PIXELS = None  # checked already
    decoded = 0
    try:
        with Image.open(path, formats=["WEBP"]) as picture:
            for place, pts in enumerate(table.pts[: getattr(picture, "n_frames", 1)].tolist()):
                picture.seek(place)
                frame = VideoFrame.from_ndarray(np.asarray(picture.convert("RGB")), format="rgb24")
                frame.pts, frame.time_base = pts, MILLISECOND
                yield frame
                decoded += 1
    except (OSError, EOFError, ValueError, SyntaxError) as error:
        if not decoded:
            raise CorruptError(f"not a readable animated WebP: {error}") from error


def _number(little_endian: bytes) -> int:
    return int.from_bytes(little_endian, "little")
