"""Shows what `min_similarity` lets through as a library grows, and what it costs in copies.

    python -m benchmarks.library.candidate_thresholds SET DATA [--rows N] [--kept FOLDER]
        [--json FILE]

DATA (`clips/`, `photos/`) is encoded in several views of each picture (`real_rows`), and library
videos are made of these real descriptors (`real_videos`). The queries of SET, which show other
footage, are searched among them exactly: hits of strangers for each query frame, candidates for
each upload that copies nothing, and which labelled pairs still are candidates, by themselves and
among the best `library.candidates` by votes.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import orjson
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.copies.fingerprinted_set import FingerprintedSet, fingerprint_set
from benchmarks.library.real_rows import encode_rounds
from benchmarks.library.real_videos import VIDEO_ROWS, VideoMaker
from models.encoder.serve import FrameEncoder, default_encoder_path
from stream.contract.packed import CODE_SCALE, quantise
from stream.evaluate.copy_set import pair_name
from stream.library.candidates import min_similarity_at
from stream.library.rows import RowCodes
from stream.settings import load_settings

# Upwards from where `library.min_similarity` begins, as it grows with the log.
MIN_SIMILARITIES = tuple(round(0.4 + 0.025 * step, 3) for step in range(15))
BLOCK_VIDEOS = 400  # made at a time, which bounds the memory
FEW_CANDIDATES = 10.0  # for an upload that copies nothing
CHECKED_ROWS = 30_000

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Frames:
    """The query frames of some uploads, end to end.

    Attributes:
        codes: (Q, D) float32 whole numbers.
        biases: (Q,) float32, score biases.
        uploads: (Q,) int64, whose they are.
        names: of the uploads.
        innocent: (U,) which of the uploads copy nothing.
    """

    codes: Floats
    biases: Floats
    uploads: NDArray[np.int64]
    names: list[str]
    innocent: NDArray[np.bool_]

    @classmethod
    def of(cls, fingerprinted: FingerprintedSet, most: int) -> "Frames":
        """The first queries of a set that copy something, and that copy nothing."""
        guilty = {pair.partition("-")[0] for pair in fingerprinted.copies.labels}
        some = [query for query in fingerprinted.queries if query.video_id in guilty]
        none = [query for query in fingerprinted.queries if query.video_id not in guilty]
        queries = [*some[:most], *none[:most]]
        return cls(
            np.concatenate([query.query_frames.whole for query in queries]),
            np.concatenate([query.query_frames.bias_codes for query in queries]) / np.float32(127),
            np.repeat(np.arange(len(queries)), [len(query.query_frames) for query in queries]),
            [query.video_id for query in queries],
            np.array([query.video_id not in guilty for query in queries]),
        )

    def similarities(self, rows: Floats) -> Floats:
        """As a shard has them, (Q, R), of (R, D) whole numbers."""
        found: Floats = self.codes @ rows.T / np.float32(CODE_SCALE**2) - self.biases[:, None]
        return found


@dataclass
class Tally:
    """What the library so far gives at one similarity.

    Attributes:
        hits: on average, rows for each query frame of an innocent upload.
        candidates: (U,) videos with enough hits, of each upload.
        best: (U, most) votes of the best candidates, in no order; 0 where there are fewer.
    """

    hits: float
    candidates: NDArray[np.int64]
    best: Floats

    def take(self, uploads: NDArray[np.int64], votes: Floats) -> None:
        """More candidates: (M,) uploads, and their votes."""
        np.add.at(self.candidates, uploads, 1)
        for upload in np.unique(uploads).tolist():
            every = np.concatenate((self.best[upload], votes[uploads == upload]))
            most = self.best.shape[1]
            self.best[upload] = np.partition(every, len(every) - most)[-most:]


@dataclass(frozen=True)
class Row:
    """One similarity at one size.

    Attributes:
        rows: key frames in the library.
        hits: rows above it for each query frame of an upload that copies nothing.
        candidates: videos with enough hits, for each such upload.
        crowded: share of such uploads with more than `library.candidates`.
        recall: share of the labelled pairs with enough hits.
        kept: share, of those of the searched uploads, that is among the best `library.candidates`.
    """

    rows: int
    min_similarity: float
    hits: float
    candidates: float
    crowded: float
    recall: float
    kept: float


@dataclass
class Figures:
    """All that is found.

    Attributes:
        real_rows: that were encoded, of how many pictures.
        tails: by similarity: share of (query frame, row) pairs above it, of real and made rows.
        steps: the least similarity of the table with few candidates, by key frames.
    """

    real_rows: tuple[int, int]
    tails: dict[str, tuple[float, float]]
    rows: list[Row] = field(default_factory=list)
    steps: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class BestHits:
    """The best hit of each query frame in each of some videos, above the least similarity.

    Attributes:
        pairs: (M,) int64, upload and video as one number, ascending.
        values: (M,) similarity.
    """

    pairs: NDArray[np.int64]
    values: Floats

    @classmethod
    def of(cls, similarities: Floats, uploads: NDArray[np.int64]) -> "BestHits":
        """Of (Q, R) query frames and rows, `VIDEO_ROWS` to a video, and (Q,) uploads."""
        best = similarities.reshape(len(similarities), -1, VIDEO_ROWS).max(axis=2)
        frames, videos = np.nonzero(best > MIN_SIMILARITIES[0])
        pairs = uploads[frames] << 32 | videos
        order = np.argsort(pairs, kind="stable")
        return cls(pairs[order], best[frames, videos][order])

    def candidates(self, min_similarity: float, least: int) -> tuple[NDArray[np.int64], Floats]:
        """As `stream.library.candidates.vote` finds them: (M,) uploads and votes."""
        above = self.values > min_similarity
        pairs, values = self.pairs[above], self.values[above]
        starts = np.flatnonzero(np.diff(pairs, prepend=-1))
        counts = np.diff(starts, append=len(pairs))
        votes = np.add.reduceat(values, starts) if len(starts) else values
        enough = counts >= least
        return pairs[starts][enough] >> 32, votes[enough].astype(np.float32)


def measure(
    fingerprinted: FingerprintedSet, frames: Frames, maker: VideoMaker, sizes: list[int]
) -> Iterator[Row]:
    """The table, row by row, smaller libraries first."""
    settings = load_settings().library
    codes = RowCodes(fingerprinted.references[0].dimension, settings.code_bits)
    count, most = len(frames.names), settings.candidates
    tallies = {
        one: Tally(0.0, np.zeros(count, np.int64), np.zeros((count, most), np.float32))
        for one in MIN_SIMILARITIES
    }
    true = {one: _true_votes(fingerprinted, frames, codes, one) for one in MIN_SIMILARITIES}
    every = Frames.of(fingerprinted, len(fingerprinted.queries))
    all_true = {one: _true_votes(fingerprinted, every, codes, one) for one in MIN_SIMILARITIES}
    guiltless = frames.innocent[frames.uploads]
    random, made = np.random.default_rng(1), 0
    for size in sizes:
        while made < size:
            videos = min(BLOCK_VIDEOS, -(-(size - made) // VIDEO_ROWS))
            rows = codes.whole(codes.pack(quantise(maker.videos(videos, random))))
            made += videos * VIDEO_ROWS
            near = frames.similarities(rows)
            hits = near[guiltless]
            hits = hits[hits > MIN_SIMILARITIES[0]]
            best = BestHits.of(near, frames.uploads)
            for one, tally in tallies.items():
                tally.hits += float((hits > one).sum()) / int(guiltless.sum())
                tally.take(*best.candidates(one, settings.candidate_hits))
        for one, tally in tallies.items():
            recall = float(np.mean([votes > 0 for _, votes in all_true[one]]))
            yield _row(made, one, tally, recall, true[one], frames)


def _true_votes(
    fingerprinted: FingerprintedSet, frames: Frames, codes: RowCodes, min_similarity: float
) -> list[tuple[int, float]]:
    """Upload and votes of each labelled pair; no votes where it isn't a candidate."""
    least = load_settings().library.candidate_hits
    found = []
    for reference in fingerprinted.references:
        near = frames.similarities(codes.whole(codes.pack(reference.key_frames.codes))).max(axis=1)
        for number, name in enumerate(frames.names):
            if pair_name(name, reference.video_id) in fingerprinted.copies.labels:
                own = near[frames.uploads == number]
                hits = own[own > min_similarity]
                found.append((number, float(hits.sum()) if len(hits) >= least else 0.0))
    return found


def _row(
    rows: int,
    min_similarity: float,
    tally: Tally,
    recall: float,
    true: list[tuple[int, float]],
    frames: Frames,
) -> Row:
    innocent = tally.candidates[frames.innocent]
    most = tally.best.shape[1]
    kept = [votes > 0 and votes > tally.best[upload].min() for upload, votes in true]
    return Row(
        rows,
        min_similarity,
        tally.hits,
        float(innocent.mean()),
        float((innocent > most).mean()),
        recall,
        float(np.mean(kept)),
    )


def tails(frames: Frames, real: Floats, made: Floats) -> dict[str, tuple[float, float]]:
    """How often a stranger's row is above each similarity: of real rows and of made ones."""
    ours, theirs = frames.similarities(real), frames.similarities(made)
    return {
        f"{one:.3f}": (float((ours > one).mean()), float((theirs > one).mean()))
        for one in MIN_SIMILARITIES
    }


def show(figures: Figures, console: Console) -> None:
    """Two tables."""
    table = Table("cosine", "real rows", "made rows", title="share of strangers' rows above")
    for min_similarity, (real, made) in figures.tails.items():
        table.add_row(min_similarity, f"{real:.1e}", f"{made:.1e}")
    console.print(table)
    table = Table("key frames", "cosine", "hits a frame", "candidates", "crowded", "recall", "kept")
    for row in figures.rows:
        table.add_row(
            f"{row.rows:,}",
            f"{row.min_similarity:.3f}",
            f"{row.hits:,.2f}",
            f"{row.candidates:,.1f}",
            f"{row.crowded:.0%}",
            f"{row.recall:.1%}",
            f"{row.kept:.1%}",
        )
    console.print(table)
    library = load_settings().library
    for rows in dict.fromkeys(row.rows for row in figures.rows):
        asked = min_similarity_at(library, rows // VIDEO_ROWS)
        least = figures.steps.get(str(rows))
        few = f"few candidates from {least:.3f} on" if least else "nowhere few candidates"
        console.print(f"{rows:,} key frames: {few}; the library asks for {asked:.3f}")


def main(
    folder: Annotated[Path, typer.Argument(metavar="SET")],
    data: Annotated[Path, typer.Argument(metavar="DATA")],
    rows: Annotated[int, typer.Option(min=10_000, help="Of the largest library.")] = 10_000_000,
    uploads: Annotated[
        int, typer.Option(min=1, help="Queries that copy something, and as many that don't.")
    ] = 12,
    rounds: Annotated[int, typer.Option(min=1, help="Views of each picture.")] = 5,
    kept: Annotated[Path, typer.Option(help="What is encoded lies here between runs.")] = Path(
        "runs"
    ),
    json: Annotated[Path | None, typer.Option(help="Write the figures here.")] = None,
) -> None:
    """Encode, make, search, print."""
    settings, console = load_settings(), Console(width=120)
    fingerprinted = fingerprint_set(folder, settings, kept / "fingerprints", console)
    own = settings.encoder
    file = own.path or default_encoder_path(own.precision)
    encoder = FrameEncoder(file, threads=1)
    real = encode_rounds(data, kept / "real-rows", rounds, encoder)
    maker, frames = VideoMaker.of(real), Frames.of(fingerprinted, uploads)
    codes = RowCodes(encoder.dimension, settings.library.code_bits)
    random = np.random.default_rng(2)
    some = random.permutation(len(real.codes))[:CHECKED_ROWS]
    made = maker.videos(CHECKED_ROWS // VIDEO_ROWS, random)
    figures = Figures(
        (len(real.codes), real.count),
        tails(
            frames,
            codes.whole(codes.pack(real.codes[some])),
            codes.whole(codes.pack(quantise(made))),
        ),
    )
    sizes = [size for size in (10_000, 100_000, 1_000_000, 10_000_000) if size < rows] + [rows]
    for row in measure(fingerprinted, frames, maker, sizes):
        figures.rows.append(row)
        if row.candidates <= FEW_CANDIDATES:
            figures.steps.setdefault(str(row.rows), row.min_similarity)
        if row.min_similarity == MIN_SIMILARITIES[-1]:
            console.print(f"{row.rows:,} key frames done")
            if json is not None:
                json.write_bytes(orjson.dumps(asdict(figures), option=orjson.OPT_INDENT_2))
    show(figures, console)


if __name__ == "__main__":
    typer.run(main)
