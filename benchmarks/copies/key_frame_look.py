"""What a first look at an upload by its key frames would miss, and how often chance stirs it.

    python -m benchmarks.copies.key_frame_look SET [--against SET]...

Key frames are chosen by thumbnails, before anything is encoded; they search as all frames do today,
and an upload that stirs would get the full look. Each line says how many of the pairs that are
found today stir, how many of their queries, and how many of those that copy nothing; and of all
queries how many stir for unrelated sets: for their references, and for all of their videos.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.copies.first_look import best_similarity
from benchmarks.copies.frame_choices import Choice, fingerprint_of
from benchmarks.copies.rows import KeyFrames, key_frames_of
from benchmarks.copies.set_frames import SetFrames, VideoFrames, read_set_frames
from benchmarks.library.set_search import Choose, align_set, search_set
from models.all_aligners import make_aligner
from models.keyframes import make_selector
from stream.contract.fingerprint import CodedFrames
from stream.contract.packed import CODE_SCALE
from stream.errors import SettingsError
from stream.evaluate.copy_set import pair_name
from stream.library.settings import LibrarySettings
from stream.settings import load_settings

THRESHOLDS = {"candidate": (1.0,), "box": (0.02, 0.3), "cosine": (0.45, 0.5, 0.6)}


def choices_of(key_frames: KeyFrames) -> dict[str, Choose]:
    """By name, today's first. What is stored is the same for all."""
    plain, today = (key_frames.sampling(parts=parts).choose for parts in (False, True))
    selector = make_selector(key_frames.settings)

    def alone(video: VideoFrames) -> Choice:
        choice = plain(video)
        key = selector.select(video.candidates(choice.searching))
        codes, biases = choice.searching_codes[key], choice.searching_biases[key]
        searching = choice.searching[key]
        return replace(choice, searching=searching, searching_codes=codes, searching_biases=biases)

    def with_parts(video: VideoFrames) -> Choice:
        choice, parts = alone(video), today(video).parts
        if parts is None:
            return choice
        own = np.isin(parts.seconds, video.seconds[choice.searching])
        parts = CodedFrames(parts.seconds[own], parts.codes[own], parts.bias_codes[own])
        return replace(choice, parts=parts)

    return {"all frames, parts": today, "key frames": alone, "key frames, parts": with_parts}


def look(
    frames: SetFrames, choose: Choose, library: LibrarySettings
) -> dict[str, dict[str, float]]:
    """By measure and pair: 1 for a candidate, the surest box, the best cosine of codes."""
    searched = search_set(frames, choose, library)
    boxes, cosines = dict[str, float](), dict[str, float]()
    for one in align_set(searched, make_aligner(library.aligner), known_only=True).boxes:
        boxes[one.pair] = max(boxes.get(one.pair, 0.0), one.score)
    references = {v.video_id: choose(v) for v in frames.videos if v.role == "reference"}
    for video in queries_of(frames):
        query = fingerprint_of(video, choose(video), frames.model_version).query_frames
        rows = query.whole / np.linalg.norm(query.whole, axis=1, keepdims=True)
        biases = (query.bias_codes / CODE_SCALE).astype(np.float32)
        for name, stored in references.items():
            cosines[pair_name(video.video_id, name)] = best_similarity(rows, biases, stored)
    candidates = {one.pair: 1.0 for one in searched.candidates if one.known}
    return {"candidate": candidates, "box": boxes, "cosine": cosines}


def queries_of(frames: SetFrames) -> list[VideoFrames]:
    """The videos that search."""
    return [video for video in frames.videos if video.role != "reference"]


def against(frames: SetFrames, others: list[VideoFrames]) -> SetFrames:
    """The queries, with other videos as references; one that is in two sets counts once."""
    once = {video.descriptors.tobytes(): video for video in others}.values()
    known = [replace(v, video_id=f"other{n}", role="reference") for n, v in enumerate(once)]
    return replace(frames, videos=known + queries_of(frames))


def encoded_per_hour(videos: list[VideoFrames], choose: Choose) -> float:
    """Frames and parts that the encoder sees."""
    choices = [choose(video) for video in videos]
    encoded = sum(len(one.searching) + len(one.parts or ()) for one in choices)
    return 3600 * encoded / sum(video.duration_seconds for video in videos)


def query_ids(pairs: set[str]) -> set[str]:
    """Of the queries of pairs."""
    return {pair.split("-")[0] for pair in pairs}


def table_of(
    frames: SetFrames, others: list[VideoFrames], key_frames: KeyFrames, library: LibrarySettings
) -> Table:
    """A line for each look and threshold; `others` are videos of unrelated sets."""
    known, queries = [v for v in others if v.role == "reference"], queries_of(frames)
    unrelated = [against(frames, some) for some in (known, others) if some]
    labelled = {pair for pair, boxes in frames.copies.labels.items() if len(boxes)}
    ids = {video.video_id for video in queries}
    clear = ids - query_ids(labelled)
    table = Table("look", "an hour", "stirs at", "found pairs", "their queries", "clear queries")
    for one in unrelated:
        table.add_column(f"all, {len(one.videos) - len(queries)} videos")
    found = set[str]()
    for name, choose in choices_of(key_frames).items():
        seen = [look(one, choose, library) for one in (frames, *unrelated)]
        encoded = f"{encoded_per_hour(queries, choose):.0f}"
        # Today's look comes first and says which pairs are found.
        found = found or {p for p in labelled if seen[0]["box"].get(p, 0.0) >= library.min_score}
        for measure, threshold in ((m, t) for m, steps in THRESHOLDS.items() for t in steps):
            own, *chance = ({p for p, v in one[measure].items() if v >= threshold} for one in seen)
            counted = [(own, found), (query_ids(own), query_ids(found)), (query_ids(own), clear)]
            counted += [(query_ids(pairs), ids) for pairs in chance]
            shares = [f"{len(some & of) / len(of):.1%}" for some, of in counted]
            table.add_row(name, encoded, f"{measure} {threshold:g}", *shares)
    table.caption = f"{len(found)} pairs of {len(query_ids(found))} queries, {len(clear)} clear"
    return table


def main(
    dataset: Annotated[Path, typer.Argument(help="references/, queries/, pairs.csv, labels.json")],
    unrelated: Annotated[list[Path] | None, typer.Option("--against", help="Another set.")] = None,
    kept: Annotated[Path, typer.Option(help="Frames of earlier runs.")] = Path("runs/frames"),
) -> None:
    """Print who stirs by key frames, and what that encodes."""
    console, settings = Console(), load_settings()
    try:
        sets = [read_set_frames(s, settings, kept, console) for s in (dataset, *(unrelated or []))]
    except SettingsError as error:
        console.print(f"error: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(2) from error
    others = [video for one in sets[1:] for video in one.videos]
    key_frames = key_frames_of(sets[0], settings.key_frames)
    console.print(table_of(sets[0], others, key_frames, settings.library))


if __name__ == "__main__":
    typer.run(main)
