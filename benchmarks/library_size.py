"""The library at size: recall, queries a second, memory, snapshots, and latency under load.

    python -m benchmarks.library_size SET [--rows N]... [--json FILE] [--kept FOLDER]

For each size a library is built in one process, and restored and searched in a fresh one, beside
plain Faiss: the same kind of index over the same rows, with nothing around it. Rows are drawn
around the descriptors of a set, as `benchmarks/library/rows.py` says. One thread searches.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import faiss
import numpy as np
import orjson
import typer
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.copies.set_frames import read_set_frames
from benchmarks.copies.tables import machine
from benchmarks.library.build import (
    BLOCK_ROWS,
    LOG_ID,
    NEAREST,
    QUERIES_PER_UPLOAD,
    UPLOADS,
    build,
    settings_in,
)
from benchmarks.library.latencies import ask_store, latencies
from benchmarks.library.memory import PeakMemory, memory
from benchmarks.library.rows import RowMaker
from benchmarks.library.size_figures import Figures, exponent, table_of
from stream.contract.packed import quantise
from stream.library.snapshot import SnapshotStore
from stream.library.store import FrameStore
from stream.settings import load_settings

# Key frames; at 900 an hour, the last is eleven thousand hours of video.
SIZES = (100_000, 1_000_000, 10_000_000)
ROUNDS = 5  # of each upload; the median is told
MIN_SIMILARITY = 0.3  # below the tenth neighbour of any query

Floats = NDArray[np.float32]


def search(figures: Figures, folder: Path) -> Figures:
    """Restore, search and load a library that was built."""
    faiss.omp_set_num_threads(1)
    settings = settings_in(folder)
    empty = memory()
    before = time.perf_counter()
    found = SnapshotStore(settings, shard=0, log_id=LOG_ID).load_latest()
    assert found is not None and found.state.store is not None
    figures.restore_seconds = time.perf_counter() - before
    store = found.state.store
    known = np.load(folder / "exact.npz")
    codes = quantise(known["queries"])
    with PeakMemory() as peak:
        for upload in np.split(codes, UPLOADS):
            ask_store(store, upload)
    after = memory()
    for name in ("resident", "anonymous"):
        setattr(figures, f"{name}_bytes", (after[name] - empty[name]) / figures.rows)
    figures.peak_bytes = (peak.resident - empty["resident"]) / figures.rows
    figures.disk_bytes = _disk(folder / "shard-0-of-1") / figures.rows
    hits = store.search(codes, np.zeros(len(codes), np.int8), MIN_SIMILARITY, before=2**60)
    top = _top(hits.queries, hits.serials, hits.similarities, len(codes))
    figures.recall_at_10 = _recall(top, known["exact"])
    figures.whole_recall_at_10 = _recall(top, known["whole"])
    figures.quiet = latencies(found.state, settings, codes, load=False)
    figures.loaded = latencies(found.state, settings, codes, load=True)
    return figures


def plain(figures: Figures, folder: Path) -> Figures:
    """The library and Faiss over the same rows by turns, one thread: throughput.

    Two indexes of Faiss: the codes alone, and with all packed rows in memory to order what the
    codes find (`IndexRefine`), which is what the library does.
    """
    faiss.omp_set_num_threads(1)
    known, settings = np.load(folder / "exact.npz"), settings_in(folder)
    found = SnapshotStore(settings, shard=0, log_id=LOG_ID).load_latest()
    assert found is not None and found.state.store is not None
    store = found.state.store
    codes = quantise(known["queries"])
    queries = codes.astype(np.float32)
    if store.codebook is None:
        flat = faiss.IndexFlatIP(queries.shape[1])
        for run in store.all_runs():
            flat.add(store.codes.whole(np.ascontiguousarray(run.rows)))
        refined, alone, most = flat, flat, NEAREST
    else:
        alone = faiss.read_index(str(folder / "plain.faiss"))
        alone.nprobe = min(settings.probes, alone.nlist)  # type: ignore[attr-defined]
        refined, most = faiss.IndexRefine(alone, _flat_codes(store)), store.near_rows
    figures.plain_recall_at_10 = _recall(alone.search(queries, NEAREST)[1], known["exact"])
    refined_rows = refined.search(queries, most)[1][:, :NEAREST]
    figures.refined_recall_at_10 = _recall(refined_rows, known["exact"])
    asked = {
        "queries_per_second": lambda part: ask_store(store, codes[part]),
        "plain_queries_per_second": lambda part: alone.search(queries[part], most),
        "refined_queries_per_second": lambda part: refined.search(queries[part], most),
    }
    for name, rate in _rates(asked, len(queries)).items():
        setattr(figures, name, rate)
    return figures


def _flat_codes(store: FrameStore) -> faiss.IndexScalarQuantizer:
    """The packed rows as an index of Faiss, in memory."""
    flat = faiss.IndexScalarQuantizer(
        store.codes.dimension, faiss.ScalarQuantizer.QT_4bit, faiss.METRIC_INNER_PRODUCT
    )
    for run in store.all_runs():
        for start in range(0, len(run.rows), BLOCK_ROWS):
            rows = store.codes.whole(run.rows[start : start + BLOCK_ROWS])
            if not flat.is_trained:
                flat.train(rows)
            flat.add(rows)
    return flat


def _top(
    queries: NDArray[np.int64], rows: NDArray[np.int64], similarities: Floats, count: int
) -> list[NDArray[np.int64]]:
    order = np.lexsort((-similarities, queries))
    starts = np.searchsorted(queries[order], np.arange(count + 1))
    return [rows[order][a : min(a + NEAREST, b)] for a, b in zip(starts, starts[1:], strict=False)]


def _recall(found: Any, exact: NDArray[np.int64]) -> float:
    """Share of the exact nearest that are among the found."""
    shared = [len(np.intersect1d(one, other)) for one, other in zip(found, exact, strict=True)]
    return float(np.mean(shared) / NEAREST)


def _rates(asked: dict[str, Callable[[slice], Any]], queries: int) -> dict[str, float]:
    """Queries a second, an upload at a time and by turns, the median of all rounds."""
    uploads = [
        slice(start, start + QUERIES_PER_UPLOAD) for start in range(0, queries, QUERIES_PER_UPLOAD)
    ]
    rates: dict[str, list[float]] = {name: [] for name in asked}
    for _ in range(ROUNDS):
        for name, ask in asked.items():
            before = time.perf_counter()
            for upload in uploads:
                ask(upload)
            rates[name].append(queries / (time.perf_counter() - before))
    return {name: float(np.median(found)) for name, found in rates.items()}


def _disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _step(name: str, dataset: Path, rows: int, folder: Path, kept: Path) -> None:
    """One process's part; figures travel through a file."""
    file = folder / "figures.json"
    if name == "build":
        frames = read_set_frames(dataset, load_settings(), kept, Console(quiet=True))
        real = np.concatenate([video.descriptors for video in frames.videos])
        figures = Figures(**asdict(build(RowMaker.like(real), rows, folder)))
    else:
        figures = Figures(**orjson.loads(file.read_bytes()))
        figures = {"search": search, "plain": plain}[name](figures, folder)
    file.write_bytes(orjson.dumps(asdict(figures)))


def main(
    dataset: Annotated[Path, typer.Argument(help="Whose descriptors the rows are drawn around.")],
    rows: Annotated[list[int] | None, typer.Option(help="Sizes; three by default.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write all figures here.")] = None,
    scratch: Annotated[Path, typer.Option(help="Libraries lie here.")] = Path("runs/library"),
    kept: Annotated[Path, typer.Option(help="Frames of earlier runs.")] = Path("runs/frames"),
    step: Annotated[str, typer.Option(help="For the script itself.", hidden=True)] = "",
) -> None:
    """Measure libraries of several sizes."""
    console, sizes = Console(), rows or list(SIZES)
    if step:
        _step(step, dataset, sizes[0], scratch, kept)
        return
    found = []
    for size in sizes:
        folder = scratch / str(size)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in ("build", "plain", "search"):  # searching leaves another snapshot
            command = [
                sys.executable, "-m", "benchmarks.library_size", str(dataset), "--step", name,
                "--rows", str(size), "--scratch", str(folder), "--kept", str(kept),
            ]  # fmt: skip
            subprocess.run(command, check=True, env=os.environ | {"COLUMNS": "200"})
        found.append(Figures(**orjson.loads((folder / "figures.json").read_bytes())))
        shutil.rmtree(folder)
        console.print(table_of(found), soft_wrap=True)
    growth = exponent(found)
    if growth is not None:
        console.print(f"time of a query grows with exponent {growth:.2f}")
    if json is not None:
        report = {
            "machine": machine(), "exponent": growth, "sizes": [asdict(one) for one in found],
        }  # fmt: skip
        json.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    typer.run(main)
