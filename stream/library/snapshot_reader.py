"""Reads a shard's snapshots beside the worker that writes them; serves the commands."""

from stream.errors import SnapshotError
from stream.library.snapshot import SnapshotStore
from stream.library.snapshot_files import Snapshot


class SnapshotReader(SnapshotStore):
    """The snapshots of a shard whose worker may write others meanwhile.

    Attributes:
        damaged: what was said of those that can't be used, by the last `newest`.
    """

    damaged: tuple[str, ...] = ()

    def newest(self, *, at_most: int | None = None) -> Snapshot | None:
        """The newest usable snapshot, as a worker takes it.

        Args:
            at_most: offset of the log that it must not be beyond.
        """
        while True:
            names = self._names(at_most)
            found = self._first_usable(names)
            if not self.damaged or self._names(at_most) == names:
                return found  # else the worker has dropped what was read here, for a newer one

    def offset(self) -> int | None:
        """The offset of the newest, without a look inside."""
        return max(map(int, self._names(None)), default=None)

    def _first_usable(self, names: list[str]) -> Snapshot | None:
        self.damaged = ()
        for name in names:
            try:
                if self._remote is not None and not (self._folder / name).is_dir():
                    self._remote.pull(name)
                return self._load(self._folder / name)
            except SnapshotError as error:
                self.damaged = (*self.damaged, str(error))
        return None

    def _names(self, at_most: int | None) -> list[str]:
        """Names of snapshots, from the folder and the object store, the newest first."""
        names = {path.name for path in self._found()} | self._remote_names()
        fitting = [name for name in names if at_most is None or int(name) <= at_most]
        return sorted(fitting, reverse=True)
