"""A labelled set of copies on disk: `references/`, `queries/`, `pairs.csv`, `labels.json`.

Serves `evaluate`. Every mistake in the set is found before the first video is decoded.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import orjson

from models.metrics import Boxes, as_boxes
from stream.errors import SettingsError

PAIR_COLUMNS = ["query_id", "reference_id"]


@dataclass(frozen=True)
class CopySet:
    """Videos, the pairs that count, and the labelled copies.

    Attributes:
        references: path by video id, in order of the id; the id is the file's stem.
        queries: as `references`.
        pairs: (query id, reference id), as listed in `pairs.csv`.
        labels: boxes by `query-reference`; a pair that is missing holds no copy.
    """

    references: dict[str, Path]
    queries: dict[str, Path]
    pairs: list[tuple[str, str]]
    labels: dict[str, Boxes]


def pair_name(query_id: str, reference_id: str) -> str:
    """The key of a pair in `labels.json`."""
    return f"{query_id}-{reference_id}"


def read_copy_set(folder: Path) -> CopySet:
    """Read the layout of a labelled set.

    Raises:
        SettingsError: a folder or file is missing or malformed, or a pair or label names a video
            that isn't there; the text names it.
    """
    references, queries = _videos(folder / "references"), _videos(folder / "queries")
    twice = sorted(references.keys() & queries.keys())
    if twice:
        raise SettingsError(
            f"{folder}: {twice[0]!r} is a query and a reference; expected ids of their own: "
            "rename one"
        )
    pairs = _pairs(folder / "pairs.csv")
    labels = _labels(folder / "labels.json")
    for query_id, reference_id in pairs:
        _known(query_id, queries, folder / "queries")
        _known(reference_id, references, folder / "references")
    strangers = labels.keys() - {pair_name(q, r) for q in queries for r in references}
    if strangers:
        raise SettingsError(
            f"{folder / 'labels.json'}: {min(strangers)!r} is no query-reference of this set: "
            "expected file stems joined by a hyphen"
        )
    return CopySet(references, queries, pairs, labels)


def _videos(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise SettingsError(
            f"no folder {folder}: name a set with references/, queries/, pairs.csv and labels.json"
        )
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=lambda path: path.stem):
        # File managers leave such files, .DS_Store for one, and they are no videos.
        if path.name.startswith(".") or not path.is_file():
            continue
        if path.stem in found:
            raise SettingsError(
                f"{path} and {found[path.stem]} share the id {path.stem!r}: rename one"
            )
        found[path.stem] = path
    if not found:
        raise SettingsError(f"{folder} holds no video: expected at least one")
    return found


def _pairs(path: Path) -> list[tuple[str, str]]:
    try:
        # Spreadsheets begin a CSV with a byte order mark, which would join the first column's name.
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames is None or not set(PAIR_COLUMNS) <= set(reader.fieldnames):
                raise SettingsError(
                    f"{path}: columns {reader.fieldnames}, expected {','.join(PAIR_COLUMNS)}"
                )
            rows = [(row["query_id"], row["reference_id"]) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(f"{path} can't be read: {error}") from error
    if not rows:
        raise SettingsError(f"{path} lists no pair: expected at least one")
    for number, row in enumerate(rows):
        if row in rows[:number]:
            raise SettingsError(f"{path}: the pair {pair_name(*row)} is listed twice: remove one")
    return rows


def _labels(path: Path) -> dict[str, Boxes]:
    try:
        fields = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise SettingsError(f"{path} can't be read: {error}") from error
    if not isinstance(fields, dict):
        raise SettingsError(
            f"{path} holds a {type(fields).__name__}, expected an object of boxes by pair"
        )
    labels = {}
    for pair, boxes in fields.items():
        try:
            labels[pair] = as_boxes(boxes)
        except (ValueError, TypeError) as error:
            raise SettingsError(f"{path}: {pair}: {error}") from error
        if (labels[pair] < 0).any():
            raise SettingsError(f"{path}: {pair}: {boxes!r}: a box starts before 0 seconds")
    return {pair: boxes for pair, boxes in labels.items() if len(boxes)}


def _known(video_id: str, videos: dict[str, Path], folder: Path) -> None:
    if video_id not in videos:
        raise SettingsError(f"pairs.csv names {video_id!r}, but {folder} has no file of that stem")
