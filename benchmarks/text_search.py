"""How long a question in words takes over 10 thousand, 1 million and 10 million videos.

    python -m benchmarks.text_search [--data DATA] [--sizes N]... [--moments M] [--queries N]
        [--json FILE]

Through the code that serves: text tower, `text_query` and `SearchView.search`, one question after
another in one process, each asked once. A view is made in one process and restored from its
snapshot in a fresh one. Its vectors are drawn around the vectors of DATA's validation photos and
DATA's captions are asked; without data both are made (`benchmarks/text/view.py` and
`benchmarks/text/questions.py`). 10 million vectors of 256 dimensions take some 5 GB of
memory to make and 4.5 GB of disk.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

import numpy as np
import orjson
import psutil
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.copies.tables import machine
from benchmarks.library.build import NEAREST
from benchmarks.text.questions import LANGUAGES, Question, questions
from benchmarks.text.view import (
    Built,
    build,
    centres,
    number_of,
    snapshots,
)
from models.errors import ModelError
from models.text_video.serve import TextEncoder
from stream.fingerprint.embed import no_pair, open_text_encoder
from stream.fingerprint.settings import TextVideoSettings
from stream.search.query import text_query
from stream.search.settings import SearchSettings
from stream.search.view import Hit, SearchView
from stream.settings import Settings, load_settings

# Videos: below `exact_rows`, and two sizes at which lists are used.
SIZES = (10_000, 1_000_000, 10_000_000)
WARM_UP = 20  # questions that aren't counted
RECALL_QUESTIONS = 200
K = NEAREST
LATENCIES = {
    "whole_ms": "text to hits",
    "encode_ms": "text to vector",
    "encode_en_ms": "text to vector, English",
    "encode_zh_ms": "text to vector, Chinese",
    "search_ms": "vector to hits",
}
NUMBERS = {
    "recall_at_10": ("recall@10", 3),
    "resident_bytes": ("bytes a video, resident", 0),
    "anonymous_bytes": ("bytes a video, not mapped", 0),
    "disk_bytes": ("bytes a video, disk", 0),
    "build_seconds": ("lists made, s", 1),
    "snapshot_seconds": ("snapshot written, s", 1),
    "restore_seconds": ("snapshot restored, s", 1),
}  # title and digits

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Figures:
    """One size. Latencies are milliseconds, `p50` and `p99`.

    Attributes:
        videos: in the view.
        index: `exact`, or how many lists.
        whole_ms: from the text to the hits.
        encode_ms: from the text to its vector, both languages.
        encode_en_ms, encode_zh_ms: of one language.
        search_ms: from the vector to the hits.
        recall_at_10: share of the ten nearest of an exact search of the stored vectors that are
            found.
        resident_bytes: of a video, all of the process less what it had before the view; of
            these `anonymous_bytes` can't be dropped by the kernel, the rest is mapped from disk.
        disk_bytes: of a video, in a snapshot.
        build_seconds: training and filling lists, one thread.
        snapshot_seconds, restore_seconds: to write one and to load it, checksums included.
    """

    videos: int
    index: str
    whole_ms: dict[str, float]
    encode_ms: dict[str, float]
    encode_en_ms: dict[str, float]
    encode_zh_ms: dict[str, float]
    search_ms: dict[str, float]
    recall_at_10: float
    resident_bytes: float
    anonymous_bytes: float
    disk_bytes: float
    build_seconds: float
    snapshot_seconds: float
    restore_seconds: float


@dataclass(frozen=True)
class Answered:
    """A question's answer, and the seconds that it took."""

    question: Question
    encode_seconds: float
    search_seconds: float
    hits: list[Hit]


def measure(
    settings: Settings, sizes: Sequence[int], count: int, data: Path | None, moments: int = 0
) -> dict[str, Any]:
    """Ask views of several sizes.

    Args:
        settings: name the text–video pair and how the view searches.
        sizes: numbers of videos.
        count: of questions that are measured.
        data: photos and captions; made ones without.
        moments: of each video.

    Returns:
        The report as JSON.
    """
    encoder = open_text_encoder(settings.text_video)
    asked = questions(WARM_UP + count, data)
    vectors = np.concatenate([encoder.embed([question.text]) for question in asked])
    alike = centres(settings.text_video, vectors, data)
    wanted = vectors[WARM_UP:][:RECALL_QUESTIONS]
    found = []
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="samesource-text-search-") as folder:
            search = settings.search.model_copy(update={"snapshot_folder": Path(folder)})
            made = in_fresh_process(
                build, search, encoder.model_version, alike, size, wanted, moments
            )
            found.append(in_fresh_process(ask, settings.text_video, search, asked, size, made))
    return {
        "model_version": encoder.model_version,
        "dimension": encoder.dimension,
        "data": data is not None,
        "queries": count,
        "moments": moments,
        "threads": settings.text_video.threads,
        "machine": machine(),
        "sizes": [asdict(figures) for figures in found],
    }


def in_fresh_process(
    call: Callable[Arguments, Result], *arguments: Arguments.args, **named: Arguments.kwargs
) -> Result:
    """What a call gives in a process that has done nothing else, so that its memory is its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(call, *arguments, **named).result()


def ask(
    text_video: TextVideoSettings,
    search: SearchSettings,
    asked: Sequence[Question],
    size: int,
    made: Built,
) -> Figures:
    """Restore a view from its snapshot and ask it."""
    encoder = open_text_encoder(text_video)
    encoder.embed([asked[0].text])
    empty, before = memory(), time.perf_counter()
    store = snapshots(search, encoder.model_version, encoder.dimension)
    restored = store.load_latest()
    assert restored is not None, "the snapshot was written a moment ago"
    restore_seconds = time.perf_counter() - before
    answered = [answer(encoder, restored.view, question) for question in asked][WARM_UP:]
    resident, anonymous = ((now - then) / size for now, then in zip(memory(), empty, strict=True))
    encoding = {language: _encoding(answered, language) for language in LANGUAGES}
    return Figures(
        videos=len(restored.view),
        index=f"{made.lists} lists" if made.lists else "exact",
        whole_ms=latency([each.encode_seconds + each.search_seconds for each in answered]),
        encode_ms=latency([each.encode_seconds for each in answered]),
        encode_en_ms=latency(encoding["en"]),
        encode_zh_ms=latency(encoding["zh"]),
        search_ms=latency([each.search_seconds for each in answered]),
        recall_at_10=recall([each.hits for each in answered[: len(made.exact)]], made.exact),
        resident_bytes=resident,
        anonymous_bytes=anonymous,
        disk_bytes=made.disk_bytes / size,
        build_seconds=made.build_seconds,
        snapshot_seconds=made.snapshot_seconds,
        restore_seconds=restore_seconds,
    )


def answer(encoder: TextEncoder, view: SearchView, question: Question) -> Answered:
    """Ask as `samesource search` does, the clock running."""
    began = time.perf_counter()
    query = text_query(encoder, question.text)
    encoded = time.perf_counter()
    [hits] = view.search(query.vector, K)
    return Answered(question, encoded - began, time.perf_counter() - encoded, hits)


def latency(seconds: Sequence[float]) -> dict[str, float]:
    """Percentiles in milliseconds."""
    p50, p99 = (1000 * np.percentile(seconds, (50, 99))).tolist()
    return {"p50": p50, "p99": p99}


def recall(found: Sequence[Sequence[Hit]], exact: NDArray[np.int64]) -> float:
    """Share of the exact nearest, (Q, 10) numbers of videos, that are among the hits."""
    shared = [
        len({number_of(hit.video_id) for hit in hits} & set(nearest))
        for hits, nearest in zip(found, exact.tolist(), strict=True)
    ]
    return sum(shared) / exact.size


def memory() -> tuple[int, int]:
    """Bytes of this process: resident, and of these not mapped from files."""
    info = psutil.Process().memory_info()
    return info.rss, info.rss - info.shared


def _encoding(answered: Sequence[Answered], language: str) -> list[float]:
    return [each.encode_seconds for each in answered if each.question.language == language]


def table_of(report: dict[str, Any]) -> Table:
    """A column for each size."""
    table = Table(
        "videos",
        title=f"{report['queries']} questions, {report['model_version']}, {report['dimension']} "
        f"dimensions, {report['moments']} moments a video; {report['machine']['cpu']}, one thread "
        "for a search",
    )
    sizes = report["sizes"]
    for size in sizes:
        table.add_column(f"{size['videos']:,}", justify="right")
    table.add_row("index", *(size["index"] for size in sizes))
    for name, title in LATENCIES.items():
        row = [f"{size[name]['p50']:.1f} / {size[name]['p99']:.1f}" for size in sizes]
        table.add_row(f"{title}, p50 / p99 ms", *row)
    for name, (title, digits) in NUMBERS.items():
        table.add_row(title, *(f"{size[name]:,.{digits}f}" for size in sizes))
    return table


def main(
    data: Annotated[
        Path | None, typer.Option(help="Photos and captions; made ones by default.")
    ] = None,
    sizes: Annotated[list[int] | None, typer.Option(min=2000, help="Three by default.")] = None,
    moments: Annotated[int, typer.Option(min=0, help="Of each video, beside its own row.")] = 0,
    queries: Annotated[int, typer.Option(min=10, help="Questions that are measured.")] = 800,
    json: Annotated[Path | None, typer.Option(help="Write all figures here.")] = None,
) -> None:
    """Measure search by text in views of several sizes."""
    settings = load_settings()
    if no_pair(settings.text_video):
        raise typer.BadParameter(
            "no text–video pair is shipped and text_video names none: set text_video.path"
        )
    try:
        questions(WARM_UP + queries, data)
    except (ModelError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
    report = measure(settings, sizes or SIZES, queries, data, moments)
    Console().print(table_of(report), soft_wrap=True)
    if json is not None:
        json.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    typer.run(main)
