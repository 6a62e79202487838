"""What a first look at an upload would miss: I-frames alone, against a library of key frames.

    python -m benchmarks.copies.first_look SET [--gap SECONDS]

A pair *stirs* when a frame of the query is more alike to a stored frame of the reference than a
threshold. Each line says how many of the labelled pairs stir, and how many of the queries that
copy nothing stir for some reference; and what the look costs, beside decoding every frame with bare
PyAV and encoding one a second.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import av
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.copies.frame_choices import Choice
from benchmarks.copies.rows import KeyFrames
from benchmarks.copies.set_frames import SetFrames, VideoFrames, read_set_frames
from benchmarks.ingest import bare_cost
from models.encoder.serve import FrameEncoder, default_encoder_path
from models.video.frames import Rgb, is_blank
from models.video.similarity import similarities
from stream.contract.packed import CODE_SCALE
from stream.decode.pictures import Pictures
from stream.errors import SettingsError
from stream.settings import load_settings

THRESHOLDS = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7)


@dataclass(frozen=True)
class Look:
    """What was seen of one video.

    Attributes:
        frames: (N, S, S, 3) uint8, not blank.
        seconds: (N,) when they are shown.
        decode_cpu_seconds: of this process.
    """

    frames: NDArray[np.uint8]
    seconds: NDArray[np.float64]
    decode_cpu_seconds: float


def first_look(path: Path, size: int, gap_seconds: float) -> Look:
    """The I-frames of a video, and frames inside of long groups of pictures.

    Args:
        path: of the video.
        size: side of the squares in pixels.
        gap_seconds: in a longer group every frame that is so far from the last one is taken too;
            all before it have to be decoded.
    """
    before = time.process_time()
    pictures, found, times = Pictures(size), list[Rgb](), list[float]()
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        if np.isinf(gap_seconds):
            stream.codec_context.skip_frame = "NONKEY"
        else:
            stream.codec_context.skip_frame = "NONREF"
        for frame in container.decode(stream):
            seconds = float(frame.time or 0.0)
            if frame.key_frame or (times and seconds - times[-1] >= gap_seconds):
                found.append(pictures.picture(frame).rgb)
                times.append(seconds)
    shown = [number for number, frame in enumerate(found) if not is_blank(frame)]
    spent = time.process_time() - before
    frames = (
        np.stack([found[number] for number in shown])
        if shown
        else np.empty((0, size, size, 3), np.uint8)
    )
    return Look(frames, np.array(times)[shown], spent)


def best_similarity(
    descriptors: NDArray[np.float32], biases: NDArray[np.float32], stored: Choice
) -> float:
    """Of the frames of a look with the stored ones."""
    if not len(descriptors) or not len(stored.codes):
        return -1.0
    rows = stored.codes.astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    values = similarities(descriptors, rows, biases, stored.biases / np.float32(CODE_SCALE))
    return float(values.max())


def main(
    dataset: Annotated[Path, typer.Argument(help="references/, queries/, labels.json")],
    gap: Annotated[float, typer.Option(help="Seconds; longer groups are looked into.")] = np.inf,
    kept: Annotated[Path, typer.Option(help="Frames of earlier runs.")] = Path("runs/frames"),
) -> None:
    """Print recall of pairs, false stirs and cost."""
    console, settings = Console(), load_settings()
    try:
        frames = read_set_frames(dataset, settings, kept, console)
    except SettingsError as error:
        console.print(f"error: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(2) from error
    own = settings.encoder
    encoder = FrameEncoder(own.path or default_encoder_path(own.precision))
    choices = KeyFrames(settings.key_frames).sampling().choose
    references = {v.video_id: choices(v) for v in frames.videos if v.role == "reference"}
    queries = [video for video in frames.videos if video.role != "reference"]
    report(console, frames, queries, references, encoder, gap)


def report(
    console: Console,
    frames: SetFrames,
    queries: list[VideoFrames],
    references: dict[str, Choice],
    encoder: FrameEncoder,
    gap: float,
) -> None:
    """One table and one line of costs."""
    labels = frames.copies.labels
    labelled = {(pair.split("-")[0], pair.split("-")[1]) for pair in labels if len(labels[pair])}
    copying = {query for query, _ in labelled}
    first, full = dict[tuple[str, str], float](), dict[tuple[str, str], float]()
    decode = encode = bare = hours = count = dense = 0.0
    for video in track(queries, "queries", console=console, transient=True):
        look = first_look(video.path, encoder.input_size, gap)
        before = time.process_time()
        seen = encoder.describe(look.frames) if len(look.frames) else None
        encode += time.process_time() - before
        decode += look.decode_cpu_seconds
        bare += bare_cost(video.path, key_frames_only=False)
        hours += video.duration_seconds / 3600
        count += len(look.frames)
        dense += video.duration_seconds
        among = [i for i in video.unrepeated if not video.blank[i]]
        for name, stored in references.items():
            key = (video.video_id, name)
            first[key] = (
                -1.0
                if seen is None
                else best_similarity(seen.descriptors, seen.score_biases, stored)
            )
            full[key] = best_similarity(video.descriptors[among], video.score_biases[among], stored)
    table = Table("threshold", "pairs, first look", "pairs, full", "clear that stir", "full")
    for threshold in THRESHOLDS:
        row = [f"{threshold:g}"]
        for values in (first, full):
            row.append(f"{np.mean([values[pair] >= threshold for pair in labelled]):.1%}")
        for values in (first, full):
            clear = {v.video_id for v in queries} - copying
            stirred = {q for (q, _), value in values.items() if value >= threshold and q in clear}
            row.append(f"{len(stirred) / len(clear):.1%}")
        table.add_row(*row)
    console.print(table)
    each = frames.encode_frame_seconds
    console.print(
        f"{count / hours:.0f} frames an hour; CPU s per video-hour: decode {decode / hours:.1f}, "
        f"encode {encode / hours:.1f}; every frame {bare / hours:.1f}, one a second encoded "
        f"{each * dense / hours:.1f}; ratio {(decode + encode) / (bare + each * dense):.3f}"
    )


if __name__ == "__main__":
    typer.run(main)
