"""What a shard's store needs done beside answering: codebooks, merges, snapshots.

Also copies what the object store lacks, and looks whether files are still as they were written.
Work is done on a thread of its own, one piece at a time; the shard's thread hands over what no
longer changes, and takes results in between two log entries. Search waits for none of it.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from stream.errors import SnapshotError
from stream.index.inverted import (
    SUBVECTOR,
    TRAINING_ROWS_PER_LIST,
    Codebook,
    list_count,
)
from stream.index.protocol import Index
from stream.library.capture import capture
from stream.library.head import Head, fill
from stream.library.run import Run
from stream.library.run_files import add_lists, map_again, new_name, write_joined
from stream.library.snapshot import SnapshotStore
from stream.library.state import ShardState
from stream.library.store import FrameStore

log = logging.getLogger(__name__)

# Times the rows of its training, and a codebook is made anew: the number of lists goes with the
# root of the rows, so that it is then a third of what it should be.
GROWTH = 8
DEAD_SHARE = 0.2  # of a run's rows, and they are dropped: searches look at dead rows too
MERGE_RATIO = 32  # an older run that is larger by more stays: what was just sealed never meets one

REST_SECONDS = 60.0  # after something failed: a full disk is no emptier for being tried again
CHECK_SECONDS = 3600.0  # between two looks at files that lie on the disk, one run at a time

Adopt = Callable[[], None]


class Upkeep:
    """Keeps one shard's store in shape. `step` and `snapshot` are of the shard's thread."""

    def __init__(self, snapshots: SnapshotStore) -> None:
        self._snapshots = snapshots
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="library-upkeep")
        self._work: Future[Adopt] | None = None
        self._rests_until = self._copy_rests_until = 0.0
        self._checks_at = time.monotonic() + CHECK_SECONDS
        self._checked_serial = -1

    @property
    def busy(self) -> bool:
        """Whether something is under way or waits to be taken in."""
        return self._work is not None

    def step(self, state: ShardState, *, wait: bool = False) -> bool:
        """Take in what is done, and begin what is due.

        Args:
            state: of the shard.
            wait: until nothing is under way or due.

        Returns:
            Whether something is under way, or rests after it failed: no time for a snapshot.
        """
        while True:
            if self._work is not None and (wait or self._work.done()):
                self._adopt()
            rests = time.monotonic() < self._rests_until
            if self._work is None and state.store is not None and not rests:
                self._begin(state.store)
            if self._work is None and self._copy_is_due:
                self._work = self._thread.submit(self._copy)
            if self._work is None or not wait:
                return rests or self._work is not None

    def snapshot(self, state: ShardState, next_offset: int, saved: Callable[[], None]) -> None:
        """Begin to write a snapshot of the state as it is now; nothing else may be under way.

        Args:
            state: of the shard.
            next_offset: of the log.
            saved: called on the shard's thread when it is written.
        """
        assert self._work is None
        taken = capture(state, next_offset)

        def write() -> Adopt:
            self._snapshots.write(taken)
            if self._copy_is_due:
                self._copy()
            return saved

        self._work = self._thread.submit(write)

    def finish(self) -> None:
        """Wait for what is under way and take it in."""
        if self._work is not None:
            self._adopt()

    def close(self) -> None:
        """End the thread, once what is under way is done; its result isn't taken in."""
        self._thread.shutdown()

    def _adopt(self) -> None:
        """Take a result in; a disk that is full is a warning: Kafka has everything."""
        assert self._work is not None
        work, self._work = self._work, None
        try:
            work.result()()
        except (SnapshotError, OSError) as error:
            log.warning("%s", error)
            self._rests_until = time.monotonic() + REST_SECONDS

    @property
    def _copy_is_due(self) -> bool:
        return self._snapshots.to_copy and time.monotonic() >= self._copy_rests_until

    def _copy(self) -> Adopt:
        """Copy the newest snapshot to the object store; while that is away, snapshots go on."""
        try:
            self._snapshots.copy()
        except SnapshotError as error:
            log.warning("%s; it will be copied later", error)
            self._copy_rests_until = time.monotonic() + REST_SECONDS
        return _nothing

    def _begin(self, store: FrameStore) -> None:
        rows = len(store)
        trained = store.codebook.trained_on if store.codebook is not None else 0
        due = store.settings.exact_rows if trained == 0 else GROWTH * trained
        listed = store.settings.device == "cpu" and store.codes.dimension % SUBVECTOR == 0
        # One piece of work at a time, the most useful first: without lists, searches look at
        # everything. `_sealed` runs here, on the shard's thread; the other only sees what changes
        # no more.
        if rows >= due and listed:
            self._work = self._thread.submit(self._relist, store, _sealed(store), rows)
        elif group := merging(store.runs, store.forgets_before):
            # Before the merge copies entries: what is replaced from now on is marked in its result
            # too.
            store.marks = []
            self._work = self._thread.submit(self._merge, store, group, store.forgets_before)
        elif time.monotonic() >= self._checks_at:
            self._checks_at = time.monotonic() + CHECK_SECONDS
            self._check_next(store)

    def _check_next(self, store: FrameStore) -> None:
        """Look whether the files of the next run are as they were written."""
        written = [run for run in store.runs if run.folder is not None]
        if not written:
            return
        later = [run for run in written if run.first_serial > self._checked_serial]
        run = (later or written)[0]
        self._checked_serial = run.first_serial

        def check() -> Adopt:
            return partial(map_again, run) if self._snapshots.mend(run) else _nothing

        self._work = self._thread.submit(check)

    def _relist(self, store: FrameStore, runs: tuple[Run, ...], rows: int) -> Adopt:
        """A codebook for so many rows, and every sealed run in its lists."""
        codebook = Codebook.train(sample_of(store, runs, rows), rows)
        made = [store.new_lists(codebook) for _ in runs]
        for lists, run in zip(made, runs, strict=True):
            fill(lists, run, store.codes)

        def adopt() -> None:
            store.codebook = codebook
            for lists, run in zip(made, store.runs, strict=False):
                run.lists = lists
            for run in store.runs[len(runs) :]:  # sealed meanwhile
                run.lists = codebook.new_codes()
                fill(run.lists, run, store.codes)
            for run in store.runs:
                run.folder = None  # its files are of another codebook
            store.head = Head.of(store.head.run, store.codes, store.new_head_lists())

        return adopt

    def _merge(self, store: FrameStore, runs: list[Run], forgets_before: int) -> Adopt:
        dead = [run.dead(forgets_before) for run in runs]
        drop = sum(run.dead_share(forgets_before) * len(run.rows) for run in runs)
        # A little that is dead stays: of whole runs the indexes are copied, not made anew.
        if drop <= DEAD_SHARE * sum(len(run.rows) for run in runs):
            dead = [np.zeros(len(run), bool) for run in runs]
        folder = self._snapshots.runs_folder / new_name(runs[0])
        merged = write_joined(runs, [~one for one in dead], folder)
        lists = _joined_lists(store, runs, merged)
        add_lists(merged, lists)

        def adopt() -> None:
            # Looked for anew: other runs may have been sealed behind these meanwhile.
            first = next(n for n, run in enumerate(store.runs) if run is runs[0])
            kept = [merged] if len(merged) else []
            store.runs = (*store.runs[:first], *kept, *store.runs[first + len(runs) :])
            for serial, offset in store.marks or ():
                mark(merged, serial, offset)
            store.marks = None

        return adopt


def _nothing() -> None:
    """Nothing to take in."""


def merging(runs: tuple[Run, ...], forgets_before: int) -> list[Run]:
    """Neighbours that should be one: the older not much larger than the newer, or much of it dead.

    A search pays for each run, so there is one besides the head, but for a while after it was
    sealed; a row is written anew whenever the store has grown by a thirty-second.
    """
    for run in runs:
        if run.dead_share(forgets_before) > DEAD_SHARE:
            return [run]
    group: list[Run] = []
    for run in reversed(runs):
        if group and len(run.rows) > MERGE_RATIO * sum(len(newer.rows) for newer in group):
            break
        group.insert(0, run)
    return group if len(group) > 1 else []


def mark(run: Run, serial: int, offset: int) -> None:
    """Note in a run that a video was replaced, if the run still has it."""
    place = int(np.searchsorted(run.entries["serial"], serial))
    if place < len(run) and run.entries["serial"][place] == serial:
        run.entries["replaced_at"][place] = offset


def sample_of(store: FrameStore, runs: tuple[Run, ...], rows: int) -> NDArray[np.float32]:
    """Rows for a training, evenly from all: (M, D) float32 whole numbers."""
    wanted = TRAINING_ROWS_PER_LIST * list_count(rows)
    every = max(1, sum(len(run.rows) for run in runs) // wanted)
    return np.concatenate(
        [store.codes.whole(np.ascontiguousarray(run.rows[::every])) for run in runs]
    )


def _sealed(store: FrameStore) -> tuple[Run, ...]:
    store.seal()
    return store.runs


def _joined_lists(store: FrameStore, runs: list[Run], merged: Run) -> Index:
    """An index of what was merged: copied where nothing was left out, made anew where it was."""
    made = store.new_lists()
    whole = sum(len(run.rows) for run in runs) == len(merged.rows)
    if not (whole and made.merge([_index_like(made, run, store) for run in runs])):
        fill(made, merged, store.codes)
    return made


def _index_like(made: Index, run: Run, store: FrameStore) -> Index:
    """A run's index, of the same kind as another; a head that was sealed has codes, say, not lists.

    So that only the small runs of a merge are read again.
    """
    if run.lists is not None and type(run.lists) is type(made):
        return run.lists
    lists = store.new_lists()
    fill(lists, run, store.codes)
    return lists
