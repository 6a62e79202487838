"""Brings a shard to an offset of the log beside its worker: from a snapshot, or from the start.

Serves `verify` and `reshard`. Nothing is answered, and the worker's folder is only read.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from models.aligners.base import Segment
from models.aligners.matrix import SimilarityMatrix
from stream.agents.library import library_step
from stream.contract.message import Source
from stream.library.settings import LibrarySettings
from stream.library.shard import LibraryShard
from stream.library.snapshot import SnapshotStore
from stream.library.state import ShardState
from stream.library.upkeep import Upkeep

UPKEEP_EVERY = 1000  # entries: as often as a worker writes snapshots by default


class Log(Protocol):
    """What `stream.broker.library_log.LibraryLog` offers, for the tests."""

    @property
    def identity(self) -> str:
        """Ids of the cluster and of the topic: a snapshot of another log is never restored."""
        ...

    def ends(self) -> tuple[int, int]:
        """The first offset that is there, and the one that the next entry gets."""
        ...

    def read(self, start: int, stop: int) -> Iterator[Source]:
        """The entries from `start` on and before `stop`."""
        ...

    def answered(self, shard: int, shards: int) -> int | None:
        """Up to where a shard has answered."""
        ...

    def set_answered(self, shard: int, shards: int, offset: int) -> None:
        """Tell a shard that everything before is answered."""
        ...


class NoAligner:
    """Stands where nothing is answered."""

    version = "none"

    def align(self, similarity: SimilarityMatrix) -> list[Segment]:
        """Never called.

        Raises:
            RuntimeError: it was.
        """
        raise RuntimeError("a shard that only takes entries was asked to answer")


def silent_shard(
    settings: LibrarySettings, shard: int, state: ShardState | None = None
) -> LibraryShard:
    """A shard that takes entries and answers none."""
    return LibraryShard(settings, shard, NoAligner(), state)


def absorb(library: LibraryShard, sources: Iterable[Source], upkeep: Upkeep) -> None:
    """Take entries of the log without answering; what is sealed goes to disk and is merged."""
    for number, source in enumerate(sources, 1):
        library_step(library, source, answered=True)
        if number % UPKEEP_EVERY == 0:
            upkeep.step(library.state, wait=True)


@contextmanager
def scratch_upkeep(settings: LibrarySettings, shard: int) -> Iterator[Upkeep]:
    """Upkeep in a folder of its own, beside the snapshots, that is deleted afterwards."""
    settings.snapshot_folder.mkdir(parents=True, exist_ok=True)
    # Runs of a large library have room where its snapshots lie, and perhaps not in /tmp.
    with TemporaryDirectory(dir=settings.snapshot_folder, prefix=".scratch-") as folder:
        aside = settings.model_copy(
            update={"snapshot_folder": Path(folder), "snapshot_store": None}
        )
        # Of no log: nothing is ever restored from this folder.
        with closing_upkeep(SnapshotStore(aside, shard=shard, log_id="")) as upkeep:
            yield upkeep


@contextmanager
def closing_upkeep(snapshots: SnapshotStore) -> Iterator[Upkeep]:
    """Upkeep that writes where a shard's snapshots lie."""
    upkeep = Upkeep(snapshots)
    try:
        yield upkeep
    finally:
        upkeep.close()
