"""Which frames of a store's runs are like those of an upload.

Every index is asked for both of its kinds of answer: what it says exactly is taken, what it only
estimates is measured on the packed rows. Serves `store.py`.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stream.contract.packed import CODE_SCALE
from stream.index.exact import cosines
from stream.index.protocol import Hits, Nearest, nearest_of
from stream.library.rows import RowCodes
from stream.library.run import Run

QUERY_BLOCK = 128  # query frames whose near frames are looked at together: bounds the memory
MAPPED_PARTS = 8  # of a run's files, of which one at a time counts as this process's memory
ESTIMATE_MARGIN = 0.1  # codes say less of hardly any frame than it is by more than this


def search_runs(
    runs: Sequence[Run],
    codes: RowCodes,
    queries: NDArray[np.int8],
    biases: NDArray[np.int8],
    min_similarity: float,
    *,
    before: int,
    near_rows: int,
    probes: int,
) -> Hits:
    """Frames of videos added before a place of the log that are more similar than asked.

    Args:
        runs: oldest first.
        codes: how their rows are packed.
        queries: (Q, D) int8, unit descriptors times 127.
        biases: (Q,) int8, their score biases times 127.
        min_similarity: cosine less the query's bias.
        before: place in the log.
        near_rows: estimated frames that are measured for each query.
        probes: how far an index looks that can look into a part of itself.
    """
    below = _serial_before(runs, before)
    parts = [
        run.lists.hits(queries, biases, min_similarity, below=below)
        for run in runs
        if run.lists is not None
    ]
    parts += [_waiting(run, codes, queries, biases, min_similarity, below) for run in runs]
    for start in range(0, len(queries), QUERY_BLOCK):
        block = slice(start, start + QUERY_BLOCK)
        near = _near(runs, queries[block].astype(np.float32), near_rows, probes, below)
        if near.serials.shape[1]:
            found = _measured(runs, codes, near, queries[block], biases[block], min_similarity)
            parts.append(Hits(found.queries + start, found.serials, found.similarities))
    return Hits.joined(parts)


def by_run(
    runs: Sequence[Run], serials: NDArray[np.int64]
) -> Iterator[tuple[Run, NDArray[np.intp]]]:
    """Which of the frames each run holds."""
    firsts = np.array([run.first_serial for run in runs], np.int64)
    holders = np.searchsorted(firsts, serials, side="right") - 1
    for number, run in enumerate(runs):
        inside = np.flatnonzero(holders == number)
        if len(inside):
            yield run, inside


def ascending(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """What `argsort` gives, several times as fast: values and places are sorted as one number.

    Args:
        values: (N,) from 0 to 2^40.

    Returns:
        (N,) places, by value.
    """
    # 40 bits of a value leave 23 for its place: eight million, far more than a block finds.
    bits = len(values).bit_length()
    both = np.sort((values << bits) | np.arange(len(values)))
    places: NDArray[np.int64] = both & ((1 << bits) - 1)
    return places


def _serial_before(runs: Sequence[Run], offset: int) -> int | None:
    """The serial that the first video added at a place of the log or later has; None without."""
    for run in runs:
        place = int(np.searchsorted(run.entries["offset"], offset))
        if place < len(run):
            return int(run.entries["serial"][place])
    return None


def _waiting(
    run: Run,
    codes: RowCodes,
    queries: NDArray[np.int8],
    biases: NDArray[np.int8],
    min_similarity: float,
    below: int | None,
) -> Hits:
    """Exactly, among the rows at the end of the head that its index doesn't have yet."""
    if run.waiting == 0:
        return Hits.joined([])
    first = len(run.rows) - run.waiting
    serials = run.serials_of(np.arange(first, len(run.rows)))
    values = cosines(queries, codes.whole(run.rows[first:]))
    values -= biases[:, None].astype(np.float32) / np.float32(CODE_SCALE)
    near = values > min_similarity
    asked, found = np.nonzero(near if below is None else near & (serials < below))
    return Hits(asked.astype(np.int64), serials[found], values[asked, found])


def _near(
    runs: Sequence[Run],
    queries: NDArray[np.float32],
    most: int,
    probes: int,
    below: int | None,
) -> Nearest:
    """What the indexes of all runs take for nearest, the best of it."""
    parts = [
        run.lists.search(queries, most, probes, below=below)
        for run in runs
        if run.lists is not None and (below is None or run.first_serial < below)
    ]
    return nearest_of(parts, most) if parts else Nearest.none(len(queries))


def _measured(
    runs: Sequence[Run],
    codes: RowCodes,
    near: Nearest,
    queries: NDArray[np.int8],
    biases: NDArray[np.int8],
    min_similarity: float,
) -> Hits:
    """How near the near frames really are.

    The formula of a hit once more (`stream.index.exact.FrameIndex`), on the packed rows: whole
    numbers of all near frames of a block would take eight times the memory of 4-bit rows.
    """
    least = min_similarity - ESTIMATE_MARGIN + biases.astype(np.float32) / CODE_SCALE  # (Q,)
    asked, places = np.nonzero(
        (near.serials >= 0) & (near.estimates > least[:, None] * CODE_SCALE**2)
    )
    serials = near.serials[asked, places]  # (P,)
    rows = np.empty((len(serials), codes.width), codes.kind)
    order = ascending(serials)  # the files are read from front to back
    ordered = serials[order]
    for run, inside in by_run(runs, ordered):
        for part in np.array_split(inside, MAPPED_PARTS):
            rows[order[part]] = run.rows[run.rows_of(ordered[part])]
            run.unmap_pages()
    products = np.empty(len(serials), np.float32)
    ends = np.searchsorted(asked, np.arange(len(queries) + 1)).tolist()
    for query, (start, end) in zip(queries, pairwise(ends), strict=True):
        codes.multiply(rows[start:end], query, out=products[start:end])
    values = products / np.float32(CODE_SCALE**2)
    values -= biases[asked].astype(np.float32) / np.float32(CODE_SCALE)
    kept = values > min_similarity
    return Hits(asked[kept].astype(np.int64), serials[kept], values[kept])
