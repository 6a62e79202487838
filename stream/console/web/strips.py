"""Thumbnails of a video as film strips: side by side, or each over its own seconds."""

import io
from collections.abc import Sequence
from itertools import pairwise

from PIL import Image

from stream.texts import Text

STRIP_HEIGHT = 96  # pixels; set by hand
TIMED_WIDTH = 640  # of a strip over a bar of seconds, as the style sheet has it; set by hand
STRIP_GAP = 2  # set by hand
MAX_THUMBNAIL_PIXELS = 1024 * 1024  # a worker's have 128 x 128

NO_THUMBNAILS = Text("no thumbnails of the video are on Kafka")


class NoEvidenceError(Exception):
    """There is no picture; the text says why, for people."""


def strip_jpeg(thumbnails: Sequence[bytes]) -> bytes:
    """Small pictures side by side, all of one height.

    Raises:
        NoEvidenceError: none of them is a picture.
    """
    pictures = [picture for data in thumbnails if (picture := _opened(data)) is not None]
    if not pictures:
        raise NoEvidenceError(NO_THUMBNAILS)
    width = sum(each.width for each in pictures) + STRIP_GAP * (len(pictures) - 1)
    strip, left = Image.new("RGB", (width, STRIP_HEIGHT)), 0
    for each in pictures:
        strip.paste(each, (left, 0))
        left += each.width + STRIP_GAP
    file = io.BytesIO()
    strip.save(file, "JPEG", quality=85)
    return file.getvalue()


def timed_strip_jpeg(thumbnails: Sequence[bytes], shares: Sequence[float]) -> bytes:
    """Small pictures, each over its own part of the strip.

    Args:
        thumbnails: in order of time.
        shares: of the strip's width, ascending, where the middle of each is; half-way to that of a
            neighbour it is cut off.

    Raises:
        NoEvidenceError: none of them is a picture.
    """
    pictures = [
        (picture, TIMED_WIDTH * min(max(share, 0.0), 1.0))
        for data, share in zip(thumbnails, shares, strict=True)
        if (picture := _opened(data)) is not None
    ]
    if not pictures:
        raise NoEvidenceError(NO_THUMBNAILS)
    middles = [middle for _, middle in pictures]
    edges = [0, *(round((one + next) / 2) for one, next in pairwise(middles)), TIMED_WIDTH]
    strip = Image.new("RGB", (TIMED_WIDTH, STRIP_HEIGHT))
    for (picture, middle), (start, end) in zip(pictures, pairwise(edges), strict=True):
        # Whole where there is room, though its middle is near an end.
        left = max(0, min(round(middle - picture.width / 2), TIMED_WIDTH - picture.width))
        start, end = max(start, left), min(end, left + picture.width)
        if start < end:
            strip.paste(picture.crop((start - left, 0, end - left, STRIP_HEIGHT)), (start, 0))
    file = io.BytesIO()
    strip.save(file, "JPEG", quality=85)
    return file.getvalue()


def _opened(data: bytes) -> Image.Image | None:
    """A JPEG at the strip's height; None where it is none, or too large to be a thumbnail."""
    try:
        # One decoder of many: what lies on Kafka may be made to break another.
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as picture:
            if picture.width * picture.height > MAX_THUMBNAIL_PIXELS:
                return None
            width = max(1, round(picture.width * STRIP_HEIGHT / picture.height))
            return picture.convert("RGB").resize((width, STRIP_HEIGHT))
    except (OSError, SyntaxError, Image.DecompressionBombError):
        return None
