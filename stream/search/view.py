"""The search view: the vectors of all videos that one model embedded, and who they belong to.

A video is found by its vector or by that of a moment, less `moment_margin`. So that an index finds
both in one order, rows have one number more: 0 for a video, minus the margin for a moment; queries
have 1 there.

A plain object without Kafka: `stream.agents.search_view` feeds it, `samesource search` asks it.
"""

import threading
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.text_video.towers import evenly_spread
from stream.contract.events import VideoEmbedded
from stream.contract.order import Takedown
from stream.search.index import VectorIndex
from stream.search.rows import Floats, VectorRows
from stream.search.settings import SearchSettings
from stream.search.state import OWN, ViewState
from stream.search.table import FREE, NO_ROW, Place, VideoTable, comparable

DEAD_SHARE = 0.5  # of all rows: dropping them copies the rest, so at most as many as were added
MIN_DEAD = 1024  # below which a small view would be copied all the time
LONGEST_SECONDS = 1e9  # as in the contract; an older message may say more


class Hit(NamedTuple):
    """A video that was found.

    Attributes:
        similarity: cosine of its vector and the query's; where a moment counts more, of that
            moment's, less the margin.
        seconds: the moment; None where the whole video counts as much.
        place: of its message in `video.embedded`, which has its pictures.
    """

    video_id: str
    similarity: float
    duration_seconds: float
    place: Place
    seconds: float | None = None


class SearchView:
    """The newest vectors of each video, for one model version.

    It equals a plain dictionary of the newest messages by video id, less those of other model
    versions and those of uploads that were submitted before one that was read, or before a
    takedown; where that isn't known, those whose `content_version` is a smaller number than one
    that was read before them. One thread changes it; any number may search meanwhile.
    """

    def __init__(
        self,
        settings: SearchSettings,
        model_version: str,
        dimension: int,
        state: ViewState | None = None,
    ) -> None:
        """Start empty, or with what a snapshot held."""
        self._settings = settings
        self.model_version, self.dimension = model_version, dimension
        if state is None:
            rows = VectorRows(dimension + 1)
            state = ViewState(VideoTable(), rows, VectorIndex(settings, rows), [model_version])
        self.state = state
        self._lock = threading.Lock()
        self._owners = self._owners_now()

    def __len__(self) -> int:
        """How many videos can be found."""
        return int((self.state.table.records["row"] != NO_ROW).sum())

    @property
    def left_out(self) -> dict[str, int]:
        """How many videos have a vector of another model version, by that version."""
        return self.state.left_out

    def add(self, event: VideoEmbedded, place: Place) -> None:
        """Take a message in; it replaces what was known of its video.

        Args:
            event: of any model version; another one's is counted and left out.
            place: where it lies.
        """
        table, version = self.state.table, comparable(event.content_version)
        if self.state.takedowns.cover(event.video_id, event.submission):
            return
        known = table.find(event.video_id)
        if known is not None and self.state.is_late(event, version, known):
            return
        # Before the lock, for which searches wait.
        made = self._rows_of(event)
        with self._lock:
            number = table.put(event.video_id)
            # Old row and new one change under one lock: a search finds the video once, never twice
            # or not at all.
            self._forget(number)
            record = table.records[number]
            record["model"] = self._model(event)
            record["partition"], record["offset"] = place
            record["version"] = version
            record["duration"] = min(event.duration_seconds, LONGEST_SECONDS)
            self.state.note_submission(record, event.submission)
            if made is not None:
                self._append(number, *made)

    def remove(
        self, video_id: str, takedown: Takedown | None = None, *, restated: bool = False
    ) -> None:
        """Take a video down: no search that begins after this finds it.

        Args:
            video_id: of the video.
            takedown: which submissions it covers; those are never taken in again.
            restated: it was said before, and changes nothing that was submitted after it.
        """
        table, said = self.state.table, takedown or Takedown()
        known = table.find(video_id)
        taken = None
        if known is not None:
            taken = self.state.submission_of(known)
            if not said.takes(taken, restated=restated):
                taken = known = None
        self.state.takedowns.add(video_id, said.including(taken))
        if known is None:
            return
        with self._lock:
            self._forget(known)
            table.drop(video_id)

    def search(self, vectors: Floats, k: int) -> list[list[Hit]]:
        """The videos nearest to each of some vectors.

        Args:
            vectors: (Q, D) float32, unit rows of the view's model.
            k: how many, at most.

        Returns:
            For each vector up to `k` hits, most similar first.

        Raises:
            ValueError: another dimension.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.dimension:
            raise ValueError(f"{vectors.shape = }, expected (Q, {self.dimension})")
        return [self._search(query, k) for query in _lifted(vectors.astype(np.float32), 1.0)]

    def maintain(self) -> None:
        """Keep search fast as the view grows; call it after every few hundred changes.

        May take minutes when millions of vectors get new lists; searches go on meanwhile. So that
        changes do too, `compact` may be called alone, and `state.index.maintain` by another thread
        at any time but during `compact`.
        """
        self.compact()
        self.state.index.maintain()

    def compact(self) -> None:
        """Drop the rows that nobody owns, if they are many."""
        dead = int((self._owners[: len(self.state.rows)] == NO_ROW).sum())
        if dead > max(MIN_DEAD, DEAD_SHARE * len(self.state.rows)):
            self._compact()

    def _search(self, query: Floats, k: int) -> list[Hit]:
        """Look further as long as what is found was removed or replaced meanwhile."""
        most = max(self._settings.near_rows, 2 * k)
        while True:
            state = self.state
            count = len(state.rows)
            exhaustive = most >= count
            # Without the lock, since it takes long; who owns what was found is looked up under it.
            rows = state.index.search(query, most, exhaustive=exhaustive)
            # All numbers are finite; BLAS may meet others where it computes more than is asked for.
            with np.errstate(invalid="ignore"):
                similarities = state.rows.take(rows) @ query
            with self._lock:
                # Compacted meanwhile: the row numbers are others' by now.
                if state is not self.state:
                    continue
                owners = self._owners[rows]
                alive = owners != NO_ROW
                if len(np.unique(owners[alive])) >= k or exhaustive:
                    return self._hits(rows[alive], similarities[alive], k)
            most *= 4

    def _hits(self, rows: NDArray[np.int64], similarities: Floats, k: int) -> list[Hit]:
        """Each video once, the most similar first; of equals, by their ids.

        Args:
            rows: (N,) ascending, all of them some video's.
            similarities: (N,).
            k: how many, at most.
        """
        records, table = self.state.table.records, self.state.table
        # Of rows that are as near the first, which is the whole video's.
        order = np.argsort(-similarities, kind="stable")
        numbers, first = np.unique(self._owners[rows[order]], return_index=True)
        rows, similarities = rows[order[first]], similarities[order[first]]
        if len(numbers) > k:
            # Those as near as the last of them too: ids then decide among equals, not the index.
            near = similarities >= np.partition(similarities, -k)[-k]
            numbers, rows, similarities = numbers[near], rows[near], similarities[near]
        hits = [
            Hit(
                table.video_id(number),
                float(np.clip(similarity, -1, 1)),
                float(records[number]["duration"]),
                Place(int(records[number]["partition"]), int(records[number]["offset"])),
                self.state.rows.seconds_of(row),
            )
            for number, row, similarity in zip(
                numbers.tolist(), rows.tolist(), similarities.tolist(), strict=True
            )
        ]
        return sorted(hits, key=lambda hit: (-hit.similarity, hit.video_id))[:k]

    def _rows_of(self, event: VideoEmbedded) -> tuple[Floats, Floats] | None:
        """A video's rows and their seconds; None where it is another model's."""
        if event.model_version != self.model_version or event.dimension != self.dimension:
            return None
        vector = np.array(event.vector, np.float64)
        # An event may hold any finite numbers; the ones below make a unit of them.
        largest = np.abs(vector).max()
        if largest > 0:
            vector /= largest  # so that no square overflows
            vector /= np.linalg.norm(vector)
        moments = event.moments()
        count = len(moments.seconds)
        some = evenly_spread(count, min(count, self._settings.moments))
        whole = _lifted(vector.astype(np.float32)[None], 0.0)
        lifted = _lifted(moments.vectors[some], -self._settings.moment_margin)
        seconds = np.concatenate([np.full(1, np.nan, np.float32), moments.seconds[some]])
        return np.concatenate([whole, lifted]), seconds

    def _model(self, event: VideoEmbedded) -> int:
        """The number of an event's model; who asks the view says what `left_out` holds."""
        name = event.model_version
        if name == self.model_version:
            if event.dimension == self.dimension:
                return OWN
            name = f"{name} of {event.dimension} dimensions"
        return self.state.model_number(name)

    def _append(self, number: int, vectors: Floats, seconds: Floats) -> None:
        first, count = len(self.state.rows), len(vectors)
        if first + count > len(self._owners):
            room = np.full(max(1024, len(self._owners)), NO_ROW, np.int64)
            self._owners = np.concatenate((self._owners, room))
        for vector, at in zip(vectors, seconds.tolist(), strict=True):
            self.state.rows.append(vector, at)
        self._owners[first : first + count] = number
        record = self.state.table.records[number]
        record["row"], record["rows"] = first, count

    def _forget(self, number: int) -> None:
        record = self.state.table.records[number]
        if record["row"] != NO_ROW:
            first = int(record["row"])
            self._owners[first : first + int(record["rows"])] = NO_ROW
            record["row"], record["rows"] = NO_ROW, 0

    def _owners_now(self) -> NDArray[np.int64]:
        """The record of each row, (N,); `NO_ROW` where its video has another one or is gone."""
        records = self.state.table.records
        owners = np.full(len(self.state.rows), NO_ROW, np.int64)
        owning = np.flatnonzero((records["row"] != NO_ROW) & (records["model"] != FREE))
        counts = records["rows"][owning].astype(np.int64)
        ahead = np.cumsum(counts) - counts  # rows of those before
        firsts = np.repeat(records["row"][owning] - ahead, counts)
        owners[firsts + np.arange(counts.sum())] = np.repeat(owning, counts)
        return owners

    def _compact(self) -> None:
        state = self.state
        alive = np.flatnonzero(self._owners[: len(state.rows)] != NO_ROW)
        # Copied beside running searches, which keep the old state; only the exchange takes the
        # lock.
        rows = state.rows.chosen(alive)
        index = state.index.renewed(rows)
        with self._lock:
            # A video's rows lie together, before and after.
            owners = self._owners[alive]
            firsts = np.flatnonzero(np.diff(owners, prepend=NO_ROW))
            state.table.records["row"][owners[firsts]] = firsts
            self.state = replace(state, rows=rows, index=index)
            self._owners = self._owners_now()


def _lifted(vectors: Floats, number: float) -> Floats:
    """(N, D) to (N, D + 1), the same number behind each."""
    return np.pad(vectors, ((0, 0), (0, 1)), constant_values=number)
