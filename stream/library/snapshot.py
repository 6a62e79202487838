"""Snapshots of a shard: its state at one log offset, whole or not at all.

A snapshot is a folder named by its offset: `codes.npy`, `seconds.npy`, `entries.json`, and
`manifest.json` with a checksum of each. It is written aside, flushed and renamed; the last two
are kept.
"""

import hashlib
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from stream.errors import SnapshotError
from stream.library.index import FrameIndex
from stream.library.shard import Entry, ShardState

log = logging.getLogger(__name__)

KEPT = 2
FORMAT = 1


@dataclass(frozen=True)
class Snapshot:
    """A restored state and the next log offset to read."""

    state: ShardState
    next_offset: int


class SnapshotStore:
    """Saves and loads the snapshots of one shard in `folder/shard-i-of-S`.

    `log_id` names the log that the state was read from (cluster and topic): a snapshot of another
    log is never restored.
    """

    def __init__(self, folder: Path, *, shard: int, shards: int, log_id: str) -> None:
        self._folder = folder / f"shard-{shard}-of-{shards}"
        self._identity = {"shard": shard, "shards": shards, "log_id": log_id, "format": FORMAT}

    def save(self, state: ShardState, next_offset: int) -> Path:
        """Write a snapshot and drop all but the newest two.

        Raises:
            SnapshotError: the disk is full or not writable; earlier snapshots are untouched.
        """
        final = self._folder / f"{next_offset:020d}"
        aside = self._folder / f".{next_offset:020d}.part"
        try:
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
            self._write(state, next_offset, aside)
            if final.exists():
                shutil.rmtree(final)
            aside.rename(final)
            _flush(self._folder)
        except OSError as error:
            shutil.rmtree(aside, ignore_errors=True)
            raise SnapshotError(f"snapshot {final} can't be written: {error}") from error
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
        if not self._folder.is_dir():
            return []
        found = (path for path in self._folder.iterdir() if path.name.isdigit())
        return sorted(found, reverse=True)

    def _write(self, state: ShardState, next_offset: int, folder: Path) -> None:
        np.save(folder / "codes.npy", state.index.codes())
        np.save(folder / "seconds.npy", _joined(state.entries))
        (folder / "entries.json").write_bytes(orjson.dumps(_to_json(state)))
        files = ("codes.npy", "seconds.npy", "entries.json")
        manifest = {
            **self._identity,
            "next_offset": next_offset,
            "model_version": state.model_version,
            "entries": len(state.entries),
            "frames": len(state.index),
            "sha256": {name: _digest(folder / name) for name in files},
        }
        (folder / "manifest.json").write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
        for path in folder.iterdir():
            _flush(path)

    def _load(self, folder: Path) -> Snapshot:
        try:
            manifest = orjson.loads((folder / "manifest.json").read_bytes())
            for key, value in self._identity.items():
                if manifest.get(key) != value:
                    raise SnapshotError(f"{folder}: {key} is {manifest.get(key)!r}, not {value!r}")
            for name, digest in manifest["sha256"].items():
                if _digest(folder / name) != digest:
                    raise SnapshotError(f"{folder / name} is damaged: its checksum differs")
            state = _from_json(
                orjson.loads((folder / "entries.json").read_bytes()),
                np.load(folder / "codes.npy"),
                np.load(folder / "seconds.npy"),
            )
            return Snapshot(state, int(manifest["next_offset"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SnapshotError(f"{folder} can't be read: {error!r}") from error


def _joined(entries: list[Entry]) -> Any:
    parts = [entry.seconds for entry in entries]
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def _to_json(state: ShardState) -> dict[str, Any]:
    return {
        "model_version": state.model_version,
        "dimension": state.dimension,
        "entries": [
            {
                "video_id": entry.video_id,
                "content_version": entry.content_version,
                "owner_id": entry.owner_id,
                "role": entry.role,
                "offset": entry.offset,
                "count": len(entry.seconds),
                "duration_seconds": entry.duration_seconds,
                "replaced_at": entry.replaced_at,
            }
            for entry in state.entries
        ],
        "first_offsets": [[*key, offset] for key, offset in state.first_offsets.items()],
    }


def _from_json(fields: dict[str, Any], codes: Any, seconds: Any) -> ShardState:
    index = FrameIndex(fields["dimension"] or 1)
    index.add(codes)
    entries, start = [], 0
    for raw in fields["entries"]:
        count = raw.pop("count")
        entries.append(Entry(**raw, start=start, seconds=seconds[start : start + count]))
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


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    """Make a file, or the names in a folder, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
