"""How many mirrored spans of labelled sets are found to be, and how many others are taken for such.

    python -m benchmarks.copies.mirrored_spans SET…

Each set is one of `made_copies`, or has the same `edits.json`. The spans are those of the labels,
and what is looked at is what the console looks at. Spans beside a span of another reference copy
nothing: of those nothing should be known.
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from stream.contract.events import MatchedSegment
from stream.decode.mirrored import mirrored_spans
from stream.decode.settings import DecodeSettings
from stream.evaluate.copy_set import CopySet, pair_name, read_copy_set

MIRRORED = {"flip", "hflip"}
UNRELATED = "copies nothing"
SAID = {True: "mirrored", False: "not mirrored", None: "not known"}


@dataclass(frozen=True)
class Span:
    """A labelled span.

    Attributes:
        kind: what it is in truth.
    """

    query_id: str
    reference_id: str
    times: tuple[float, float, float, float]
    kind: str

    def segment(self) -> MatchedSegment:
        """As an alert has it."""
        start, reference_start, end, reference_end = self.times
        return MatchedSegment(
            video_start_seconds=start,
            video_end_seconds=end,
            reference_start_seconds=reference_start,
            reference_end_seconds=reference_end,
            score=1.0,
        )


def spans_of(folder: Path, copies: CopySet) -> Iterator[Span]:
    """The spans of a set, with what was done to them."""
    for query_id, edited in orjson.loads((folder / "edits.json").read_bytes()).items():
        seen = Counter[str]()
        for each in edited:
            reference_id = each["reference"]
            boxes = copies.labels[pair_name(query_id, reference_id)]
            times = each.get("times", boxes[seen[reference_id]])
            seen[reference_id] += 1
            kind = SAID[bool(MIRRORED & set(each["edits"]))]
            start, reference_start, end, reference_end = map(float, times)
            yield Span(query_id, reference_id, (start, reference_start, end, reference_end), kind)


def beside_others(spans: list[Span]) -> Iterator[Span]:
    """The copied seconds of every other span beside the next other reference's."""
    for place, each in list(enumerate(spans))[::2]:
        later = (spans[place:] + spans[:place])[1:]
        other = next((one for one in later if one.reference_id != each.reference_id), None)
        if other is not None:
            times = (each.times[0], other.times[1], each.times[2], other.times[3])
            yield Span(each.query_id, other.reference_id, times, UNRELATED)


def main(
    sets: Annotated[list[Path], typer.Argument(help="Labelled sets with edits.json.")],
    json: Annotated[Path | None, typer.Option(help="Write the counts here.")] = None,
) -> None:
    """Print what is said of the spans of each set."""
    console, settings = Console(), DecodeSettings()
    rows: list[dict[str, object]] = []
    for folder in sets:
        copies = read_copy_set(folder)
        spans = list(spans_of(folder, copies))
        spans += beside_others(spans)
        said, began = Counter[tuple[str, bool | None]](), time.process_time()
        for each in track(spans, folder.name, console=console, transient=True):
            query, reference = copies.queries[each.query_id], copies.references[each.reference_id]
            (found,) = mirrored_spans(query, reference, [each.segment()], settings)
            said[each.kind, found] += 1
        seconds = (time.process_time() - began) / len(spans)
        for kind in (SAID[True], SAID[False], UNRELATED):
            counts = {SAID[found]: said[kind, found] for found in SAID}
            rows.append({"set": folder.name, "spans": kind, **counts, "cpu_seconds": seconds})
    table = Table("set", "spans that are", *SAID.values(), "CPU s a span")
    for row in rows:
        *named, each_seconds = row.values()
        table.add_row(*map(str, named), f"{each_seconds:.2f}")
    console.print(table)
    if json is not None:
        json.write_bytes(orjson.dumps(rows, option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    typer.run(main)
