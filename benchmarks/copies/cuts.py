"""How well the decoder's child finds the cuts of videos whose joins are known, and what it costs.

    python -m benchmarks.copies.cuts CLIPS [--videos 12] [--seed 1] [--json FILE]

Joins spans of clips in a row, once with an I-frame at each join and once with I-frames at regular
distances only, and compares the decoder's cuts with the joins. A cut inside a clip is none of the
joins: what is found off the joins is listed by clip, to be looked at.
"""

import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Annotated, Any

import av
import numpy as np
import typer
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from stream.decode.changes import CutFinder
from stream.decode.child import decode_video
from stream.decode.settings import DecodeSettings
from stream.demo.footage import read_frames, seconds_of

# Of the made videos. Spans are longer than the sampling distance, so that no shot falls between two
# samples; ten joins a video. All set by hand.
FRAMES_PER_SECOND = 15
SIZE = (320, 240)  # small, as cuts are looked for on small pictures anyway
SPAN_SECONDS = (1.5, 6.0)
SPANS = 10  # of a made video: nine joins
# Within it a cut is the join's; the shortest span is five times as long. Set by hand.
NEAR_SECONDS = 0.3
CODINGS = {
    "I-frames at cuts": {"preset": "veryfast"},
    "I-frames every 4 s": {"preset": "veryfast", "sc_threshold": "0", "g": "60"},
    "three B-frames": {"preset": "medium", "sc_threshold": "0", "bf": "3", "g": "250"},
}


@dataclass
class Tally:
    """Joins and cuts of one coding.

    Attributes:
        errors: seconds from each found join to its cut, signed.
        elsewhere: cuts that are no joins, as `clip @ seconds in it`.
        finder_cpu_seconds: of the cut finder alone, on every frame.
    """

    joins: int = 0
    found: int = 0
    errors: list[float] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    video_seconds: float = 0.0
    frames: int = 0
    finder_cpu_seconds: float = 0.0


def joined(
    clips: list[Path], random: Random
) -> tuple[list[Image.Image], list[float], list[tuple[Path, float]]]:
    """Pictures of spans in a row, the seconds at which each but the first begins, and the spans."""
    pictures: list[Image.Image] = []
    joins: list[float] = []
    spans: list[tuple[Path, float]] = []
    for clip in clips:
        length = min(random.uniform(*SPAN_SECONDS), seconds_of(clip))
        start = random.uniform(0, max(0.0, seconds_of(clip) - length))
        if pictures:
            joins.append(len(pictures) / FRAMES_PER_SECOND)
        pictures += [one.resize(SIZE) for one in read_frames(clip, start, start + length)]
        spans.append((clip, start))
    return pictures, joins, spans


def write(path: Path, pictures: list[Image.Image], options: dict[str, str]) -> None:
    """H.264 with the coding of one row."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=options)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24"))
            )
        container.mux(stream.encode(None))


def compare(
    tally: Tally, cuts: list[float], joins: list[float], spans: list[tuple[Path, float]]
) -> None:
    """Match cuts with joins, nearest first."""
    left = list(cuts)
    for join in joins:
        tally.joins += 1
        nearest = min(left, key=lambda cut: abs(cut - join), default=None)
        if nearest is not None and abs(nearest - join) <= NEAR_SECONDS:
            tally.found += 1
            tally.errors.append(nearest - join)
            left.remove(nearest)
    starts = [0.0, *joins]
    for cut in left:
        span = int(np.searchsorted(starts, cut, side="right")) - 1
        clip, start = spans[span]
        tally.elsewhere.append(f"{clip.stem} @ {start + cut - starts[span]:.2f}")


def finder_cost(path: Path) -> tuple[float, int]:
    """CPU seconds of the finder alone on every frame of a file, and how many frames."""
    finder, spent, count = CutFinder(), 0.0, 0
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            began = time.process_time()
            finder.add(frame, count / FRAMES_PER_SECOND)
            spent += time.process_time() - began
            count += 1
    return spent, count


def measure(clips: list[Path], videos: int, seed: int, settings: DecodeSettings) -> dict[str, Any]:
    """All codings on the same joins."""
    random = Random(seed)
    tallies = {name: Tally() for name in CODINGS}
    with tempfile.TemporaryDirectory(prefix="samesource-") as folder:
        for _ in track(range(videos), "videos", transient=True):
            pictures, joins, spans = joined(random.sample(clips, SPANS), random)
            for name, options in CODINGS.items():
                path, spool = Path(folder, "video.mp4"), Path(folder, "spool")
                write(path, pictures, options)
                spool.write_bytes(b"")
                made = decode_video(path, spool, 128, settings)
                tally = tallies[name]
                compare(tally, made.cut_seconds.tolist(), joins, spans)
                tally.video_seconds += made.duration_seconds
                spent, count = finder_cost(path)
                tally.finder_cpu_seconds += spent
                tally.frames += count
    return {
        "codings": {name: asdict(tally) for name, tally in tallies.items()},
        "frames_per_second": settings.frames_per_second,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
    }


def table_of(report: dict[str, Any]) -> Table:
    """A row for each coding."""
    table = Table("coding", title=f"decoded at {report['frames_per_second']} frames a second")
    for heading in ("joins", "found", "error 50 %, s", "90 %, s", "elsewhere a minute", "µs/frame"):
        table.add_column(heading, justify="right")
    for name, row in report["codings"].items():
        apart = np.abs(row["errors"]) if row["errors"] else np.zeros(1)
        table.add_row(
            name,
            str(row["joins"]),
            f"{row['found'] / row['joins']:.1%}",
            f"{np.quantile(apart, 0.5):.3f}",
            f"{np.quantile(apart, 0.9):.3f}",
            f"{len(row['elsewhere']) / row['video_seconds'] * 60:.2f}",
            f"{row['finder_cpu_seconds'] / row['frames'] * 1e6:.0f}",
        )
    return table


def main(
    clips: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    videos: Annotated[int, typer.Option(min=1)] = 12,
    seed: int = 1,
    json_file: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Recall and exactness of the decoder's cuts."""
    report = measure(sorted(clips.glob("*.mp4")), videos, seed, DecodeSettings())
    Console().print(table_of(report))
    if json_file is not None:
        json_file.write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    typer.run(main)
