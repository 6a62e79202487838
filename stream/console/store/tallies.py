"""The numbers that are kept, so that nobody has to count: which of them a row is in.

Each is the count of the rows that name it here, and changes in the transaction that changes them.
"""

from collections.abc import Iterator
from datetime import datetime

from stream.console.store.tables import Alert, Rejection, Table, Upload, Video

TallyKey = tuple[str, str, str]
"""Kind, what it is about, and name."""

LONGEST_WAIT_EXPONENT = 22  # 2**22 s are seven weeks; longer than submissions are kept


def tallies_of(row: Table) -> Iterator[TallyKey]:
    """The numbers that a row is counted in."""
    match row:
        case Alert():
            yield "alerts", "", row.state
            yield "alerts", row.reference_owner_id, row.state
        case Rejection():
            yield "rejected", "", row.error
        case Video() if row.status == "live" and row.role is not None:
            yield "library", "", row.role
        case Upload():
            if row.status == "undecided":
                yield "undecided", "", ""
            if row.decided_at is not None and row.outcome is not None:
                hour = hour_of(row.decided_at)
                yield "outcomes", hour, row.outcome
                seconds = wait_seconds(row)
                if seconds is not None:
                    yield "waits", hour, wait_name(seconds)


def hour_of(at: datetime) -> str:
    """The UTC hour of an instant, as text that sorts by time."""
    return at.strftime("%Y-%m-%dT%H")


def wait_seconds(row: Upload) -> float | None:
    """From the submission to the decision; None where one of them isn't known."""
    if row.submitted_at is None or row.decided_at is None:
        return None
    # Two clocks, Kafka's and a worker's: the second may be behind.
    return max(0.0, (row.decided_at - row.submitted_at).total_seconds())


def wait_name(seconds: float) -> str:
    """The exponent of the power of two that a wait isn't longer than; empty beyond the longest."""
    for exponent in range(LONGEST_WAIT_EXPONENT + 1):
        if seconds <= 2**exponent:
            return str(exponent)
    return ""


def wait_bound(name: str) -> float:
    """The inverse of `wait_name`, in seconds."""
    return float(2 ** int(name)) if name else float("inf")
