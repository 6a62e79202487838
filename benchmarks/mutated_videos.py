"""What damaged and hostile videos do to the service's decoder.

    python -m benchmarks.mutated_videos [--videos 10000] [--seed 1] [--threads 4] [--json FILE]
    python -m benchmarks.mutated_videos --workers [--videos 300]

Makes small videos of many kinds and damages copies of them at random: flipped bits, cuts, ranges
that are missing, doubled or of another file, numbers that lie, playlists and reference movies that
name a file and a host. Each goes through the fingerprint step, as an upload would. Ends with 1
unless each is processed or rejected for what it is (never `internal`), this process takes no more
than a tenth more memory at the end than after the first tenth of them, and nobody has opened the
file or the port that they name. With `--workers` they go through a process for each role, on an
Apache Kafka that is started for it: each must be decided once, with a dead letter where it is
rejected, and nobody may be down at the end.
"""

import gc
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from threading import Lock
from typing import Annotated, Any

import av.logging
import psutil
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.hostile.damages import MUTATIONS
from benchmarks.hostile.references import Watch, external_tracks, reference_files
from benchmarks.hostile.whole_videos import made_videos
from benchmarks.hostile.workers import through_workers
from models.runtime.heap import give_free_pages_back
from stream.contract.events import VideoUploaded
from stream.errors import RejectedError
from stream.fingerprint.fingerprinter import Fingerprinter
from stream.settings import Settings


def inputs(
    whole: dict[str, bytes], references: dict[str, bytes], random: Random, count: int
) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of the damaged files."""
    names, others = list(whole), list(whole.values())
    reference_names = list(references)
    for number in range(count):
        if random.random() < 0.05:
            name = random.choice(reference_names)
            yield f"{number}-{name}", references[name]
            continue
        name = random.choice(names)
        data = bytearray(whole[name])
        how = []
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            mutation = random.choice(MUTATIONS)
            how.append(mutation.__name__.strip("_"))
            if data:
                data = mutation(data, random, others)
        shown = name if random.random() < 0.9 else random.choice(("a.bin", "a%03d.jpg", "a.mp4"))
        yield f"{number}-{'+'.join(how)}-{name}-{shown}", bytes(data)


def resident_mib() -> float:
    """Of this process, without garbage and free pages, which a worker gives back too."""
    gc.collect()
    give_free_pages_back()
    return float(psutil.Process().memory_info().rss / 2**20)


def main(
    videos: Annotated[int, typer.Option(help="Damaged videos in all.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Of the damage.")] = 1,
    threads: Annotated[int, typer.Option(help="Uploads at a time.")] = 4,
    embed: Annotated[bool, typer.Option(help="Make vectors for search too.")] = True,
    keep: Annotated[Path | None, typer.Option(help="Folder for files that are `internal`.")] = None,
    workers: Annotated[bool, typer.Option("--workers", help="Through running workers.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write figures here.")] = None,
) -> None:
    """Send damaged videos through the fingerprint step, or through workers."""
    av.logging.set_level(None)
    with tempfile.TemporaryDirectory(prefix="samesource-mutated-") as name:
        folder = Path(name)
        whole, references, watch = _made(folder)
        made = inputs(whole, references, Random(seed), videos)
        if workers:
            figures = through_workers(made, folder)
        else:
            figures = _run(folder, made, videos, threads, embed, keep)
        figures["touched"] = watch.touched()
    table = Table("outcome", "videos", title=f"{videos} damaged videos, seed {seed}")
    for code, count in figures["outcomes"].items():
        table.add_row(code, str(count))
    console = Console()
    console.print(table)
    console.print({key: value for key, value in figures.items() if key != "outcomes"})
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + "\n")
    if is_bad(figures):
        raise typer.Exit(1)


def is_bad(figures: dict[str, Any]) -> bool:
    """Whether anything was lost, touched or down, or has grown by more than a tenth."""
    _, first, *_, last = figures.get("resident_mib", (0, 0, 0))
    failed = any(figures.get(name) for name in ("internal", "problems", "down", "touched"))
    return failed or last > 1.1 * first


def _made(folder: Path) -> tuple[dict[str, bytes], dict[str, bytes], Watch]:
    """Whole videos, files that name others, and who watches over what these name."""
    (folder / "elsewhere").mkdir()
    whole = made_videos(folder / "elsewhere")
    secret = folder / "elsewhere" / "secret.ts"
    secret.write_bytes(whole["h264.ts"])
    watch = Watch(secret)
    references = reference_files(secret, watch.port)
    for place, target in enumerate((secret.as_uri(), f"http://127.0.0.1:{watch.port}/x.mp4")):
        for movie in ("h264.mp4", "mjpeg.mov"):
            moved = external_tracks(whole[movie], target.encode())
            references[f"outside{place}-{movie}"] = moved
    return whole, references, watch


def _run(
    folder: Path,
    made: Iterator[tuple[str, bytes]],
    videos: int,
    threads: int,
    embed: bool,
    keep: Path | None,
) -> dict[str, Any]:
    settings = Settings()
    settings = settings.model_copy(
        update={
            "fetch": settings.fetch.model_copy(update={"roots": [folder]}),
            "decode": settings.decode.model_copy(update={"timeout_seconds": 60.0}),
        }
    )
    outcomes: Counter[str] = Counter()
    internal: list[str] = []
    memory: list[float] = []
    began = time.monotonic()
    with Fingerprinter(settings, embed=embed) as fingerprinter:
        memory.append(resident_mib())
        making = Lock()

        def one(_: int) -> None:
            with making:  # one at a time, as what waits here would count as the service's memory
                label, data = next(made)
            path = folder / label
            path.write_bytes(data)
            upload = VideoUploaded(video_id=label, uri=path.as_uri(), owner_id="o")
            try:
                fingerprinter.fingerprint(upload, label)
                outcomes["processed"] += 1
            except RejectedError as error:
                outcomes[error.code] += 1
                if error.code == "internal":
                    internal.append(
                        f"{label}: {error}: {getattr(error.__cause__, 'traceback', '')}"
                    )
            except Exception as error:
                outcomes["internal"] += 1
                internal.append(f"{label}: {type(error).__name__}: {error}")
            if keep is not None and internal and internal[-1].startswith(label):
                (keep / label).write_bytes(data)
            path.unlink()

        with ThreadPoolExecutor(threads) as pool:
            for part in range(10):
                list(pool.map(one, range(videos * part // 10, videos * (part + 1) // 10)))
                memory.append(resident_mib())
                print(f"{part + 1}/10", dict(outcomes), round(memory[-1]), "MiB", flush=True)
    return {
        "outcomes": dict(outcomes.most_common()),
        "internal": internal[:50],
        "resident_mib": [round(size, 1) for size in memory],
        "seconds": time.monotonic() - began,
    }


if __name__ == "__main__":
    typer.run(main)
