"""Snapshots of a shard: its state at one log offset, whole or not at all.

A snapshot is a folder named by its offset: arrays of the entries' key frames, cuts and motion,
`entries.json.gz`, and `manifest.json` with a checksum of each and of itself. It is written aside,
flushed and renamed; the last two are kept.
"""

import gzip
import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from stream.errors import SnapshotError
from stream.library.codes import (
    pack_motion,
    pack_nibbles,
    pack_times,
    unpack_motion,
    unpack_nibbles,
    unpack_times,
)
from stream.library.entry import Entry
from stream.library.index import FrameIndex
from stream.library.shard import ShardState

log = logging.getLogger(__name__)

KEPT = 2
FORMAT = 4
BLOCK_ROWS = 65_536
FILES = ("codes.npy", "offsets.npy", "times.npy", "motion.npy", "entries.json.gz")
ENTRY_FIELDS = (
    "video_id",
    "content_version",
    "owner_id",
    "role",
    "offset",
    "duration_seconds",
    "replaced_at",
)


@dataclass(frozen=True)
class Snapshot:
    """A restored state and the next log offset to read."""

    state: ShardState
    next_offset: int


class SnapshotStore:
    """Saves and loads the snapshots of one shard in `folder/shard-i-of-S`.

    `log_id` names the log that the state was read from (cluster and topic): a snapshot of another
    log is never restored, nor one of other `code_bits`. One process at a time.
    """

    def __init__(
        self, folder: Path, *, shard: int, shards: int, log_id: str, code_bits: int
    ) -> None:
        self._folder = folder / f"shard-{shard}-of-{shards}"
        self._identity = {
            "format": FORMAT,
            "shard": shard,
            "shards": shards,
            "log_id": log_id,
            "code_bits": code_bits,
        }

    def save(self, state: ShardState, next_offset: int) -> Path:
        """Write a snapshot and drop all but the newest two.

        Raises:
            SnapshotError: the disk is full or not writable; earlier snapshots are untouched.
        """
        final = self._folder / f"{next_offset:020d}"
        aside = self._folder / f".{next_offset:020d}.part"
        try:
            for unfinished in self._folder.glob(".*.part"):
                shutil.rmtree(unfinished)
            aside.mkdir(parents=True)
            self._write(state, next_offset, aside)
            if final.exists():
                shutil.rmtree(final)
            aside.rename(final)
            _flush(self._folder)
        except OSError as error:
            shutil.rmtree(aside, ignore_errors=True)
            raise SnapshotError(
                f"the snapshot {final} can't be written ({error}): free or mend the disk; "
                "until then a restart reads more of the log"
            ) from error
        for old in self._found()[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)
        return final

    def load_latest(self) -> Snapshot | None:
        """The newest usable snapshot; None means: read the log from its start.

        A damaged or foreign one is named in a warning and passed over.
        """
        for path in self._found():
            try:
                return self._load(path)
            except SnapshotError as error:
                log.warning("snapshot passed over: %s", error)
        return None

    def _found(self) -> list[Path]:
        """Newest first."""
        if not self._folder.is_dir():
            return []
        found = (path for path in self._folder.iterdir() if path.name.isdigit())
        return sorted(found, reverse=True)

    def _write(self, state: ShardState, next_offset: int, folder: Path) -> None:
        _save_codes(state.index, folder / "codes.npy")
        offsets = [entry.offset_codes for entry in state.entries]
        np.save(folder / "offsets.npy", np.concatenate([np.empty(0, np.int8), *offsets]))
        times = [pack_times(part) for entry in state.entries for part in _times_of(entry)]
        np.save(folder / "times.npy", np.concatenate([np.empty(0, np.uint16), *times]))
        levels = [entry.motion_levels for entry in state.entries]
        whole = np.concatenate([np.empty(0, np.uint8), *levels])
        np.save(folder / "motion.npy", pack_motion(whole))
        lengths = {"times": _lengths(times), "motion": _lengths(levels)}
        entries = _to_json(state) | lengths
        (folder / "entries.json.gz").write_bytes(gzip.compress(orjson.dumps(entries), mtime=0))
        manifest = {
            **self._identity,
            "next_offset": next_offset,
            "model_version": state.model_version,
            "entries": len(state.entries),
            "frames": len(state.index),
            "sha256": {name: _digest_of(folder / name) for name in FILES},
        }
        manifest["manifest_sha256"] = _digest(manifest)
        (folder / "manifest.json").write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
        for path in (*folder.iterdir(), folder):
            _flush(path)

    def _load(self, folder: Path) -> Snapshot:
        try:
            manifest = self._checked_manifest(folder)
            fields = orjson.loads(gzip.decompress((folder / "entries.json.gz").read_bytes()))
            codes = np.load(folder / "codes.npy", mmap_mode="r")
            offsets, times = np.load(folder / "offsets.npy"), np.load(folder / "times.npy")
            motion = unpack_motion(np.load(folder / "motion.npy"), sum(fields["motion"]))
            index = _index_of(codes, fields["dimension"], int(manifest["code_bits"]))
            state = _from_json(fields, index, offsets, times, motion)
            return Snapshot(state, int(manifest["next_offset"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SnapshotError(
                f"{folder} can't be read: {type(error).__name__}: {error}"
            ) from error

    def _checked_manifest(self, folder: Path) -> dict[str, Any]:
        manifest: dict[str, Any] = orjson.loads((folder / "manifest.json").read_bytes())
        stated = manifest.pop("manifest_sha256", None)
        if stated != _digest(manifest):
            raise SnapshotError(f"{folder / 'manifest.json'} is damaged: its checksum differs")
        for key, value in self._identity.items():
            if manifest.get(key) != value:
                raise SnapshotError(
                    f"{folder} is foreign: its {key} is {manifest.get(key)!r}, ours {value!r}"
                )
        for name in FILES:
            if _digest_of(folder / name) != manifest["sha256"][name]:
                raise SnapshotError(f"{folder / name} is damaged: its checksum differs")
        return manifest


def _to_json(state: ShardState) -> dict[str, Any]:
    """Everything but the arrays, a list per field: shorter than a list of objects."""
    return {
        "model_version": state.model_version,
        "dimension": state.dimension,
        "entries": {
            name: [getattr(entry, name) for entry in state.entries] for name in ENTRY_FIELDS
        },
        "counts": [len(entry.seconds) for entry in state.entries],
        "first_offsets": [[*key, offset] for key, offset in state.first_offsets.items()],
    }


def _times_of(entry: Entry) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return entry.seconds, entry.cut_seconds


def _lengths(parts: list[NDArray[Any]]) -> list[int]:
    return [len(part) for part in parts]


def _parts(whole: NDArray[Any], lengths: list[int]) -> Iterator[NDArray[Any]]:
    """What was joined end to end, apart again."""
    return iter(np.split(whole, np.cumsum(lengths)[:-1]) if lengths else ())


def _from_json(
    fields: dict[str, Any],
    index: FrameIndex,
    offsets: NDArray[np.int8],
    times: NDArray[np.uint16],
    motion: NDArray[np.uint8],
) -> ShardState:
    parts, curves = _parts(times, fields["times"]), _parts(motion, fields["motion"])
    entries, start = [], 0
    columns = [fields["entries"][name] for name in ENTRY_FIELDS]
    for count, *values in zip(fields["counts"], *columns, strict=True):
        seconds, cuts = unpack_times(next(parts)), unpack_times(next(parts))
        if len(seconds) != count:
            raise ValueError(f"{len(seconds)} times of {count} key frames")
        entries.append(
            Entry(
                **dict(zip(ENTRY_FIELDS, values, strict=True)),
                start=start,
                seconds=seconds,
                offset_codes=offsets[start : start + count],
                cut_seconds=cuts,
                motion_levels=next(curves),
            )
        )
        start += count
    return ShardState(
        model_version=fields["model_version"],
        dimension=fields["dimension"],
        index=index,
        entries=entries,
        first_offsets={
            (video_id, version): offset for video_id, version, offset in fields["first_offsets"]
        },
    )


def _index_of(stored: NDArray[Any], dimension: int, code_bits: int) -> FrameIndex:
    index = FrameIndex(dimension or 1, code_bits)
    for start in range(0, len(stored), BLOCK_ROWS):
        block = stored[start : start + BLOCK_ROWS]
        index.add_levels(unpack_nibbles(block, dimension) if code_bits == 4 else block)
    return index


def _save_codes(index: FrameIndex, path: Path) -> None:
    """All rows, (N, D) int8, or (N, D / 2) uint8 of 4-bit codes; a block in memory at a time."""
    packed = index.code_bits == 4
    width, kind = (-(-index.dimension // 2), np.uint8) if packed else (index.dimension, np.int8)
    shape = (len(index), width)
    if len(index) == 0:
        np.save(path, np.empty(shape, kind))
        return
    file = np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=shape)
    for start in range(0, len(index), BLOCK_ROWS):
        count = min(BLOCK_ROWS, len(index) - start)
        levels = index.levels(start, count)
        file[start : start + count] = pack_nibbles(levels) if packed else levels
    file.flush()


def _digest(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    """Make a file, or the names in a folder, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
