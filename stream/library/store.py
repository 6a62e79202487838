"""The frames of a shard: runs that no longer grow, and a head that does.

Small libraries are searched exactly. From `exact_rows` on, lists of short codes say which frames
are near, and the packed rows, mapped from disk, say how near. Which frames are found depends on
the codebook, not on how they are spread over runs: but for ties in the last place, sealing, merging
and snapshots change no answer.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stream.contract.packed import CODE_SCALE
from stream.index.exact import FrameIndex, Hits, cosines
from stream.index.gpu import GpuFrames
from stream.index.inverted import Codebook, FrameCodes, FrameLists, Nearest, nearest_of
from stream.library.entry import Entry, pack_entry
from stream.library.head import AnyLists, Head, fill
from stream.library.replaced import ReplacedVersions
from stream.library.rows import RowCodes
from stream.library.run import NEVER, Rows, Run
from stream.library.settings import LibrarySettings

QUERY_BLOCK = 128  # query frames whose near frames are looked at together
NEAR_ROWS_AT = 10_000_000  # frames, from which on all of `near_rows` are looked at
MIN_NEAR_ROWS = 384
MAPPED_PARTS = 8  # of a run's files, of which one at a time counts as this process's memory
ESTIMATE_MARGIN = 0.1  # codes say less of hardly any frame than it is by more than this

SEALED_SHARE = 32  # the head is sealed when it is this part of the whole


@dataclass(frozen=True)
class Held:
    """A video in the store.

    Attributes:
        serial: of its first frame; names it for as long as it is held.
        video_hash: of its id.
        offset: in the log, where it was added.
        replaced_at: `NEVER`, or where another version took its place; its own where removed or
            forgotten.
    """

    run: Run
    place: int
    serial: int
    video_hash: int
    offset: int
    replaced_at: int

    @property
    def entry(self) -> Entry:
        """What is known of it."""
        return self.run.entry(self.place)

    def existed_before(self, offset: int) -> bool:
        """Whether a search at that place of the log could find it."""
        return self.offset < offset and self.replaced_at >= offset


class FrameStore:
    """Appends, finds and forgets. Not thread-safe: its shard is its only user.

    Attributes:
        runs: oldest first; replaced as a whole.
        next_serial: of the next frame.
        marks: what was replaced, (serial, offset), while somebody wants to know.
    """

    def __init__(
        self,
        settings: LibrarySettings,
        codes: RowCodes,
        *,
        runs: tuple[Run, ...] = (),
        head: Run | None = None,
        codebook: Codebook | None = None,
        next_serial: int = 0,
    ) -> None:
        """Begin empty, or where a snapshot was taken."""
        self.settings, self.codes = settings, codes
        self.runs, self.codebook, self.next_serial = runs, codebook, next_serial
        self.head = self.new_head() if head is None else Head.of(head, codes, self.new_head_lists())
        self.marks: list[tuple[int, int]] | None = None
        self._replaced = ReplacedVersions(settings.keep_versions)
        self._note_replaced()
        for run in runs:
            if run.lists is None:
                run.lists = self.new_lists()
                fill(run.lists, run, codes)

    def __len__(self) -> int:
        """Frames, those of replaced videos included until they are dropped."""
        return sum(len(run.rows) for run in self.all_runs())

    def all_runs(self) -> tuple[Run, ...]:
        """The head as it is now is the last of them, unless it is empty."""
        head = self.head.run
        return (*self.runs, head) if len(head) else self.runs

    def new_lists(self) -> AnyLists:
        """Empty ones, exact while there is no codebook."""
        if self.settings.device == "cuda":
            return GpuFrames(self.codes.dimension)
        if self.codebook is None:
            return FrameIndex(self.codes.dimension)
        return self.codebook.new_lists()

    def new_head_lists(self) -> AnyLists:
        """Empty ones for the head: codes without lists, once there is a codebook."""
        if self.codebook is None or self.settings.device == "cuda":
            return self.new_lists()
        return self.codebook.new_codes()

    def new_head(self) -> Head:
        """An empty one."""
        return Head(self.codes, self.new_head_lists())

    def append(self, entry: Entry, codes: NDArray[np.int8], video_hash: int, offset: int) -> int:
        """Take a video; (N, D) int8 descriptors of its key frames. Returns its serial."""
        return self.append_packed(video_hash, offset, self.codes.pack(codes), pack_entry(entry))

    def append_packed(self, video_hash: int, offset: int, rows: Rows, payload: bytes) -> int:
        """Take a video as a run holds it: (N, width) packed rows, packed entry. Returns its serial.

        Videos come in log order.
        """
        serial = self.next_serial
        self.head.append(video_hash, offset, serial, rows, payload)
        self.next_serial += max(1, len(rows))
        self._forget(self._replaced.pop_before(self.forgets_before))
        if len(self.head.run.rows) >= max(self.settings.segment_rows, len(self) // SEALED_SHARE):
            self.seal()
        return serial

    def seal(self) -> None:
        """The head grows no more, and another begins."""
        if len(self.head.run):
            self.head.list_all()
            self.runs = (*self.runs, self.head.run)
            self.head = self.new_head()

    @property
    def near_rows(self) -> int:
        """How many near frames are looked at exactly: fewer in a small store, with the root."""
        most = self.settings.near_rows
        share = float(np.sqrt(min(1.0, self.next_serial / NEAR_ROWS_AT)))
        return max(min(MIN_NEAR_ROWS, most), round(share * most))

    def held(self, serial: int) -> Held:
        """The video with that serial, or that holds the frame with it.

        Raises:
            KeyError: it is held no more.
        """
        for run in reversed(self.all_runs()):
            if run.first_serial <= serial:
                place = int(run.places_of(np.array([serial]))[0])
                entry = run.entries[place]
                if serial < entry["serial"] + max(1, entry["count"]):
                    return _held(run, place)
                break
        raise KeyError(serial)

    def all_held(self) -> Iterator[Held]:
        """Every video, also those that were replaced, oldest first."""
        for run in self.all_runs():
            yield from (_held(run, place) for place in range(len(run)))

    def replace(self, serial: int, offset: int) -> None:
        """Note that another version took a video's place."""
        try:
            held = self.held(serial)
        except KeyError:
            return
        self._mark(held.run, held.place, offset)
        self._forget(self._replaced.add(held.video_hash, offset, serial))

    def remove(self, video_hash: int) -> None:
        """Forget all versions of a video: not even a search that is repeated finds them."""
        self._replaced.drop(video_hash)
        for run in self.all_runs():
            for place in np.flatnonzero(run.entries["hash"] == video_hash).tolist():
                self._mark(run, place, int(run.entries["offset"][place]))

    def _forget(self, serials: Iterable[int]) -> None:
        """Keep replaced versions no longer; their rows go at the next merge."""
        for serial in serials:
            try:
                held = self.held(serial)
            except KeyError:
                continue
            self._mark(held.run, held.place, held.offset)

    def _note_replaced(self) -> None:
        """Which replaced versions a snapshot has."""
        for run in self.all_runs():
            at = run.entries["replaced_at"]
            for place in np.flatnonzero((at != NEVER) & (at != run.entries["offset"])).tolist():
                held = _held(run, place)
                kept = self._replaced.add(held.video_hash, held.replaced_at, held.serial)
                self._forget(kept)

    def _mark(self, run: Run, place: int, offset: int) -> None:
        run.entries["replaced_at"][place] = offset
        if self.marks is not None:
            self.marks.append((int(run.entries["serial"][place]), offset))

    @property
    def forgets_before(self) -> int:
        """Versions that were replaced before this place of the log need not be kept."""
        runs = self.all_runs()
        newest = int(runs[-1].entries["offset"][-1]) if runs else 0
        return newest - self.settings.keep_replaced

    def whole_rows(self, held: Held) -> NDArray[np.float32]:
        """A video's frames, (N, D) float32 whole numbers: unit descriptors times 127."""
        entry = held.run.entries[held.place]
        start = int(entry["row"])
        return self.codes.whole(held.run.rows[start : start + int(entry["count"])])

    def search(
        self,
        queries: NDArray[np.int8],
        biases: NDArray[np.int8],
        similarity: float,
        *,
        before: int,
    ) -> Hits:
        """Frames of videos added before a place of the log that are more similar than asked.

        Args:
            queries: (Q, D) int8, unit descriptors times 127.
            biases: (Q,) int8, their score biases times 127.
            similarity: cosine less the bias.
            before: place in the log.
        """
        runs = self.all_runs()
        below = _serial_before(runs, before)
        exact = [run for run in runs if isinstance(run.lists, FrameIndex)]
        parts = [self._exactly(run, queries, biases, similarity, below) for run in exact]
        parts += [self._waiting(run, queries, biases, similarity, below) for run in runs]
        listed = [run for run in runs if not isinstance(run.lists, FrameIndex)]
        for start in range(0, len(queries) if listed else 0, QUERY_BLOCK):
            block = slice(start, start + QUERY_BLOCK)
            near = self._near(listed, queries[block].astype(np.float32), below)
            found = self._measured(listed, near, queries[block], biases[block], similarity)
            parts.append(Hits(found.queries + start, found.serials, found.similarities))
        return Hits.joined(parts)

    def owners_of(self, serials: NDArray[np.int64]) -> NDArray[np.int64]:
        """The serial of the video that holds each frame, (M,)."""
        owners = np.empty(len(serials), np.int64)
        for run, inside in _by_run(self.all_runs(), serials):
            owners[inside] = run.serials[run.places_of(serials[inside])]
        return owners

    def _exactly(
        self,
        run: Run,
        queries: NDArray[np.int8],
        biases: NDArray[np.int8],
        similarity: float,
        below: int | None,
    ) -> Hits:
        rows = len(run.rows)
        if below is not None:
            held = int(np.searchsorted(run.entries["serial"], below))
            rows = int(run.entries["row"][held]) if held < len(run) else rows
        lists = run.lists
        assert isinstance(lists, FrameIndex)
        found = lists.search(queries, biases, similarity, below_row=rows)
        return Hits(found.queries, run.serials_of(found.rows), found.similarities)

    def _waiting(
        self,
        run: Run,
        queries: NDArray[np.int8],
        biases: NDArray[np.int8],
        similarity: float,
        below: int | None,
    ) -> Hits:
        """Exactly, among the rows at the end of the head that aren't in the lists yet."""
        if run.waiting == 0:
            return Hits.joined([])
        first = len(run.rows) - run.waiting
        serials = run.serials_of(np.arange(first, len(run.rows)))
        values = cosines(queries, self.codes.whole(run.rows[first:]))
        values -= biases[:, None].astype(np.float32) / np.float32(CODE_SCALE)
        near = values > similarity
        asked, found = np.nonzero(near if below is None else near & (serials < below))
        return Hits(asked.astype(np.int64), serials[found], values[asked, found])

    def _near(self, runs: list[Run], queries: NDArray[np.float32], below: int | None) -> Nearest:
        most, parts = self.near_rows, []
        for run in runs:
            if below is not None and run.first_serial >= below:
                continue
            assert isinstance(run.lists, FrameLists | FrameCodes | GpuFrames)
            parts.append(run.lists.search(queries, most, self.settings.probes, below=below))
        if not parts:
            none = np.empty((len(queries), 0))
            return Nearest(none.astype(np.int64), none.astype(np.float32))
        return nearest_of(parts, most)

    def _measured(
        self,
        runs: list[Run],
        near: Nearest,
        queries: NDArray[np.int8],
        biases: NDArray[np.int8],
        similarity: float,
    ) -> Hits:
        """How near the near frames really are."""
        least = similarity - ESTIMATE_MARGIN + biases.astype(np.float32) / CODE_SCALE  # (Q,)
        asked, places = np.nonzero(
            (near.serials >= 0) & (near.estimates > least[:, None] * CODE_SCALE**2)
        )
        serials = near.serials[asked, places]  # (P,)
        rows = np.empty((len(serials), self.codes.width), self.codes.kind)
        order = ascending(serials)  # the files are read from front to back
        ordered = serials[order]
        for run, inside in _by_run(tuple(runs), ordered):
            for part in np.array_split(inside, MAPPED_PARTS):
                rows[order[part]] = run.rows[run.rows_of(ordered[part])]
                run.unmap_pages()
        products = np.empty(len(serials), np.float32)
        ends = np.searchsorted(asked, np.arange(len(queries) + 1)).tolist()
        for query, (start, end) in zip(queries, pairwise(ends), strict=True):
            self.codes.multiply(rows[start:end], query, out=products[start:end])
        values = products / np.float32(CODE_SCALE**2)
        values -= biases[asked].astype(np.float32) / np.float32(CODE_SCALE)
        kept = values > similarity
        return Hits(asked[kept].astype(np.int64), serials[kept], values[kept])


def _held(run: Run, place: int) -> Held:
    entry = run.entries[place]
    numbers = (int(entry[name]) for name in ("serial", "hash", "offset", "replaced_at"))
    return Held(run, place, *numbers)


def ascending(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """What `argsort` gives, several times as fast: values and places are sorted as one number.

    Args:
        values: (N,) from 0 to 2^40.

    Returns:
        (N,) places, by value.
    """
    bits = len(values).bit_length()
    both = np.sort((values << bits) | np.arange(len(values)))
    places: NDArray[np.int64] = both & ((1 << bits) - 1)
    return places


def _serial_before(runs: tuple[Run, ...], offset: int) -> int | None:
    """The serial that the first video added at a place of the log or later has; None without."""
    for run in runs:
        place = int(np.searchsorted(run.entries["offset"], offset))
        if place < len(run):
            return int(run.entries["serial"][place])
    return None


def _by_run(
    runs: tuple[Run, ...], serials: NDArray[np.int64]
) -> Iterator[tuple[Run, NDArray[np.intp]]]:
    """Which of the frames each run holds."""
    firsts = np.array([run.first_serial for run in runs], np.int64)
    holders = np.searchsorted(firsts, serials, side="right") - 1
    for number, run in enumerate(runs):
        inside = np.flatnonzero(holders == number)
        if len(inside):
            yield run, inside
