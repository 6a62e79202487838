"""How many uploads a second one decide worker decides, on a real Kafka on this machine.

Made answers lie on the topic before the worker begins; one upload in ten has copied three videos.
Run `python -m benchmarks.delivery.decide_rate [--uploads N] [--rounds N] [--json FILE]`.
"""

import asyncio
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.delivery.made_answers import made_answer
from stream.agents.run import running_workers
from stream.broker.client import ends_of, send
from stream.broker.local import LocalKafka
from stream.broker.settings import KafkaSettings
from stream.broker.topics import create_topics
from stream.contract.events import Match, MatchedSegment, VideoCompared, VideoDecided
from stream.settings import load_settings

ONE_IN, COPIES = 10, 3
WAIT_SECONDS = 600.0  # for all decisions: a stop to a run that hangs, no part of the measurement
SEGMENT = MatchedSegment(  # any: decide doesn't look at the footage
    video_start_seconds=1.0,
    video_end_seconds=31.0,
    reference_start_seconds=61.0,
    reference_end_seconds=91.0,
    score=0.9,
)


@dataclass(frozen=True)
class Round:
    """One worker's way through all answers.

    Attributes:
        seconds: from its first decision to its last.
        cpu_seconds: of this process, which the worker shares with nobody but the clock.
    """

    uploads: int
    seconds: float
    cpu_seconds: float

    @property
    def decisions_per_second(self) -> float:
        """Of the worker."""
        return self.uploads / self.seconds


def answers(number: int, shards: int) -> list[VideoCompared]:
    """What the shards say of an upload."""
    found = [
        Match(
            reference_id=f"film-{copy}",
            reference_owner_id="studio",
            reference_role="reference",
            score=0.9,
            segments=[SEGMENT],
        )
        for copy in range(0 if number % ONE_IN else COPIES)
    ]
    request_id = f"0-{number}-1795819046603"
    return [
        made_answer(
            number, request_id, shard=shard, shards=shards, matches=found if shard == 0 else ()
        )
        for shard in range(shards)
    ]


async def decide(kafka: KafkaSettings, folder: Path, uploads: int) -> Round:
    """Run a worker until all is decided."""
    settings = load_settings(kafka=kafka, worker={"data_folder": str(folder)})

    async def decided() -> int:
        return sum(await asyncio.to_thread(ends_of, kafka, VideoDecided.topic))

    async with running_workers(settings, ("decide",)) as failure:
        before = 0
        deadline = time.monotonic() + WAIT_SECONDS
        while not (before := await decided()):
            await asyncio.sleep(0.05)
        began, cpu = time.monotonic(), time.process_time()
        while (now := await decided()) < uploads:
            if failure.done() or time.monotonic() > deadline:
                raise RuntimeError(f"{now} of {uploads} are decided: {failure}")
            await asyncio.sleep(0.3)
        return Round(uploads - before, time.monotonic() - began, time.process_time() - cpu)


def measure(uploads: int, shards: int, rounds: int) -> list[Round]:
    """All rounds, each with topics of its own."""
    found = []
    with tempfile.TemporaryDirectory(prefix="samesource-rate-") as scratch:
        folder = Path(scratch)
        with LocalKafka(folder / "kafka") as local:
            for number in range(rounds):
                kafka = KafkaSettings(
                    bootstrap_servers=local.bootstrap_servers, topic_prefix=f"round-{number}."
                )
                create_topics(kafka)
                said = [event for upload in range(uploads) for event in answers(upload, shards)]
                messages = [(event.key(), event.to_bytes(), []) for event in said]
                send(kafka, VideoCompared.topic, messages)
                found.append(asyncio.run(decide(kafka, folder / f"{number}", uploads)))
    return found


def report(rounds: list[Round]) -> dict[str, Any]:
    """The rounds and their median, for people and as JSON."""
    table = Table("round", "uploads", "seconds", "CPU seconds", "decisions a second")
    for number, one in enumerate(rounds, 1):
        table.add_row(
            str(number), f"{one.uploads:,}", f"{one.seconds:.1f}", f"{one.cpu_seconds:.1f}",
            f"{one.decisions_per_second:.0f}",
        )  # fmt: skip
    Console().print(table)
    median = statistics.median(one.decisions_per_second for one in rounds)
    return {"rounds": [asdict(one) for one in rounds], "decisions_per_second": round(median, 1)}


def main(
    uploads: Annotated[int, typer.Option(help="A round.")] = 2_000,
    shards: Annotated[int, typer.Option(help="Answers to each upload.")] = 2,
    rounds: Annotated[int, typer.Option(help="Each with a worker of its own.")] = 3,
    json_file: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Print the table, and write it as JSON."""
    found = report(measure(uploads, shards, rounds))
    if json_file is not None:
        json_file.write_bytes(orjson.dumps(found))


if __name__ == "__main__":
    typer.run(main)
