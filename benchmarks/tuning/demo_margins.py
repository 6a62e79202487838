"""How far the demo's clips are from a wrong answer: the score of every pair, in both orders.

Each of the demo's videos is fingerprinted as the service does it, looked for in a library of all
the others, and every segment is kept, however unsure. So each pair is seen in both orders of
arrival. The same with all clips encoded again, a little better, a little worse and by another
number of threads, which stands for another machine's codec. The exit code is 1 when a pair
is nearer to the service's threshold than it may be.

    python -m benchmarks.tuning.demo_margins [--json FILE]
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from models.aligners.base import Aligner
from models.all_aligners import make_aligner
from stream.contract.events import Match, VideoUploaded
from stream.contract.fingerprint import Fingerprint
from stream.demo.clips import make_demo_videos
from stream.demo.demo_set import DemoSet, Pair
from stream.demo.footage import FRAMES_PER_SECOND, read_frames, seconds_of, write_video
from stream.demo.report import covers
from stream.errors import RejectedError
from stream.fingerprint.fingerprinter import Fingerprinter
from stream.library.settings import LibrarySettings
from stream.library.shard import LibraryShard
from stream.settings import Settings, load_settings

# A demo may show no wrong answer and miss no copy on any machine: scores of pairs that copy nothing
# must stay below the first, those of copies above the second, either side of `library.min_score`.
# Set by hand.
MAX_FALSE = 0.4
MIN_TRUE = 0.8  # as above
SHOWN_FALSE = 10  # of the pairs with the highest wrong scores
# The same drawings as another encoder, or another number of its threads, writes them: no machine
# writes exactly the same file.
ENCODINGS: dict[str, dict[str, int]] = {
    "as drawn": {},
    "again, better": {"quality": 24, "threads": 1},
    "again, worse": {"quality": 26, "threads": 2},
}


@dataclass(frozen=True)
class Answer:
    """What one video finds in another that was there before it.

    Attributes:
        score: of the best segment; 0 when there is none.
        covers: whether the truly copied spans are among the segments that the service keeps.
    """

    score: float
    covers: bool


Answers = dict[Pair, Answer]


def answers_of(demo: DemoSet, events: list[Fingerprint], library: LibrarySettings) -> Answers:
    """Every ordered pair, (later, earlier)."""
    aligner = make_aligner(library.aligner)
    found: Answers = {}
    for event in track(events, "comparing", transient=True):
        matches = {match.reference_id: match for match in _matches(event, events, library, aligner)}
        for other in events:
            if other is not event:
                pair = (event.video_id, other.video_id)
                match = matches.get(other.video_id)
                found[pair] = _answer(demo, pair, match, library.min_score)
    return found


def _matches(
    event: Fingerprint,
    events: Iterable[Fingerprint],
    library: LibrarySettings,
    aligner: Aligner,
) -> list[Match]:
    """What a video finds in a library of all the others, unsure finds included."""
    unsure = library.model_copy(update={"shards": 1, "min_score": 0.0})
    shard = LibraryShard(unsure, 0, aligner)
    offset = 0
    for offset, other in enumerate(events):
        if other is not event:
            shard.absorb(other, offset)
    return shard.apply(event, offset + 1).matches


def _answer(demo: DemoSet, pair: Pair, match: Match | None, min_score: float) -> Answer:
    if match is None:
        return Answer(0.0, covers=False)
    kept = [segment for segment in match.segments if segment.score >= min_score]
    truth = demo.truth.get(pair)
    if truth is None:
        turned = demo.truth.get((pair[1], pair[0]), [])
        truth = [
            span.model_copy(
                update={
                    "video_start_seconds": span.reference_start_seconds,
                    "video_end_seconds": span.reference_end_seconds,
                    "reference_start_seconds": span.video_start_seconds,
                    "reference_end_seconds": span.video_end_seconds,
                }
            )
            for span in turned
        ]
    return Answer(match.score, covers=all(covers(kept, span) for span in truth))


def fingerprints(
    fingerprinter: Fingerprinter, demo: DemoSet, paths: Iterable[Path]
) -> Iterator[Fingerprint]:
    """Of every video that isn't broken, in the demo's order."""
    for path in paths:
        role = "reference" if path.parent.name == "references" else "upload"
        upload = VideoUploaded(
            video_id=path.stem, uri=path.as_uri(), owner_id=f"owner-of-{path.stem}", role=role
        )
        try:
            yield fingerprinter.fingerprint(upload, "margins").fingerprint
        except RejectedError:
            if path.stem not in demo.broken:
                raise


def encoded(demo: DemoSet, folder: Path, encoding: dict[str, int]) -> list[Path]:
    """The demo's videos, encoded again unless nothing is asked for."""
    paths = [path for wave in demo.waves() for path in wave]
    if not encoding:
        return paths
    again = []
    for path in track(paths, "encoding", transient=True):
        if path.stem not in demo.broken:
            target = folder / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            whole = read_frames(path, 0.0, seconds_of(path) + 1 / FRAMES_PER_SECOND)
            write_video(target, whole, **encoding)
            again.append(target)
    return again


def measure(settings: Settings, folder: Path) -> tuple[DemoSet, dict[str, Answers]]:
    """Draw the clips, and compare them in each encoding."""
    demo = make_demo_videos(folder / "made", lambda done, total: None)
    settings = settings.model_copy(
        update={"fetch": settings.fetch.model_copy(update={"roots": (folder.resolve(),)})}
    )
    answers = {}
    with Fingerprinter(settings, embed=False) as fingerprinter:
        for number, (name, encoding) in enumerate(ENCODINGS.items()):
            paths = encoded(demo, folder / str(number), encoding)
            events = list(
                track(
                    fingerprints(fingerprinter, demo, paths),
                    "fingerprinting",
                    total=len(paths),
                    transient=True,
                )
            )
            answers[name] = answers_of(demo, events, settings.library)
    return demo, answers


def is_true(demo: DemoSet, pair: Pair) -> bool:
    """Whether the one copies the other."""
    return pair in demo.truth or (pair[1], pair[0]) in demo.truth


def table(demo: DemoSet, answers: dict[str, Answers]) -> Table:
    """True pairs, then the false ones that score highest; a column for each encoding."""
    shown = Table(title="Score of the best segment")
    for heading in ("later", "earlier", "truth"):
        shown.add_column(heading)
    for name in answers:
        shown.add_column(name, justify="right")
    pairs = list(next(iter(answers.values())))
    worst = {pair: max(found[pair].score for found in answers.values()) for pair in pairs}
    true = [pair for pair in pairs if is_true(demo, pair)]
    false = sorted((pair for pair in pairs if pair not in true), key=lambda pair: -worst[pair])
    for pair in sorted(true, key=lambda pair: min(f[pair].score for f in answers.values())):
        cells = (_cell(found[pair], partly=not found[pair].covers) for found in answers.values())
        shown.add_row(*pair, "copied", *cells)
    shown.add_section()
    for pair in false[:SHOWN_FALSE]:
        shown.add_row(*pair, "", *(_cell(found[pair]) for found in answers.values()))
    return shown


def _cell(answer: Answer, *, partly: bool = False) -> str:
    return f"{answer.score:.3f}{' in part' if partly else ''}"


def problems_of(demo: DemoSet, answers: dict[str, Answers]) -> list[str]:
    """Which pairs are too near to a wrong answer."""
    problems = []
    for name, found in answers.items():
        for pair, answer in found.items():
            what = f"{pair[0]} in {pair[1]}, {name}: {answer.score:.3f}"
            if is_true(demo, pair):
                if answer.score < MIN_TRUE:
                    problems.append(f"{what}, a copy that is too unsure")
                elif not answer.covers:
                    problems.append(f"{what}, a copy that is found in part")
            elif answer.score > MAX_FALSE:
                problems.append(f"{what}, no copy")
    return problems


def main(
    json: Annotated[Path | None, typer.Option(help="Write all scores here.")] = None,
) -> None:
    """Print the table; exit with 1 when a margin is too small."""
    console = Console(width=140)
    with TemporaryDirectory(prefix="samesource-margins-") as folder:
        demo, answers = measure(load_settings(None), Path(folder))
    console.print(table(demo, answers))
    scores = [(is_true(demo, p), a.score) for f in answers.values() for p, a in f.items()]
    lowest = min(score for true, score in scores if true)
    highest = max(score for true, score in scores if not true)
    console.print(
        f"{len(scores)} pairs in order: copies score {lowest:.3f} or more, others {highest:.3f} "
        f"or less; the service keeps {load_settings(None).library.min_score}"
    )
    if json is not None:
        rows = [
            {"encoding": name, "later": a, "earlier": b, "score": answer.score,
             "copied": is_true(demo, (a, b)), "covers": answer.covers}
            for name, found in answers.items()
            for (a, b), answer in found.items()
        ]  # fmt: skip
        json.write_bytes(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
    problems = problems_of(demo, answers)
    for problem in problems:
        console.print(f"✗ {problem}", highlight=False)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    typer.run(main)
