"""Notes of what was in hand when a worker died, so that an input which kills it is left behind.

A process that is killed by the kernel or crashes in native code catches nothing. Before work on a
message begins its place is noted in a file, after it the note is taken away; what is noted when a
worker starts was in hand at a death.
"""

import faulthandler
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import orjson

from stream.contract.events import ProbeAsked, ProbeFingerprinted
from stream.contract.message import Source
from stream.errors import InternalError, NoPermitError, SettingsError

log = logging.getLogger(__name__)

Place = tuple[str, int, int]

SLOT_BYTES = 512  # of one note, a disk's sector: one that is half written is none
CRASH_WEIGHT = 10  # the process crashed, or the kernel killed one for want of memory
OTHER_WEIGHT = 1  # killed from outside, perhaps: an operator, a supervisor
MAX_WEIGHT = 20  # two crashes, or twenty other deaths
PROBES = (ProbeAsked.topic, ProbeFingerprinted.topic)
"""Whose messages are never seen twice, so that what they did to a worker is nobody else's fault."""
KERNEL_COUNTS = Path("/proc/vmstat")

_dump: IO[bytes] | None = None  # where this process says why it crashes; open until it ends


class Deaths:
    """The notes of one worker.

    Cheap: two small writes for each message, none of which waits for the disk. They survive the
    process, not the machine: a loss of power is nobody's fault. A folder that can't be written
    costs this protection and nothing else, which is said.
    """

    def __init__(self, folder: Path, role: str) -> None:
        """Nothing is read or noted yet.

        Args:
            folder: of the workers of this machine; made when missing.
            role: of the worker, and which one.
        """
        self._folder, self._role = folder / "deaths", role
        self._taken = 0
        self._weights: dict[Place, int] = {}
        self._skips: dict[Place, Path] = {}
        self._slots: dict[Place, int] = {}
        self._free: list[int] = []
        self._next_slot = 1
        self._file: IO[bytes] | None = None

    def open(self) -> None:
        """Read what dead workers of the role left, and begin to note; those of living ones stay."""
        self._taken = _taken_by_the_kernel()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._inherit()
            self._read_skips()
            path = self._folder / f"{self._role}-{uuid4().hex}.notes"
            self._file = path.open("w+b", buffering=0)
            # A lock ends with its process, however that ends: who can take it knows that its owner
            # is dead.
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # for as long as we live
            self._put(0, {"taken": self._taken, "dump": _dump_name(self._folder)})
            # Into a file of our own: those of the dead were deleted as they were read.
            for place in self._weights:
                self._write(place, at_work=False)
        except OSError as error:
            log.warning("deaths can't be noted in %s: %s", self._folder, error)

    def suspects(self, source: Source) -> bool:
        """Whether a crash may be a message's fault, and one more would have it left behind."""
        place = (source.topic, source.partition, source.offset)
        return CRASH_WEIGHT <= self._weights.get(place, 0) < MAX_WEIGHT

    @contextmanager
    def at_work(self, source: Source) -> Iterator[None]:
        """Note a message for the time of the block.

        What must wait for its permit keeps its notes of former deaths.

        Raises:
            InternalError: workers died again and again while it was in hand; nothing is begun.
        """
        place = (source.topic, source.partition, source.offset)
        why = None
        if self._weights.get(place, 0) >= MAX_WEIGHT:
            self._forget(place)
            why = "the worker's process died each time that this was in hand"
        if (said := self._skips.pop(place, None)) is not None:
            with suppress(OSError):
                said.unlink(missing_ok=True)
            why = "left behind by `samesource skip`"
        if why is not None:
            log.warning("%s is rejected: %s", source, why)
            raise InternalError(why)
        self._write(place, at_work=True)
        try:
            yield
        except MemoryError:  # ends the worker: a death, though an orderly one
            self._weights[place] = self._weights.get(place, 0) + CRASH_WEIGHT
            self._write(place, at_work=False)
            raise
        except NoPermitError:
            self._put_away(place)
            raise
        except BaseException:
            self._forget(place)
            raise
        self._forget(place)

    def close(self) -> None:
        """Leave notes of former deaths only: an orderly end is none."""
        if self._file is None:
            return
        for place in [*self._slots]:
            self._put_away(place)
        self._file.close()
        self._file = None

    def _inherit(self) -> None:
        for path in self._folder.glob(f"{self._role}-*.notes"):
            with path.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    continue  # its worker lives
                head, *notes = _notes(file.read()) or [{}]
                dump = self._folder / str(head.get("dump") or "none")
                crashed = dump.is_file() and dump.stat().st_size > 0
                # Of the whole machine: whether it was this process isn't said, and the benefit of
                # the doubt would cost another death.
                short = self._taken > int(head.get("taken", 0))
                others = [note for note in notes if note["topic"] not in PROBES]
                # Whoever asks may ask again: two probes must not get an upload rejected.
                sure = (crashed or short) and len(others) == len(notes)
                for note in others:
                    self._take(note, CRASH_WEIGHT if sure else OTHER_WEIGHT)
                path.unlink(missing_ok=True)
                # The folder outlives many a worker; what one has to say of its crash stays.
                if not crashed and (_dump is None or dump != Path(_dump.name)):
                    dump.unlink(missing_ok=True)

    def _read_skips(self) -> None:
        """What somebody wants left behind; it stays there for others, until one has done so."""
        for path in self._folder.glob(f"{self._role}-*.skip"):
            try:
                said = orjson.loads(path.read_bytes())
            # Another has left it behind by now, or it is half written.
            except (FileNotFoundError, orjson.JSONDecodeError):
                continue
            place = (str(said["topic"]), int(said["partition"]), int(said["offset"]))
            self._skips[place] = path

    def _take(self, note: dict[str, Any], weight: int) -> None:
        place = (str(note["topic"]), int(note["partition"]), int(note["offset"]))
        found = int(note["weight"]) + (weight if note["at_work"] else 0)
        # Not summed over files: each has what its worker had inherited in it already.
        self._weights[place] = max(found, self._weights.get(place, 0))

    def _write(self, place: Place, *, at_work: bool) -> None:
        slot = self._slots.get(place)
        if slot is None:
            slot = self._free.pop() if self._free else self._next_slot
            self._next_slot = max(self._next_slot, slot + 1)
            self._slots[place] = slot
        topic, partition, offset = place
        note = {"topic": topic, "partition": partition, "offset": offset, "at_work": at_work}
        self._put(slot, note | {"weight": self._weights.get(place, 0)})

    def _put_away(self, place: Place) -> None:
        """Not at work; what was noted of it before stays noted."""
        if place in self._weights:
            self._write(place, at_work=False)
        else:
            self._forget(place)

    def _forget(self, place: Place) -> None:
        self._weights.pop(place, None)
        slot = self._slots.pop(place, None)
        if slot is not None:
            self._put(slot, None)
            self._free.append(slot)

    def _put(self, slot: int, note: dict[str, Any] | None) -> None:
        if self._file is None:
            return
        line = b"" if note is None else orjson.dumps(note)
        try:
            os.pwrite(self._file.fileno(), line.ljust(SLOT_BYTES - 1) + b"\n", slot * SLOT_BYTES)
        except OSError as error:
            log.warning("deaths are noted no more: %s", error)
            self._file.close()
            self._file = None


def leave_behind(folder: Path, role: str, place: Place) -> None:
    """Make whichever worker of a role gets a message reject it instead of beginning it.

    It is read by every worker of this folder that starts afterwards.

    Args:
        folder: as of `Deaths`.
        role: as of `Deaths`.
        place: topic by its name in the contract, partition, offset.

    Raises:
        SettingsError: the folder can't be written.
    """
    topic, partition, offset = place
    path = folder / "deaths" / f"{role}-{topic}-{partition}-{offset}.skip"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(orjson.dumps({"topic": topic, "partition": partition, "offset": offset}))
    except OSError as error:
        raise SettingsError(f"worker.data_folder = {folder} can't be written: {error}") from error


def _notes(data: bytes) -> list[dict[str, Any]]:
    """What was noted, the head first; a note that is half written is none."""
    found = []
    for start in range(0, len(data), SLOT_BYTES):
        try:
            note = orjson.loads(data[start : start + SLOT_BYTES].strip() or b"null")
        except orjson.JSONDecodeError:
            continue
        if isinstance(note, dict):
            found.append(note)
    return found


def _dump_name(folder: Path) -> str | None:
    """The file in which this process would say why it crashes; None where others are told."""
    global _dump
    if _dump is None and not faulthandler.is_enabled():
        _dump = (folder / f"{uuid4().hex}.crash").open("wb", buffering=0)
        faulthandler.enable(_dump)
    return None if _dump is None else Path(_dump.name).name


def _taken_by_the_kernel() -> int:
    """How many processes of this machine the kernel has killed for want of memory."""
    try:
        lines = KERNEL_COUNTS.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
    except (OSError, ValueError, IndexError, StopIteration):
        return 0
