"""Whether the service gives the right answer on each video of a folder of hard cases.

    python -m benchmarks.copies.cases FOLDER [--clips FOLDER]

The folder holds videos from public problem reports (`FOLDER/KIND/FILE`, `expected.txt` in words);
most are made of clips that lie in `--clips`. Each goes through the fingerprint step and is looked
for among the clips, with the service's own settings. Ends with 1 when an answer isn't the right
one: other spans than these, spans of another video, or another code of rejection. Kinds that are no
video are held by the tests that the last lines name.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import av.logging
import typer
from rich.console import Console
from rich.table import Table

from models.all_aligners import make_aligner
from models.errors import ModelError
from stream.contract.events import VideoUploaded
from stream.errors import ErrorCode, RejectedError, SettingsError
from stream.fingerprint.fingerprinter import Fingerprinter
from stream.library.shard import LibraryShard
from stream.settings import Settings, load_settings

EDGE_SECONDS = 0.75  # either way, as in the tests of hard copies; set by hand
Span = tuple[float, float, float, float]
"""Seconds in the upload, then those in the reference."""


@dataclass(frozen=True)
class Case:
    """A file and what is right for it.

    Attributes:
        file: below the folder of cases.
        reference: the id of what it copies.
        ways: each of them lists the spans of a right answer; one without spans is no alert.
        code: of a rejection that is right too, or alone where there are no ways.
        in_pieces: spans may lie anywhere in the one that is named, if they cover it.
        edge_seconds: how far an edge may be off.
        duration_seconds: of the video, where that is the question.
        kept: later files are looked for in it.
    """

    file: str
    reference: str = ""
    ways: Sequence[Sequence[Span]] = ()
    code: ErrorCode | None = None
    in_pieces: bool = False
    edge_seconds: float = EDGE_SECONDS
    duration_seconds: float | None = None
    kept: bool = False

    @property
    def right(self) -> str:
        """In words."""
        return " or ".join([*map(_shown, self.ways), *([self.code] if self.code else [])])


@dataclass(frozen=True)
class Answer:
    """What the service says of a file.

    Attributes:
        spans: by the id of the reference, in the order of the upload.
        code: of its rejection.
        duration_seconds: of the video.
    """

    spans: dict[str, list[Span]]
    code: ErrorCode | None = None
    duration_seconds: float = 0.0

    @property
    def said(self) -> str:
        """In words."""
        if self.code is not None:
            return self.code
        alerts = [f"{name}: {_shown(spans)}" for name, spans in self.spans.items()]
        return "; ".join(alerts) or _shown([])


def _shown(spans: Sequence[Span]) -> str:
    return ", ".join(f"{a:.1f}-{b:.1f}<-{c:.1f}-{d:.1f}" for a, b, c, d in spans) or "no alert"


CLIPS = DOCUMENTARY, PANELS, ROOM = "2f3205e67e", "18c9bebc64", "48986bceb0"
CLEAR: Sequence[Sequence[Span]] = ((),)
FORWARD: Sequence[Sequence[Span]] = (((0, 12, 5, 17),), ((0, 6, 5, 11), (6, 12, 11, 17)))
SWAPPED: Sequence[Sequence[Span]] = (((0, 6, 11, 17), (6, 12, 5, 11)),)
LOOP: Sequence[Sequence[Span]] = (tuple((at, at + 5, 9.5, 14.5) for at in range(0, 20, 5)),)
# What is behind the hole is shown at three times its speed.
HOLE: Sequence[Sequence[Span]] = (((0, 6, 5, 11), (30_000, 30_002, 11, 17)),)


CASES = (
    Case("anim/a.webp", DOCUMENTARY, [[(0, 10, 5, 15)]], code="unsupported"),
    Case("loop/loop2s.mp4", PANELS, [[(0, 20, 9.5, 11.5)]], in_pieces=True),
    Case("loop/loop5s.mp4", PANELS, LOOP),
    Case("misc/drm.mp4", code="unsupported"),
    Case("slides/d1.mp4", ways=CLEAR, kept=True),
    Case("slides/c1.mp4", ways=CLEAR, kept=True),
    Case("slides/d2.mp4", ways=CLEAR),
    Case("slides/d3.mp4", ways=CLEAR),
    Case("slides/c2.mp4", ways=CLEAR),
    Case("speed/s2.mp4", PANELS, [[(0, 6, 4, 16)]]),
    Case("speed/s3.mp4", PANELS, [[(0, 4, 4, 16)]]),
    *(
        Case(f"startoff/late_video.{container}", DOCUMENTARY, [[(3, 15, 5, 17)]])
        for container in ("mp4", "mov", "mkv", "ts")
    ),
    Case("static/still10min.mp4", ROOM, [[(0, 600, 6, 6)], []], edge_seconds=5),
    *(
        Case(f"tscat/{name}.ts", DOCUMENTARY, FORWARD, duration_seconds=12)
        for name in ("cat", "gap20", "gap600")
    ),
    Case("tsjump/a.ts", DOCUMENTARY, [[(0, 6, 5, 11)]], duration_seconds=6),
    *(
        Case(f"tsjump/jump{jump}.ts", DOCUMENTARY, FORWARD, duration_seconds=12)
        for jump in (3600, 40000, 90000)
    ),
    *(
        Case(f"tsjump/back{jump}.ts", DOCUMENTARY, SWAPPED, duration_seconds=12)
        for jump in (3600, 90000)
    ),
    *(
        Case(f"tsjump/gap.{container}", DOCUMENTARY, HOLE, duration_seconds=30_002)
        for container in ("mkv", "flv")
    ),
    Case("uris/e\N{COMBINING ACUTE ACCENT}.mp4", DOCUMENTARY, [[(0, 5, 6, 11)]]),
    Case("uris/dir ü #1/clip.mp4", DOCUMENTARY, [[(0, 5, 6, 11)]]),
    Case("vfr/vfr.mp4", DOCUMENTARY, [[(0, 14.2, 5, 19.2)]], edge_seconds=0.5),
    Case("vfr/vfr.mkv", DOCUMENTARY, [[(0, 15, 5, 20)]], edge_seconds=0.5),
)
ELSEWHERE = {
    "kafka-codec": "tests/kafka/test_pills.py",
    "kafka-pills": "tests/kafka/test_pills.py",
    "presigned": "tests/stream/fetch/test_target.py",
    "shorts": "helper files",
}


def is_right(case: Case, answer: Answer) -> bool:
    """Whether an answer is one of those that are right for a case."""
    if answer.code is not None:
        return answer.code == case.code
    lasts = case.duration_seconds or answer.duration_seconds
    if abs(answer.duration_seconds - lasts) > case.edge_seconds:
        return False
    if answer.spans.keys() - {case.reference}:
        return False
    found = answer.spans.get(case.reference, [])
    alike = _covers if case.in_pieces else _alike
    return any(alike(way, found, case.edge_seconds) for way in case.ways)


def _alike(wanted: Sequence[Span], found: Sequence[Span], edge_seconds: float) -> bool:
    return len(wanted) == len(found) and all(
        abs(right - at) <= edge_seconds
        for spans in zip(wanted, found, strict=True)
        for right, at in zip(*spans, strict=True)
    )


def _covers(wanted: Sequence[Span], found: Sequence[Span], edge_seconds: float) -> bool:
    """Whether pieces, in order, leave nothing out of the one span and lie in it."""
    [(start, end, first, last)] = wanted
    ends = [start, *(piece[1] for piece in found)]
    starts = [*(piece[0] for piece in found), end]
    holes = [abs(at - before) for before, at in zip(ends, starts, strict=True)]
    beyond = [max(first - piece[2], piece[3] - last) for piece in found]
    return max(holes + beyond) <= edge_seconds


class Answering:
    """The service's own steps, and a library of what was kept."""

    def __init__(self, settings: Settings, fingerprinter: Fingerprinter) -> None:
        """The library is empty."""
        self._fingerprinter = fingerprinter
        self._shard = LibraryShard(settings.library, 0, make_aligner(settings.library.aligner))
        self._kept, self._offset = set[str](), 0

    def answer(self, video_id: str, path: Path, *, kept: bool = False) -> Answer:
        """What it says of a file, of what was kept before."""
        upload = VideoUploaded(video_id=video_id, uri=path.as_uri(), owner_id=video_id)
        try:
            video = self._fingerprinter.fingerprint(upload, video_id).fingerprint
        except RejectedError as error:
            return Answer({}, error.code)
        compared = self._shard.apply(video, self._offset)
        self._offset += 1
        spans = {
            match.reference_id: sorted(
                (
                    segment.video_start_seconds,
                    segment.video_end_seconds,
                    segment.reference_start_seconds,
                    segment.reference_end_seconds,
                )
                for segment in match.segments
            )
            for match in compared.matches
            if match.reference_id in self._kept
        }
        if kept:
            self._kept.add(video_id)
        return Answer(spans, duration_seconds=compared.duration_seconds or 0.0)


def answers_of(
    folder: Path, clips: Path, cases: Iterable[Case], settings: Settings
) -> Iterator[tuple[Case, Answer]]:
    """Each case with its answer, in order.

    Raises:
        SettingsError: a clip or a case isn't there, or a clip is refused.
    """
    roots = {"roots": [folder, clips]}
    settings = settings.model_copy(update={"fetch": settings.fetch.model_copy(update=roots)})
    with Fingerprinter(settings, embed=False) as fingerprinter:
        answering = Answering(settings, fingerprinter)
        for name in CLIPS:
            refused = answering.answer(name, _there(clips / f"{name}.mp4"), kept=True).code
            if refused is not None:
                raise SettingsError(f"{clips / name}.mp4 is refused: {refused}")
        for case in cases:
            yield case, answering.answer(case.file, _there(folder / case.file), kept=case.kept)


def _there(path: Path) -> Path:
    if not path.is_file():
        raise SettingsError(f"no {path}: name the folder of cases, and that of their clips")
    return path


def main(
    folder: Annotated[Path, typer.Argument(help="Of cases.")],
    clips: Annotated[Path | None, typer.Option(help="By default ../data/clips of it.")] = None,
) -> None:
    """Print right values beside answers; exit code 1 unless all are right."""
    av.logging.set_level(None)
    console, wrong = Console(), 0
    folder = folder.resolve()
    table = Table("case", "right", "answer", "")
    try:
        own = clips.resolve() if clips else folder.parent / "data" / "clips"
        for case, answer in answers_of(folder, own, CASES, load_settings()):
            right = is_right(case, answer)
            wrong += not right
            said = answer.said
            if case.duration_seconds is not None and not right:
                said += f" ({answer.duration_seconds:.2f} s)"
            table.add_row(case.file, case.right, said, "right" if right else "[red]WRONG[/]")
    except (ModelError, SettingsError) as error:
        console.print(f"error: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(2) from error
    console.print(table)
    console.print(f"{table.row_count - wrong} of {table.row_count} right")
    for kind in sorted({path.name for path in folder.iterdir() if path.is_dir()}):
        if not any(case.file.startswith(f"{kind}/") for case in CASES):
            console.print(f"{kind}: {ELSEWHERE.get(kind, 'not judged here')}")
    if wrong:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
