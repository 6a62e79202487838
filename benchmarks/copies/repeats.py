"""Loops, boomerangs and changed paces of real clips: is every span found at its seconds?

    python -m benchmarks.copies.repeats CLIPS [--clips 10]

From each clip one piece is looped to about 20 seconds for each length of turn, twelve seconds are
played at each pace, and pieces run there and back, or back and there. A turn, a way or a span
counts as found when all four edges are within `EDGE_SECONDS`; `overlap` is the product of the
intersections over union on both time axes.
"""

import random
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import av
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from models.all_aligners import make_aligner
from stream.contract.events import MatchedSegment, VideoUploaded
from stream.contract.fingerprint import Fingerprint
from stream.fingerprint.fingerprinter import Fingerprinter
from stream.library.shard import LibraryShard
from stream.settings import Settings, load_settings

TURNS = (1.5, 2.0, 3.0, 4.0, 5.0)  # seconds
PACES = (0.5, 0.75, 1.25, 1.5, 2.0, 3.0)
WAYS = (2.0, 3.0, 4.0, 6.0, 8.0)  # seconds
LOOPED_SECONDS, PLAYED_SECONDS = 20.0, 12.0
CLIP_SECONDS = (24.0, 60.0)  # a clip has room for a piece, and is decoded quickly
EDGE_SECONDS = 0.75
Frames = list[NDArray[np.uint8]]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Case:
    """One query of a clip.

    Attributes:
        kind: as the table names it.
        frames: what it shows.
        spans: the right answer: query start and end, reference start and end, seconds.
    """

    kind: str
    frames: Frames
    spans: list[Box]


def cases_of(frames: Frames, rate: float, chance: random.Random) -> Iterator[Case]:
    """A loop for each length of turn, a piece for each pace, two boomerangs for each way."""
    for turn in TURNS:
        count = round(turn * rate)
        first = chance.randrange(round(2 * rate), len(frames) - count - round(2 * rate))
        turns = round(LOOPED_SECONDS / turn)
        at, seconds = first / rate, count / rate
        spans = [(n * seconds, (n + 1) * seconds, at, at + seconds) for n in range(turns)]
        yield Case(f"loop of {turn:g} s", frames[first : first + count] * turns, spans)
    for pace in PACES:
        count = round(PLAYED_SECONDS * rate)
        first = chance.randrange(round(rate), len(frames) - count - round(rate))
        shown = [frames[first + int(n * pace)] for n in range(int(count / pace))]
        at = first / rate
        yield Case(f"pace {pace:g}", shown, [(0.0, len(shown) / rate, at, at + PLAYED_SECONDS)])
    for way in WAYS:
        count = round(way * rate)
        for step in (1, -1):
            first = chance.randrange(round(rate), len(frames) - count - round(rate))
            piece, at, seconds = frames[first : first + count][::step], first / rate, count / rate
            spans = [(n * seconds, (n + 1) * seconds, at, at + seconds) for n in range(2)]
            yield Case(f"boomerang of {way:g} s a way", piece + piece[::-1], spans)


def read(path: Path) -> tuple[Frames, float]:
    """All frames of a clip, and how many it has a second."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate or 25)
        decoded = container.decode(stream)
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in decoded], rate


def write(path: Path, frames: Frames, rate: float) -> None:
    """As H.264."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=round(rate), options={"preset": "veryfast", "crf": "27"}
        )
        stream.height, stream.width = (side // 2 * 2 for side in frames[0].shape[:2])
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def overlap(found: MatchedSegment, right: Box) -> float:
    """Intersection over union, both axes multiplied."""
    own = edges(found)
    product = 1.0
    for start, end in ((0, 1), (2, 3)):
        shared = min(own[end], right[end]) - max(own[start], right[start])
        both = max(own[end], right[end]) - min(own[start], right[start])
        product *= max(shared, 0.0) / both
    return product


def edges(found: MatchedSegment) -> Box:
    """Query start and end, reference start and end."""
    return (
        found.video_start_seconds,
        found.video_end_seconds,
        found.reference_start_seconds,
        found.reference_end_seconds,
    )


def is_found(found: list[MatchedSegment], right: Box) -> bool:
    """Whether a span is there with all its edges."""
    return any(
        max(abs(own - true) for own, true in zip(edges(each), right, strict=True)) <= EDGE_SECONDS
        for each in found
    )


class Finder:
    """Asks a library of one clip."""

    def __init__(self, settings: Settings, fingerprinter: Fingerprinter, folder: Path) -> None:
        self._settings, self._fingerprinter, self._folder = settings, fingerprinter, folder

    def fingerprint(self, name: str, frames: Frames, rate: float) -> Fingerprint:
        """Of frames, as an upload of them has it."""
        path = self._folder / f"{name}.mp4"
        write(path, frames, rate)
        upload = VideoUploaded(video_id=name, uri=path.as_uri(), owner_id=name)
        made = self._fingerprinter.fingerprint(upload, name).fingerprint
        path.unlink()
        return made

    def find(self, reference: Fingerprint, upload: Fingerprint) -> list[MatchedSegment]:
        """The spans that the upload copies."""
        library = self._settings.library
        shard = LibraryShard(library, 0, make_aligner(library.aligner))
        shard.apply(reference, 0)
        answer = shard.apply(upload, 1)
        return [segment for match in answer.matches for segment in match.segments]


def main(
    clips: Annotated[Path, typer.Argument(help="A folder of clips.")],
    count: Annotated[int, typer.Option("--clips", help="How many of them.")] = 10,
    seed: Annotated[int, typer.Option(help="Of the choice of clips and pieces.")] = 1,
) -> None:
    """Print, for each kind, how much is found."""
    chance = random.Random(seed)
    paths = sorted(clips.glob("*.mp4"))
    chance.shuffle(paths)
    found, overlaps = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(fetch={"roots": [folder]}, decode={"processes": 1})
        with Fingerprinter(settings, embed=False) as fingerprinter:
            finder, done = Finder(settings, fingerprinter, Path(folder)), 0
            for path in paths:
                frames, rate = read(path)
                if done == count:
                    break
                if not CLIP_SECONDS[0] <= len(frames) / rate <= CLIP_SECONDS[1]:
                    continue
                done += 1
                reference = finder.fingerprint("reference", frames, rate)
                for case in cases_of(frames, rate, chance):
                    said = finder.find(reference, finder.fingerprint("upload", case.frames, rate))
                    for right in case.spans:
                        found[case.kind].append(float(is_found(said, right)))
                        overlaps[case.kind].append(
                            max((overlap(each, right) for each in said), default=0.0)
                        )
    table = Table("", "spans", "found", "overlap")
    for kind, each in found.items():
        table.add_row(
            kind, str(len(each)), f"{np.mean(each):.0%}", f"{np.mean(overlaps[kind]):.2f}"
        )
    Console(width=100).print(table)


if __name__ == "__main__":
    typer.run(main)
