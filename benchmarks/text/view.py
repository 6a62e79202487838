"""Makes the search views that `text_search` asks: a snapshot of any size, and the exact answers.

What a restart restores is made in bulk: the arrays that adding event by event would leave, then
the view's own `maintain` for the lists. The last videos come as events, and wait for the lists as
in a view that follows the topic. Reading 10 million messages would take the better part of an hour.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.library.build import Exact
from benchmarks.library.rows import RowMaker
from models.text_video.photos import make_views, read_photos
from stream.contract.embedded import Moments, packed_moments
from stream.contract.events import VideoEmbedded
from stream.contract.hashes import video_hash
from stream.fingerprint.embed import open_video_encoder
from stream.fingerprint.settings import TextVideoSettings
from stream.search.index import TAIL_ROWS, VectorIndex
from stream.search.rows import LARGEST, VectorRows
from stream.search.settings import SearchSettings
from stream.search.snapshot import ViewSnapshots
from stream.search.state import OWN, ViewState
from stream.search.table import NO_LOG, NO_VERSION, RECORD, Place, VideoTable
from stream.search.view import SearchView

SEED = 20261125  # any; fixed, so that two runs search the same vectors
LOG_ID = "benchmark"
PARTITIONS = 8  # as `video.embedded` has in kafka/topics.toml
BLOCK_ROWS = 50_000  # made at a time, which bounds the memory
ID_LENGTH = 11  # as long as those of a large platform: the table holds each id's bytes
DURATION_SECONDS = 60.0  # any: nothing that is measured looks at it
LATE = TAIL_ROWS // 2  # so many wait for the lists on the average
MIN_COSINE, MAX_COSINE = 0.35, 0.8  # nine in ten validation photos to their first caption

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Built:
    """What a view took to make.

    Attributes:
        lists: of the index; 0 where it is exact.
        build_seconds: training and filling lists; making the vectors isn't counted.
        snapshot_seconds: writing it.
        disk_bytes: of the snapshot.
        exact: (Q, 10) int64, the nearest videos by an exact search of the stored vectors.
    """

    lists: int
    build_seconds: float
    snapshot_seconds: float
    disk_bytes: int
    exact: NDArray[np.int64]


def centres(settings: TextVideoSettings, asked: Floats, data: Path | None) -> Floats:
    """What the videos of a view are like, (M, D) unit rows.

    The validation photos' vectors by the pair's video tower. Without data, a made video for each
    question: at a cosine of 0.35 to 0.8 to it, as photos and their captions are.
    """
    if data is None:
        random = np.random.default_rng(SEED)
        return RowMaker.like(asked).near(asked, MIN_COSINE, MAX_COSINE, random)
    video = open_video_encoder(settings)
    photos = read_photos(data / "photos" / "flickr8k-val.tar")
    return np.stack(
        [video.embed(make_views(picture, video.input_size, ("full",))) for _, picture in photos]
    )


def build(
    settings: SearchSettings,
    model_version: str,
    alike: Floats,
    count: int,
    asked: Floats,
    moments: int = 0,
) -> Built:
    """Make a view of so many videos and write its snapshot.

    Args:
        settings: name the snapshot's folder.
        model_version: of the view.
        alike: (M, D) unit rows around which vectors are drawn, as `RowMaker` says.
        count: of videos.
        asked: (Q, D) unit rows whose nearest videos are looked up.
        moments: of each video, drawn like videos.
    """
    lifted = np.pad(asked, ((0, 0), (0, 1)), constant_values=1)  # as the view's queries
    exact, maker = Exact(lifted), RowMaker.like(alike)
    random = np.random.default_rng((SEED, count))
    each = _Each(1 + moments, settings.moment_margin)
    rows = _rows(maker, count - LATE, random, exact, each)
    table = made_table(count - LATE, each.rows)
    state = ViewState(table, rows, VectorIndex(settings, rows), [model_version])
    view = SearchView(settings, model_version, alike.shape[1], state)
    before = time.perf_counter()
    view.maintain()
    build_seconds = time.perf_counter() - before
    for late, vectors in enumerate(each.split(maker.rows(LATE * each.rows, random))):
        number = count - LATE + late
        view.add(_event(model_version, number, vectors), place_of(number))
    exact.see(rows.span((count - LATE) * each.rows, count * each.rows), each.rows)
    before = time.perf_counter()
    folder = snapshots(settings, model_version, alike.shape[1]).save(view, {0: count})
    assert folder is not None, "the folder is this process's own"
    return Built(
        lists=0 if state.index.codebook is None else state.index.codebook.lists,
        build_seconds=build_seconds,
        snapshot_seconds=time.perf_counter() - before,
        disk_bytes=sum(path.stat().st_size for path in folder.iterdir()),
        exact=exact.rows,
    )


def made_view(
    settings: SearchSettings,
    model_version: str,
    alike: Floats,
    count: int,
    name_of: Callable[[int], str],
) -> SearchView:
    """A view of so many videos with ids of one's own, without moments; no snapshot is written."""
    each = _Each(1, settings.moment_margin)
    rows = _rows(RowMaker.like(alike), count, np.random.default_rng(SEED), None, each)
    table = made_table(count, name_of=name_of)
    state = ViewState(table, rows, VectorIndex(settings, rows), [model_version])
    view = SearchView(settings, model_version, alike.shape[1], state)
    view.maintain()
    return view


def snapshots(settings: SearchSettings, model_version: str, dimension: int) -> ViewSnapshots:
    """Where the view lies between the process that makes it and the one that asks it."""
    return ViewSnapshots(
        settings, log_id=LOG_ID, model_version=model_version, dimension=dimension, max_days=1.0
    )


def stored(vectors: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Codes and scales of (N, D) unit rows, as `VectorRows.append` makes them one by one."""
    scales = np.maximum(np.abs(vectors).max(axis=1), np.float32(1e-12)) / np.float32(LARGEST)
    return np.rint(vectors / scales[:, None]).astype(np.int8), scales


def video_id(number: int) -> str:
    """As long as platforms' ids are."""
    return f"v{number:0{ID_LENGTH - 1}d}"


def made_table(count: int, rows: int = 1, name_of: Callable[[int], str] = video_id) -> VideoTable:
    """The records of so many videos, with so many rows each, by names of so many letters."""
    numbers = np.arange(count)
    lengths = np.fromiter((len(name_of(number)) for number in range(count)), np.int64, count)
    records = np.zeros(count, RECORD)
    records["log"] = NO_LOG
    records["model"], records["version"], records["row"] = OWN, NO_VERSION, rows * numbers
    records["rows"] = rows
    records["partition"], records["offset"] = numbers % PARTITIONS, numbers // PARTITIONS
    records["id_at"], records["id_length"] = np.cumsum(lengths) - lengths, lengths
    records["duration"] = DURATION_SECONDS
    ids = b"".join(name_of(number).encode() for number in range(count))
    hashes = np.fromiter((video_hash(name_of(number)) for number in range(count)), np.uint64)
    order = np.argsort(hashes)
    arrays = {"records": records, "ids": np.frombuffer(ids, np.uint8)}
    return VideoTable.of(arrays | {"hashes": hashes[order], "numbers": order.astype(np.int64)})


def place_of(number: int) -> Place:
    """Where a video's message would lie."""
    return Place(number % PARTITIONS, number // PARTITIONS)


def number_of(name: str) -> int:
    """The inverse of `video_id`."""
    return int(name[1:])


def _event(model_version: str, number: int, vectors: Floats) -> VideoEmbedded:
    """Of a video's own vector and those of its moments, (1 + M, D)."""
    vector, moments = vectors[0], vectors[1:]
    seconds, packed = packed_moments(Moments(np.arange(len(moments), dtype=np.float32), moments))
    return VideoEmbedded(
        video_id=video_id(number),
        model_version=model_version,
        dimension=len(vector),
        vector=vector.tolist(),
        duration_seconds=DURATION_SECONDS,
        moment_seconds=seconds,
        moment_vectors=packed,
    )


@dataclass(frozen=True)
class _Each:
    """What a video has in the view.

    Attributes:
        rows: its own and its moments'.
        margin: that moments count less.
    """

    rows: int
    margin: float

    def split(self, vectors: Floats) -> Floats:
        """(V * rows, D) as (V, rows, D)."""
        return vectors.reshape(-1, self.rows, vectors.shape[1])

    def lifted(self, vectors: Floats) -> Floats:
        """(V * rows, D) with the view's last number, (V * rows, D + 1)."""
        last = np.where(np.arange(len(vectors)) % self.rows, -self.margin, 0)
        return np.column_stack([vectors, last]).astype(np.float32)

    def seconds(self, count: int) -> Floats:
        """(V * rows,): of each row."""
        place = np.arange(count) % self.rows
        return np.where(place, place - 1, np.nan).astype(np.float32)


def _rows(
    maker: RowMaker, videos: int, random: np.random.Generator, exact: Exact | None, each: _Each
) -> VectorRows:
    count = videos * each.rows
    codes = np.empty((count, len(maker.mean) + 1), np.int8)
    scales = np.empty(count, np.float32)
    ends = np.linspace(0, videos, ceil(count / BLOCK_ROWS) + 1).astype(int) * each.rows
    for start, stop in zip(ends, ends[1:], strict=False):
        here = slice(start, stop)
        codes[here], scales[here] = stored(each.lifted(maker.rows(stop - start, random)))
        if exact is not None:
            exact.see(codes[here] * scales[here, None], each.rows)
    return VectorRows.of(codes, scales, each.seconds(count))
