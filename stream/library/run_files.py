"""Runs as files: written aside, flushed, renamed, and mapped when they are read.

A folder holds `rows.npy`, `entries.npy`, `payload.npy` and, where there are lists of codes,
`lists.faiss`; it never changes once it has its name.
"""

import uuid
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.failpoints import failpoint
from stream.index.files import aside, check_digests, digests_of, flush
from stream.index.inverted import FrameLists
from stream.index.protocol import Index
from stream.library.run import Run

ROWS, ENTRIES, PAYLOAD, LISTS = "rows.npy", "entries.npy", "payload.npy", "lists.faiss"
BLOCK_BYTES = 1 << 24  # in memory at a time while gigabytes are written


def new_name(run: Run) -> str:
    """A name for a run's folder that no other has."""
    return f"{run.first_serial:016d}-{uuid.uuid4().hex[:12]}"


def write_run(run: Run, folder: Path) -> None:
    """Write a run into a folder that doesn't exist yet, and map it from there.

    Raises:
        OSError: the disk is full or not writable; nothing is left.
    """
    with aside(folder) as unfinished:
        _write_array(unfinished / ROWS, [run.rows])
        _write_array(unfinished / PAYLOAD, [run.payload])
        np.save(unfinished / ENTRIES, run.entries)
        if run.lists is not None:
            run.lists.save(str(unfinished / LISTS))
    run.rows, run.payload = _mapped(folder / ROWS), _mapped(folder / PAYLOAD)
    run.folder, run.sha256 = folder, digests_of(folder)


def write_joined(runs: list[Run], kept: list[NDArray[np.bool_]], folder: Path) -> Run:
    """Consecutive runs as one, written and mapped; lists are left to the caller.

    Args:
        runs: oldest first.
        kept: which entries of each are.
        folder: doesn't exist yet.

    Raises:
        OSError: as `write_run`.
    """
    entries, rows, payload = [], [], []
    row = byte = 0
    for run, chosen in zip(runs, kept, strict=True):
        own, sizes = run.entries[chosen], np.diff(run.entries["payload"], append=len(run.payload))
        whole = bool(chosen.all())
        rows.append(run.rows if whole else run.rows[np.repeat(chosen, run.entries["count"])])
        payload.append(run.payload if whole else run.payload[np.repeat(chosen, sizes)])
        # Serials stay: what names a frame, in lists and in hits, outlives every merge.
        own["row"] = row + _starts(own["count"])
        own["payload"] = byte + _starts(sizes[chosen])
        row, byte = row + len(rows[-1]), byte + len(payload[-1])
        entries.append(own)
    with aside(folder) as unfinished:
        _write_array(unfinished / ROWS, rows)
        _write_array(unfinished / PAYLOAD, payload)
        failpoint("library.merging")
        np.save(unfinished / ENTRIES, np.concatenate(entries))
    joined = Run(
        np.concatenate(entries), _mapped(folder / ROWS), _mapped(folder / PAYLOAD), None, folder
    )
    joined.sha256 = digests_of(folder)
    return joined


def add_lists(run: Run, lists: Index) -> None:
    """Give a written run its index, in its folder too where that is of use."""
    assert run.folder is not None
    run.lists, part = lists, run.folder / f"{LISTS}.part"
    # The folder has its name already, so the file appears whole by a rename of its own.
    if lists.save(str(part)):
        flush(part)
        part.rename(run.folder / LISTS)
        flush(run.folder)
        run.sha256 = digests_of(run.folder)


def read_run(folder: Path, sha256: dict[str, str]) -> Run:
    """Map a written run whose files have these digests.

    Raises:
        SnapshotError: a file is missing or differs.
        OSError, ValueError: one is malformed.
    """
    check_digests(folder, sha256)
    lists = folder / LISTS
    return Run(
        np.load(folder / ENTRIES),
        _mapped(folder / ROWS),
        _mapped(folder / PAYLOAD),
        FrameLists.read(str(lists)) if LISTS in sha256 else None,
        folder,
        sha256,
    )


def map_again(run: Run) -> None:
    """Map a run whose files have been replaced by the same."""
    assert run.folder is not None
    run.rows, run.payload = _mapped(run.folder / ROWS), _mapped(run.folder / PAYLOAD)


def _starts(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.cumsum(lengths) - lengths


def _write_array(path: Path, parts: list[NDArray[Any]]) -> None:
    """Parts end to end as one .npy, a block in memory at a time."""
    shape = (sum(len(part) for part in parts), *parts[0].shape[1:])
    with path.open("wb") as file:
        header = {"descr": parts[0].dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_2_0(file, header)
        for part in parts:
            step = max(1, BLOCK_BYTES // max(1, part[:1].nbytes))
            for start in range(0, len(part), step):
                file.write(np.ascontiguousarray(part[start : start + step]).data)


def _mapped(path: Path) -> NDArray[Any]:
    array: NDArray[Any] = np.load(path, mmap_mode="r")
    return array
