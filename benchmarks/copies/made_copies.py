"""Makes a labelled copy set from any folder of clips, in the layout that `evaluate copies` reads.

    python -m benchmarks.copies.made_copies CLIPS OUT [--short] [--queries 80] [--one-scene FILE]
    python -m benchmarks.copies.made_copies SET OUT --harder [--queries 80]

For choosing thresholds on footage that nobody is judged by. References are clips in a row; queries
mix edited spans of them with footage that is in no reference; two in five copy nothing.

With `--short`, references of one clip each, and one copied span of a few seconds a query: what
people share on platforms of short videos.

With `--harder`, a harder exam of a copy set that is there: its references as they are, and new
queries with the edits of the harder school, up to three at once. What they show besides comes from
the set's queries that copy nothing.
"""

import argparse
import csv
import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from itertools import chain, islice
from multiprocessing import get_context
from pathlib import Path
from random import Random

from PIL import Image
from rich.progress import track

from models.training.edits.pictures import EDITS
from stream.demo.footage import (
    FRAMES_PER_SECOND,
    FootageError,
    read_frames,
    seconds_of,
    write_video,
)
from stream.evaluate.copy_set import read_copy_set

# How the footage is made, all of it set by hand. Width and height: the last, on its side, for
# queries only. The shapes are small, as decoding makes frames small before anything looks at them.
SIZES = ((320, 240), (340, 256), (426, 240), (240, 320))
# Drawn evenly: four in nine play at their own speed.
SPEEDS = (1.0, 1.0, 1.0, 1.0, 0.5, 0.75, 1.25, 1.5, 2.0)
# libx264's crf, from hardly damaged to blocks; references have the first three
QUALITIES = (23, 25, 28, 32, 36, 38)
# Edits of a copied span, drawn evenly; the harder ones are also the heavier ones.
EDITS_AT_ONCE = (1, 1, 2, 2, 3)
COPIED_SEGMENTS = (1, 1, 2, 2, 3, 4)  # of a query that copies, drawn evenly
# Of a reference that are copied, drawn evenly.
SPAN_SECONDS = (2.0, 20.0)
SHORT_SPAN_SECONDS = (4.0, 12.0)
REFERENCE_SHARE = 0.6  # of the clips; the rest is footage that is in no reference
CLEAR_SHARE = 0.4  # of the queries, which copy nothing: what they raise is a false alert


@dataclass(frozen=True)
class Part:
    """A span of a file as it plays in a made video.

    Attributes:
        path: the file; None for the end of a chain.
        start: seconds in it.
        seconds: of it, before a change of speed.
        edits: names in `models.training.edits.pictures.EDITS`, or of harder ones.
        harder: whether they are names in `models.training.edits.batch_edits.EDITS`.
        other: footage for the edits that mix two pictures.
        reference: the reference that it copies.
    """

    path: Path
    start: float
    seconds: float
    speed: float = 1.0
    edits: tuple[str, ...] = ()
    harder: bool = False
    seed: int = 0
    other: Path | None = None
    reference: str | None = None

    @property
    def played(self) -> float:
        """Seconds in the made video, a whole number of its pictures."""
        return round(self.seconds / self.speed * FRAMES_PER_SECOND) / FRAMES_PER_SECOND


@dataclass(frozen=True)
class Video:
    """A video to make."""

    name: str
    size: tuple[int, int]
    quality: int
    parts: list[Part] = field(default_factory=list)

    @property
    def boxes(self) -> dict[str, list[list[float]]]:
        """By reference: query start, reference start, query end, reference end, in seconds."""
        found: dict[str, list[list[float]]] = {}
        at = 0.0
        for part in self.parts:
            if part.reference is not None:
                end = part.start + part.played * part.speed
                box = [at, part.start, at + part.played, end]
                found.setdefault(part.reference, []).append([round(value, 2) for value in box])
            at += part.played
        return found


def one_of_each_scene(clips: list[Path], scenes: list[set[str]]) -> list[Path]:
    """The clips, without those that show the scene of an earlier one.

    Two clips of one scene on both sides of a pair would be a copy that no label names.

    Args:
        clips: files.
        scenes: stems of the clips of each scene that several of them show.
    """
    kept: list[Path] = []
    for clip in clips:
        twins = {stem for scene in scenes if clip.stem in scene for stem in scene}
        if not twins & {one.stem for one in kept}:
            kept.append(clip)
    return kept


def references(clips: list[Path], count: int, random: Random) -> list[Video]:
    """Each clip once, several in a row."""
    videos = [
        Video(f"r{number:03d}", random.choice(SIZES[:3]), random.choice(QUALITIES[:3]))
        for number in range(count)
    ]
    for number, clip in enumerate(clips):
        videos[number % count].parts.append(Part(clip, 0.0, seconds_of(clip)))
    return [video for video in videos if video.parts]


def query(
    name: str,
    folder: Path,
    known: list[Video],
    rest: list[Path],
    random: Random,
    *,
    harder: bool = False,
    short: bool = False,
) -> Video:
    """Other footage, and with the chance of three in five one to four copied segments."""
    video = Video(name, random.choice(SIZES), random.choice(QUALITIES))
    copied = 0 if random.random() < CLEAR_SHARE else 1 if short else random.choice(COPIED_SEGMENTS)
    span_seconds = SHORT_SPAN_SECONDS if short else SPAN_SECONDS
    video.parts.append(_other_footage(rest, random))
    for _ in range(copied):
        source = random.choice(known)
        video.parts.append(_copied_segment(folder, source, rest, random, span_seconds, harder))
        if random.random() < 0.7:
            video.parts.append(_other_footage(rest, random))
    if not copied:
        video.parts.extend(_other_footage(rest, random) for _ in range(random.randint(1, 3)))
    return (
        video
        if random.random() < 0.7 or not copied
        else Video(name, video.size, video.quality, video.parts[1:])
    )


def _other_footage(clips: list[Path], random: Random) -> Part:
    clip = random.choice(clips)
    whole = seconds_of(clip)
    seconds = min(whole, random.uniform(3.0, 15.0))
    return Part(clip, random.uniform(0.0, whole - seconds), seconds)


def _copied_segment(
    folder: Path,
    source: Video,
    rest: list[Path],
    random: Random,
    span_seconds: tuple[float, float],
    harder: bool,
) -> Part:
    whole = sum(part.played for part in source.parts)
    seconds = min(whole, random.uniform(*span_seconds))
    table = _harder_weights() if harder else {name: own for name, (_, own) in EDITS.items()}
    chosen = random.choices([*table], [*table.values()], k=random.choice(EDITS_AT_ONCE))
    return Part(
        folder / "references" / f"{source.name}.mp4",
        round(random.uniform(0.0, whole - seconds), 2),
        seconds,
        random.choice(SPEEDS),
        tuple(dict.fromkeys(chosen)),
        harder,
        random.getrandbits(32),
        random.choice(rest),
        source.name,
    )


def _harder_weights() -> dict[str, float]:
    from models.training.edits.one_picture import WEIGHTS  # needs torch, which easier sets don't

    return WEIGHTS


def make(video: Video, path: Path) -> None:
    """Write a video, whole or not at all; one that is there already stays as it is."""
    if path.exists():
        return
    unfinished = path.with_name(f".{path.name}")
    pictures = chain.from_iterable(_pictures(part, video.size) for part in video.parts)
    write_video(unfinished, pictures, quality=video.quality)
    unfinished.rename(path)


def _pictures(part: Part, size: tuple[int, int]) -> Iterator[Image.Image]:
    """The part's pictures, as many as it plays; the edits are the same on each of them."""
    end = part.start + part.seconds
    shown = read_frames(part.path, part.start, end, speed=part.speed)
    others = _for_ever(part.other) if part.other else None
    count, last = round(part.played * FRAMES_PER_SECOND), None
    for picture in islice(shown, count):
        other = next(others) if others else picture
        last = _edited(picture, part, other).resize(size)
        count -= 1
        yield last
    if last is None:
        raise FootageError(f"{part.path} has no picture at {part.start} s")
    yield from [last] * count


def _edited(picture: Image.Image, part: Part, other: Image.Image) -> Image.Image:
    if part.harder:
        return _hard_edited()(picture, part.edits, part.seed, other)
    for name in part.edits:
        picture = EDITS[name][0](picture, Random(part.seed), other)
        picture.thumbnail((480, 480))
    return picture


@cache
def _hard_edited() -> Callable[[Image.Image, tuple[str, ...], int, Image.Image], Image.Image]:
    import torch

    from models.training.edits.one_picture import hard_edited

    torch.set_num_threads(1)  # a process a core makes the videos
    return hard_edited


def _for_ever(path: Path) -> Iterator[Image.Image]:
    while True:
        yield from read_frames(path, 0.0, seconds_of(path))


def write_set(
    clips: Path,
    out: Path,
    counts: tuple[int, int],
    seed: int,
    scenes: list[set[str]],
    *,
    short: bool = False,
) -> None:
    """Make the videos and write `pairs.csv`, `labels.json`, `edits.json`.

    A run that was stopped goes on where it was.

    Args:
        clips: a folder of mp4 files.
        out: the folder to make.
        counts: references, unless they are short, and queries.
        seed: the same one gives the same set.
        scenes: as `one_of_each_scene` takes them.
        short: a reference of each clip, and one short span a query.
    """
    random = Random(seed)
    files = one_of_each_scene(sorted(clips.glob("*.mp4")), scenes)
    random.shuffle(files)
    cut = round(REFERENCE_SHARE * len(files))
    known = references(files[:cut], cut if short else counts[0], random)
    asked = [
        query(f"q{number:03d}", out, known, files[cut:], random, short=short)
        for number in range(counts[1])
    ]
    with _processes() as pool:
        for folder, videos in (("references", known), ("queries", asked)):
            _make_all(videos, out / folder, pool)
    _write_labels(out, known, asked, random)


def write_harder_set(source: Path, out: Path, count: int, seed: int) -> None:
    """Make a harder exam of a copy set: its references, and new queries.

    A run that was stopped goes on where it was.

    Args:
        source: a folder as `read_copy_set` reads it.
        out: the folder to make.
        count: queries.
        seed: the same one gives the same set.

    Raises:
        SettingsError: the copy set is incomplete.
    """
    random, copies = Random(seed), read_copy_set(source)
    copying = {pair.split("-")[0] for pair in copies.labels}
    rest = [path for name, path in copies.queries.items() if name not in copying]
    known = [
        Video(name, SIZES[0], QUALITIES[0], [Part(path, 0.0, seconds_of(path))])
        for name, path in copies.references.items()
    ]
    (out / "references").mkdir(parents=True, exist_ok=True)
    for path in copies.references.values():
        shutil.copy(path, out / "references" / path.name)
    asked = [
        query(f"h{number:03d}", out, known, rest, random, harder=True) for number in range(count)
    ]
    with _processes() as pool:
        _make_all(asked, out / "queries", pool)
    _write_labels(out, known, asked, random)


def _processes() -> Executor:
    """One a core."""
    # Not forked: a caller with many threads leaves its children locks that nobody holds.
    return ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn"))


def _make_all(videos: list[Video], folder: Path, pool: Executor) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{video.name}.mp4" for video in videos]
    for _ in track(pool.map(make, videos, paths), folder.name, total=len(videos)):
        pass


def _write_labels(out: Path, known: list[Video], asked: list[Video], random: Random) -> None:
    labels = {
        f"{video.name}-{name}": boxes for video in asked for name, boxes in video.boxes.items()
    }
    pairs = [(video.name, name) for video in asked for name in video.boxes]
    others = [
        (video.name, one.name) for video in asked for one in known if one.name not in video.boxes
    ]
    pairs += random.sample(others, min(len(pairs), len(others)))
    with (out / "pairs.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("query_id", "reference_id"), *pairs])
    (out / "labels.json").write_text(json.dumps(labels))
    edits = {
        video.name: [
            {"reference": part.reference, "edits": part.edits, "speed": part.speed}
            for part in video.parts
            if part.reference
        ]
        for video in asked
    }
    (out / "edits.json").write_text(json.dumps(edits))


def main() -> None:
    """Read the arguments, make the set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--references", type=int, default=24)
    parser.add_argument("--queries", type=int, default=80)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--one-scene", type=Path, help="a line names the clips of one scene")
    parser.add_argument("--short", action="store_true", help="short references and spans")
    parser.add_argument("--harder", action="store_true", help="CLIPS is a copy set")
    arguments = parser.parse_args()
    if arguments.harder:
        write_harder_set(arguments.clips, arguments.out, arguments.queries, arguments.seed)
        return
    counts = (arguments.references, arguments.queries)
    lines = arguments.one_scene.read_text().splitlines() if arguments.one_scene else []
    scenes = [set(line.split()) for line in lines]
    write_set(arguments.clips, arguments.out, counts, arguments.seed, scenes, short=arguments.short)


if __name__ == "__main__":
    main()
