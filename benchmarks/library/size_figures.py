"""What is measured of a library of one size, as a row of a table; serves `library_size`."""

from dataclasses import dataclass

import numpy as np
from rich.table import Table


@dataclass
class Figures:
    """One size.

    Attributes:
        recall_at_10: share of the ten nearest of an exact search of the library that are found.
        whole_recall_at_10: the same, of an exact search of the descriptors before they were made
            4-bit codes.
        plain_recall_at_10: of the plain index's own order.
        refined_recall_at_10: of plain Faiss that orders what the codes find by the packed rows.
        resident_bytes: of a key frame, all of the process less an empty one's, after searching;
            `anonymous_bytes` can't be dropped by the kernel, the rest is mapped from files.
        peak_bytes: the most that was resident at any time of a search.
        quiet, loaded: latency of a search in milliseconds, `p50` and `p99`.
    """

    rows: int
    kind: str
    recall_at_10: float = 0.0
    whole_recall_at_10: float = 0.0
    plain_recall_at_10: float = 0.0
    refined_recall_at_10: float = 0.0
    queries_per_second: float = 0.0
    plain_queries_per_second: float = 0.0
    refined_queries_per_second: float = 0.0
    resident_bytes: float = 0.0
    anonymous_bytes: float = 0.0
    peak_bytes: float = 0.0
    disk_bytes: float = 0.0
    build_seconds: float = 0.0
    snapshot_seconds: float = 0.0
    restore_seconds: float = 0.0
    quiet: dict[str, float] | None = None
    loaded: dict[str, float] | None = None


def table_of(found: list[Figures]) -> Table:
    """All sizes."""
    table = Table(
        "key frames", "index", "recall@10", "of floats", "queries/s", "Faiss, codes alone", "ratio",
        "Faiss, ordered by rows", "ratio",
        "resident B", "in a search B", "anonymous B", "disk B",
        "build s", "snapshot s", "restore s",
        "quiet p50/p99 ms", "loaded p50/p99 ms",
    )  # fmt: skip
    for one in found:
        quiet, loaded = one.quiet or {}, one.loaded or {}
        table.add_row(
            f"{one.rows:,}", one.kind, f"{one.recall_at_10:.3f}",
            f"{one.whole_recall_at_10:.3f}", f"{one.queries_per_second:.0f}",
            f"{one.plain_queries_per_second:.0f} ({one.plain_recall_at_10:.3f})",
            f"{one.queries_per_second / max(one.plain_queries_per_second, 1e-9):.2f}",
            f"{one.refined_queries_per_second:.0f} ({one.refined_recall_at_10:.3f})",
            f"{one.queries_per_second / max(one.refined_queries_per_second, 1e-9):.2f}",
            f"{one.resident_bytes:.0f}", f"{one.peak_bytes:.0f}",
            f"{one.anonymous_bytes:.0f}", f"{one.disk_bytes:.0f}",
            f"{one.build_seconds:.1f}", f"{one.snapshot_seconds:.2f}",
            f"{one.restore_seconds:.1f}",
            *(f"{each.get('p50', 0):.0f} / {each.get('p99', 0):.0f}" for each in (quiet, loaded)),
        )  # fmt: skip
    return table


def exponent(found: list[Figures]) -> float | None:
    """Of the time of a query in the number of key frames, from the first to the last with lists."""
    listed = [one for one in found if one.kind != "exact"]
    if len(listed) < 2:
        return None
    first, last = listed[0], listed[-1]
    slower = first.queries_per_second / last.queries_per_second
    return float(np.log(slower) / np.log(last.rows / first.rows))
