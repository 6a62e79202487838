"""Whether any number of shards, any way of searching and any restart give the same alerts.

    python -m benchmarks.copies.same_shards SET [--shards 1,2,4]

A set of copies goes through the library's own shards, references first. Held against one exact
shard that read the log once: more shards, a shard that searches lists of codes and merges all the
time, a replay of the log from its start into a shard that has read it, and a restore from each
snapshot.
Exit code 1 where an alert differs.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.copies.fingerprinted_set import fingerprint_set
from models.all_aligners import make_aligner
from stream.contract.fingerprint import Fingerprint
from stream.decide.alert import alert_of
from stream.library.settings import LibrarySettings
from stream.library.shard import LibraryShard
from stream.library.snapshot import SnapshotStore
from stream.library.upkeep import Upkeep
from stream.settings import load_settings

Log = Sequence[Fingerprint]
Alerts = set[tuple[str, ...]]
TINY = {"exact_rows": 128, "run_rows": 100}  # many merges, and lists from the third video on
SNAPSHOT_EVERY = 25


def alerts_of(library: LibraryShard, event: Fingerprint, offset: int) -> Alerts:
    """Everything that a shard says of a log entry, to the millisecond."""
    answer = library.apply(event, offset)
    alerts = (alert_of(answer, match) for match in answer.matches)
    return {(alert.alert_id, repr(alert.segments), repr(alert.score)) for alert in alerts}


def shard_of(settings: LibrarySettings, number: int = 0) -> LibraryShard:
    """An empty shard."""
    return LibraryShard(settings, number, make_aligner(settings.aligner))


def in_shards(log: Log, settings: LibrarySettings, shards: int) -> Alerts:
    """Of all shards together."""
    found: Alerts = set()
    split = settings.model_copy(update={"shards": shards})
    for number in range(shards):
        library = shard_of(split, number)
        for offset, event in enumerate(log):
            found |= alerts_of(library, event, offset)
    return found


def with_lists(log: Log, settings: LibrarySettings, folder: Path) -> Alerts:
    """Of a shard that searches lists and merges after each entry."""
    tiny = settings.model_copy(update={**TINY, "snapshot_folder": folder})
    library, found = shard_of(tiny), set()
    upkeep = Upkeep(SnapshotStore(tiny, shard=0, log_id="set"))
    for offset, event in enumerate(log):
        found |= alerts_of(library, event, offset)
        upkeep.step(library.state, wait=True)
    upkeep.close()
    return found


def replayed(log: Log, settings: LibrarySettings) -> Alerts:
    """Of a shard that has read the log, and is shown it again."""
    library, found = shard_of(settings), set()
    for offset, event in enumerate(log):
        library.absorb(event, offset)
    for offset, event in enumerate(log):
        found |= alerts_of(library, event, len(log) + offset)
    return found


def restored(log: Log, settings: LibrarySettings, folder: Path) -> Iterator[tuple[int, Alerts]]:
    """From each snapshot on, with the alerts of before it by a shard that was never stopped."""
    here = settings.model_copy(update={"snapshot_folder": folder})
    snapshots, library = SnapshotStore(here, shard=0, log_id="set"), shard_of(here)
    before: Alerts = set()
    for offset, event in enumerate(log):
        if offset and offset % SNAPSHOT_EVERY == 0:
            snapshots.save(library.state, offset)
            found = snapshots.load_latest()
            assert found is not None and found.next_offset == offset
            again = LibraryShard(here, 0, make_aligner(here.aligner), found.state)
            after: Alerts = set()
            for later in range(offset, len(log)):
                after |= alerts_of(again, log[later], later)
            yield offset, before | after
        before |= alerts_of(library, event, offset)


def main(
    dataset: Annotated[Path, typer.Argument(help="references/, queries/, pairs.csv, labels.json")],
    shards: Annotated[str, typer.Option(help="Numbers of shards.")] = "1,2,4",
    kept: Annotated[Path, typer.Option(help="Fingerprints of earlier runs.")] = Path(
        "runs/fingerprints"
    ),
) -> None:
    """Compare; exit code 1 where they differ."""
    console, settings = Console(), load_settings()
    made = fingerprint_set(dataset, settings, kept, console)
    log = [*made.references, *made.queries]
    library = settings.library.model_copy(update={"shards": 1})
    expected = in_shards(log, library, 1)
    table, differ = Table("run", "alerts", "differing"), False

    def compare(name: str, run: Callable[[], Alerts]) -> None:
        nonlocal differ
        found = run()
        differ = differ or found != expected
        table.add_row(name, str(len(found)), str(len(found ^ expected)))

    for count in (int(one) for one in shards.split(",")):
        compare(f"{count} shards", lambda count=count: in_shards(log, library, count))  # type: ignore[misc]
    compare("replay from offset 0", lambda: replayed(log, library))
    with tempfile.TemporaryDirectory(prefix="samesource-shards-") as scratch:
        compare("lists, merges", lambda: with_lists(log, library, Path(scratch) / "lists"))
        for offset, alerts in restored(log, library, Path(scratch) / "snapshots"):
            compare(f"restored at {offset}", lambda alerts=alerts: alerts)  # type: ignore[misc]
    console.print(table, f"{len(log)} videos")
    raise typer.Exit(1 if differ or not expected else 0)


if __name__ == "__main__":
    typer.run(main)
