"""Drawn footage, videos made of it, and which spans of one video the service finds in another.

Serves the tests of hard copies, framings and times; `conftest.py` beside it makes the fixtures.
"""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image, ImageDraw

from models.all_aligners import make_aligner
from stream.contract.events import MatchedSegment, VideoUploaded
from stream.contract.fingerprint import Fingerprint
from stream.demo.scenes import SCENES
from stream.fingerprint.fingerprinter import Fingerprinter
from stream.library.shard import LibraryShard
from stream.settings import Settings

RATE = 15
SHOTS = ("landscape", "road", "reef", "wheel", "skyline")
SHOT_SECONDS = 4
EDGE_SECONDS = 0.75
TICKS = 1000  # a second, where pictures come at seconds of their own

Pictures = Sequence[Image.Image]
Times = Callable[[int], float]
"""The second at which the n-th picture is shown; that of the one behind the last is the end."""


def later(reason: str) -> pytest.MarkDecorator:
    """What is right, and is not so yet."""
    return pytest.mark.xfail(reason=reason, strict=False, raises=AssertionError)


@cache
def scene_of(name: str, seconds: float) -> Pictures:
    """A scene at `RATE`; drawn once in a process."""
    scene = SCENES[name](3)
    return tuple(
        scene.draw(number / RATE).convert("RGB") for number in range(round(seconds * RATE))
    )


def bars() -> Image.Image:
    """A test card: stripes in the colours of television, patches below them."""
    card = Image.new("RGB", (320, 180), "#131313")
    draw = ImageDraw.Draw(card)
    colours = ("#bfbfbf", "#bfbf00", "#00bfbf", "#00bf00", "#bf00bf", "#bf0000", "#0000bf")
    for number, colour in enumerate(colours):
        draw.rectangle((number * 320 // 7, 0, (number + 1) * 320 // 7, 135), fill=colour)
    for number, colour in enumerate(("#00214c", "#ffffff", "#32006a")):
        draw.rectangle((number * 57, 135, (number + 1) * 57, 180), fill=colour)
    return card


def with_hole(after: int, seconds: float) -> Times:
    """At `RATE`, but what comes after some seconds comes later by others."""
    return lambda number: number / RATE + (seconds if number >= after * RATE else 0)


def write(
    path: Path,
    pictures: Iterable[Image.Image],
    rate: int = RATE,
    times: Times | None = None,
    codec: str = "libx264",
) -> Path:
    """A video of pictures, at a rate or at seconds of their own."""
    at = times or (lambda number: number / rate)
    # MPEG-2 counts by one of its own rates.
    unit = Fraction(1, TICKS if times is not None and codec == "libx264" else rate)
    options = {"preset": "superfast"} if codec == "libx264" else {"qmax": "8"}
    if times is not None:
        options["bf"] = "0"  # or the last packet isn't the last picture, and MP4 loses its end
    shown: dict[int, int] = {}  # how long, by when

    def mux(packets: Iterable[Any]) -> None:
        for packet in packets:
            packet.duration = shown[packet.pts]
            container.mux(packet)

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate, options=options)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = unit
        for number, picture in enumerate(pictures):
            if number == 0:
                stream.width, stream.height = picture.size
            frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
            frame.pts, end = (round(at(each) / unit) for each in (number, number + 1))
            frame.time_base = unit
            shown[frame.pts] = end - frame.pts
            mux(stream.encode(frame))
        mux(stream.encode(None))
    return path


class Finder:
    """Says which spans of a video are in another."""

    def __init__(self, settings: Settings, fingerprinter: Fingerprinter, folder: Path) -> None:
        """Files go into the folder."""
        self._settings, self._fingerprinter, self.folder = settings, fingerprinter, folder

    def fingerprint(
        self,
        name: str,
        pictures: Iterable[Image.Image],
        rate: int = RATE,
        suffix: str = "mp4",
        times: Times | None = None,
    ) -> Fingerprint:
        """Encode, and fingerprint."""
        return self.read(write(self.folder / f"{name}.{suffix}", pictures, rate, times))

    def read(self, path: Path) -> Fingerprint:
        """Of a file, whose owner nobody shares."""
        upload = VideoUploaded(video_id=path.stem, uri=path.as_uri(), owner_id=path.stem)
        return self._fingerprinter.fingerprint(upload, path.stem).fingerprint

    def __call__(
        self,
        reference: Fingerprint,
        upload: Iterable[Image.Image],
        rate: int = RATE,
        suffix: str = "mp4",
        times: Times | None = None,
    ) -> list[MatchedSegment]:
        """By the order of the upload."""
        return self.compare(reference, self.fingerprint("upload", upload, rate, suffix, times))

    def compare(self, reference: Fingerprint, upload: Fingerprint) -> list[MatchedSegment]:
        """By the order of the upload, which comes after the reference."""
        library = self._settings.library
        shard = LibraryShard(library, 0, make_aligner(library.aligner))
        shard.apply(reference, 0)
        answer = shard.apply(upload, 1)
        found = [segment for match in answer.matches for segment in match.segments]
        return sorted(found, key=lambda segment: segment.video_start_seconds)
