"""The frames of a shard: runs that no longer grow, and a head that does.

Small libraries are searched exactly. From `exact_rows` on, lists of short codes say which frames
are near, and the packed rows, mapped from disk, say how near. Which frames are found depends on
the codebook, not on how they are spread over runs: but for ties in the last place, sealing, merging
and snapshots change no answer.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.index.exact import FrameIndex
from stream.index.gpu import GpuFrames
from stream.index.inverted import Codebook
from stream.index.protocol import Hits, Index
from stream.library.entry import Entry, pack_entry
from stream.library.frame_search import by_run, search_runs
from stream.library.head import Head, fill
from stream.library.replaced import ReplacedVersions
from stream.library.rows import RowCodes
from stream.library.run import NEVER, Rows, Run
from stream.library.settings import LibrarySettings

# `near_rows` is chosen for this many frames; fewer are found as well with fewer, by the root of
# their number, and 384 do from 0.6 million down: docs/library.md, "At size", has the recall.
NEAR_ROWS_AT = 10_000_000
MIN_NEAR_ROWS = 384  # a quarter of the setting's default, as measured there

# The head is sealed when it is this part of the whole. A search looks at all of the head, and each
# sealing writes every row anew: a larger part costs searches, a smaller one costs merges.
SEALED_SHARE = 32


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
        """What is known of it, unpacked anew each time that it is asked for."""
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
        # A snapshot's head comes without an index; it is filled here, as those of runs are below.
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

    def new_lists(self, codebook: Codebook | None = None) -> Index:
        """An empty index for a run: exact while there is no codebook.

        The one place to change for another index: return it here.

        Args:
            codebook: that the store is about to take; the one that it has when left out.
        """
        codebook = codebook or self.codebook
        if self.settings.device == "cuda":
            return GpuFrames(self.codes.dimension)
        return FrameIndex(self.codes.dimension) if codebook is None else codebook.new_lists()

    def new_head_lists(self) -> Index:
        """An empty index for the head: codes without lists, once there is a codebook."""
        if self.codebook is None or self.settings.device == "cuda":
            return self.new_lists()
        return self.codebook.new_codes()

    def new_head(self) -> Head:
        """An empty head, to go on with when the one before is sealed."""
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
        # A video without frames takes a number too: serials also name videos.
        self.next_serial += max(1, len(rows))
        # At each append and not at a merge: what is forgotten depends on the log alone, and merges
        # fall differently on every replica.
        self._forget(self._replaced.pop_before(self.forgets_before))
        if len(self.head.run.rows) >= max(self.settings.run_rows, len(self) // SEALED_SHARE):
            self.seal()
        return serial

    def seal(self) -> None:
        """The head grows no more, and another begins."""
        if len(self.head.run):
            # A sealed run has no rows that wait for its index: nothing would list them later.
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
        # Serials ascend from run to run: the last that begins before it is the only one.
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
                # Replaced at its own place: `existed_before` is then false for a search at any
                # offset.
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
        # A merge under way copied the entries before this; it takes the marks in at its end.
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
        min_similarity: float,
        *,
        before: int,
    ) -> Hits:
        """Frames of videos added before a place of the log that are more similar than asked.

        Args:
            queries: (Q, D) int8, unit descriptors times 127.
            biases: (Q,) int8, their score biases times 127.
            min_similarity: cosine less the query's bias.
            before: place in the log.
        """
        return search_runs(
            self.all_runs(), self.codes, queries, biases, min_similarity,
            before=before, near_rows=self.near_rows, probes=self.settings.probes,
        )  # fmt: skip

    def owners_of(self, serials: NDArray[np.int64]) -> NDArray[np.int64]:
        """The serial of the video that holds each frame, (M,)."""
        owners = np.empty(len(serials), np.int64)
        for run, inside in by_run(self.all_runs(), serials):
            owners[inside] = run.serials[run.places_of(serials[inside])]
        return owners


def _held(run: Run, place: int) -> Held:
    entry = run.entries[place]
    numbers = (int(entry[name]) for name in ("serial", "hash", "offset", "replaced_at"))
    return Held(run, place, *numbers)
