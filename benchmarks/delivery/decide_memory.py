"""What a decide worker remembers, over days of uploads in fast motion: resident memory by day.

Made answers go through the real step and the real table; what is too old is forgotten as the worker
forgets it. After the last day the table is read again from its changelog, as after a restart, and
two more days pass.

    python -m benchmarks.delivery.decide_memory [--uploads N] [--days N] [--json FILE]
"""

import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, Annotated

import orjson
import psutil
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.delivery.made_answers import made_answer
from stream.agents.decide import decide_step
from stream.agents.requests import known_state
from stream.contract.events import VideoCompared
from stream.contract.message import Source
from stream.decide.joins import Joins
from stream.decide.policy import Policies

DAY, RETENTION_DAYS = 86400.0, 7
BEGIN = 1_800_000_000.0  # seconds since 1970; fixed, so that runs write the same text
PARTITIONS = 8  # as `video.compared` has in kafka/topics.toml
FORGET_EVERY = 100  # uploads
MAX_GROWTH = 1.1


@dataclass(frozen=True)
class Day:
    """What there is at the end of a day.

    Attributes:
        resident_mb: of the process, beyond what it had before the first answer.
    """

    day: str
    remembered: int
    still_open: int
    resident_mb: float


@dataclass
class Worker:
    """The decide step and its table; its changelog is a file with a JSON array a line."""

    shards: int
    changelog: IO[bytes]
    joins: Joins = field(default_factory=lambda: Joins(RETENTION_DAYS * DAY))
    policies: Policies = field(default_factory=Policies)

    def upload(self, number: int, now: float) -> None:
        """Take every shard's answer about one upload."""
        for source in answers(number, self.shards, now):
            key, before, after, outputs = decide_step(
                source,
                partial(self.joins.get, source.partition),
                self.policies,
            )
            if after is before:
                continue
            if after.decided_at is not None:  # not today's time, but that of the fast motion
                after = after.model_copy(update={"decided_at": datetime.fromtimestamp(now, UTC)})
            for state in [before.about_to_say(outputs, after), after] if outputs else [after]:
                self._log(source.partition, key, state.to_bytes())
                self.joins.put(source.partition, key, state, now)

    def forget(self, now: float) -> None:
        """What the worker does each second."""
        for partition, key in self.joins.pop_expired(now):
            self._log(partition, key, None)

    def restart(self, now: float) -> None:
        """Lose everything, and read the changelog."""
        self.joins = Joins(RETENTION_DAYS * DAY)
        self.changelog.seek(0)
        for line in self.changelog:
            partition, key, state = orjson.loads(line)
            if state is None:
                self.joins.remove(partition, key.encode())
            else:
                self.joins.put(partition, key.encode(), known_state(state.encode()), now)

    def _log(self, partition: int, key: bytes, state: bytes | None) -> None:
        line = [partition, key.decode(), None if state is None else state.decode()]
        self.changelog.write(orjson.dumps(line) + b"\n")


def answers(number: int, shards: int, now: float) -> Iterator[Source]:
    """What the shards say of an upload that copies nothing."""
    partition, now_ms = number % PARTITIONS, round(1000 * now)
    request_id = f"{partition}-{number // PARTITIONS}-{now_ms}"
    for shard in range(shards):
        answer = made_answer(number, request_id, shard=shard, shards=shards)
        yield Source(
            VideoCompared.topic, partition, number * shards + shard, now_ms, answer.to_bytes()
        )


def measure(uploads: int, days: int, shards: int, restarted_days: int = 2) -> list[Day]:
    """So many uploads a day, for so many days, a restart, and some days more."""
    process, number = psutil.Process(), 1000
    with tempfile.TemporaryFile() as changelog:
        worker = Worker(shards, changelog)
        for warm in range(1000):
            worker.upload(warm, BEGIN - 30 * DAY)
        worker.forget(BEGIN)
        before, found = process.memory_info().rss, []

        def note(day: str) -> None:
            still_open, remembered = worker.joins.counts()
            resident = (process.memory_info().rss - before) / 1e6
            found.append(Day(day, remembered, still_open, round(resident, 1)))

        for day in track(range(days + restarted_days), "days", console=Console(stderr=True)):
            if day == days:
                worker.restart(BEGIN + day * DAY)
                note("restarted")
            for upload in range(uploads):
                now = BEGIN + (day + upload / uploads) * DAY
                worker.upload(number, now)
                number += 1
                if number % FORGET_EVERY == 0:
                    worker.forget(now)
            note(str(day + 1))
    return found


def show(days: list[Day]) -> None:
    """A row a day."""
    table = Table("day", "remembered", "open", "resident, MB more", "bytes each")
    for day in days:
        each = 1e6 * day.resident_mb / max(1, day.remembered)
        table.add_row(
            day.day, f"{day.remembered:,}", str(day.still_open), f"{day.resident_mb}", f"{each:.0f}"
        )
    Console().print(table)


def grown(days: list[Day]) -> bool:
    """Whether memory grew by more than a tenth after the day from which on as much is forgotten.

    Nothing is known of fewer days than that and one.
    """
    later = days[RETENTION_DAYS:]
    return len(later) < 2 or any(
        day.resident_mb > MAX_GROWTH * later[0].resident_mb for day in later[1:]
    )


def main(
    uploads: Annotated[int, typer.Option(help="A day.")] = 100_000,
    days: Annotated[int, typer.Option(help="Before the restart.")] = 14,
    shards: Annotated[int, typer.Option(help="Answers to each upload.")] = 2,
    json_file: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Print the table, and write it as JSON; exit code 1 when memory isn't flat."""
    found = measure(uploads, days, shards)
    show(found)
    if json_file is not None:
        json_file.write_bytes(orjson.dumps([asdict(day) for day in found]))
    raise typer.Exit(int(grown(found)))


if __name__ == "__main__":
    typer.run(main)
