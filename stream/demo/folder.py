"""Reads a folder of somebody's videos for the demo, and edits copies so that there is a match."""

import csv
from collections import Counter
from pathlib import Path

import orjson

from stream.contract.events import MatchedSegment
from stream.demo.clips import Progress
from stream.demo.demo_set import DemoSet, Pair, span
from stream.demo.edits import EDITS
from stream.demo.footage import (
    FRAMES_PER_SECOND,
    FootageError,
    read_frames,
    seconds_of,
    write_video,
)
from stream.errors import SettingsError

ENDINGS = frozenset(
    {".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov"}
    | {".mp4", ".mpeg", ".mpg", ".mts", ".webm", ".wmv"}
)
MAX_COPIES = 5  # that are made of a user's videos: each edit once
MAX_SECONDS = 30.0  # of a copy, so that an hour of film doesn't keep the demo waiting
MIN_SECONDS = 4.0  # of an original: three fifths of a shorter one are too little to be found
COPY_EDITS = ("crop", "subtitle", "flip", "border", "grey")


def open_folder(folder: Path, scratch: Path, progress: Progress) -> DemoSet:
    """Find what to submit in a folder.

    With `references/` and `queries/` in it these are used as they are, and held against
    `labels.json` and `pairs.csv` where those exist. Otherwise all videos below the folder are
    uploads, and edited copies of a few of them are made.

    Args:
        folder: somebody's videos; nothing is written to it.
        scratch: where the edited copies go.
        progress: told how many copies are made.

    Raises:
        SettingsError: no such folder, it can't be read, or there is no video in it.
    """
    if not folder.is_dir():
        problem = "is a file" if folder.exists() else "doesn't exist"
        raise SettingsError(
            f"{folder} {problem}: name a folder with videos, or none for made clips"
        )
    if (folder / "references").is_dir() and (folder / "queries").is_dir():
        return _copy_set(folder)
    return _any_folder(folder, scratch, progress)


def videos_in(folder: Path) -> list[Path]:
    """All files below the folder that are named like videos, in order of their paths.

    Raises:
        SettingsError: the folder can't be read, or there is none.
    """
    try:
        found = sorted(
            path
            for path in folder.absolute().rglob("*")
            if path.suffix.lower() in ENDINGS and path.is_file()
        )
    except OSError as error:
        raise SettingsError(f"can't read {folder}: {error}") from error
    if not found:
        endings = " ".join(sorted(ENDINGS))
        raise SettingsError(f"no video in {folder}; looked for files ending in {endings}")
    return found


def _copy_set(folder: Path) -> DemoSet:
    references, queries = videos_in(folder / "references"), videos_in(folder / "queries")
    truth, judged = _labels(folder / "labels.json"), set(_pairs(folder / "pairs.csv"))
    return DemoSet(
        references=references,
        uploads=queries,
        truth=truth,
        judged=frozenset(judged | truth.keys()),
        ids=_unique_ids(folder, [*references, *queries]),
    )


def _labels(path: Path) -> dict[Pair, list[MatchedSegment]]:
    """`{"query-reference": [[query_start, reference_start, query_end, reference_end], …]}`."""
    if not path.is_file():
        return {}
    try:
        truth = {}
        for name, boxes in orjson.loads(path.read_bytes()).items():
            query, reference = name.rsplit("-", 1)
            truth[query, reference] = [span(box[0], box[2], box[1], box[3]) for box in boxes]
        return truth
    except (ValueError, AttributeError, IndexError, TypeError) as error:
        raise SettingsError(
            f'{path}: {error}; expected {{"query-reference": '
            "[[query_start, reference_start, query_end, reference_end], …]}"
        ) from error


def _pairs(path: Path) -> list[Pair]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        try:
            return [(row["query_id"], row["reference_id"]) for row in csv.DictReader(file)]
        except KeyError as error:
            raise SettingsError(
                f"{path} has no column {error}; expected query_id,reference_id"
            ) from error


def _any_folder(folder: Path, scratch: Path, progress: Progress) -> DemoSet:
    uploads = videos_in(folder)
    ids = _unique_ids(folder, uploads)
    copied: list[Path] = []
    truth: dict[Pair, list[MatchedSegment]] = {}
    for path in uploads:
        if len(copied) == min(MAX_COPIES, len(uploads)):
            break
        edit = COPY_EDITS[len(copied) % len(COPY_EDITS)]
        target = scratch / f"copy{len(copied) + 1}-{edit}.mp4"
        copied_span = _edited_copy(path, target, edit)
        if copied_span is not None:
            copied.append(target)
            truth[target.stem, ids.get(path, path.stem)] = [copied_span]
            progress(len(copied), min(MAX_COPIES, len(uploads)))
    return DemoSet(
        references=[],
        uploads=uploads,
        copies=copied,
        truth=truth,
        judged=frozenset(truth),
        ids=ids,
    )


def _edited_copy(source: Path, target: Path, edit: str) -> MatchedSegment | None:
    """Copy the middle of a video with one edit; None where it is too short or not readable."""
    try:
        length = seconds_of(source)
        if length < MIN_SECONDS:
            return None
        kept = min(MAX_SECONDS, 0.6 * length)
        start = (length - kept) / 2
        pictures = read_frames(source, start, start + kept)
        # All before the file is made: of a video that can't be read nothing is left behind.
        edited = [
            EDITS[edit](picture, number / FRAMES_PER_SECOND)
            for number, picture in enumerate(pictures)
        ]
        if not edited:
            return None
        write_video(target, edited)
        return span(0.0, len(edited) / FRAMES_PER_SECOND, start, start + kept)
    except FootageError:
        return None  # the service itself will say why, when the original is submitted


def _unique_ids(folder: Path, paths: list[Path]) -> dict[Path, str]:
    """Ids for files that share a stem: their path below the folder."""
    stems = Counter(path.stem for path in paths)
    root = folder.absolute()
    return {path: path.relative_to(root).as_posix() for path in paths if stems[path.stem] > 1}
