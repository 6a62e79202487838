"""The main job on a real Kafka and `evaluate` on the same set: the same alerts, to the millisecond.

    python -m benchmarks.copies.same_alerts DATASET [--json FILE]

Starts an Apache Kafka and a process for each worker, submits the set with a client that knows only
the contract, and runs `samesource evaluate copies` besides. Alerts of an upload against a reference
are compared; which of two uploads is the later one depends on which was fingerprinted first.
"""

import tempfile
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console

from benchmarks.delivery.kills import running
from benchmarks.delivery.outside_client import LINGER_SECONDS, Answers, Platform, submit_set
from stream.broker.local import LocalKafka
from stream.broker.settings import KafkaSettings
from stream.evaluate.copies import evaluate_copies
from stream.evaluate.copy_set import pair_name
from stream.evaluate.report import CopiesReport
from stream.settings import load_settings

Boxes = dict[str, list[list[float]]]


def alerted(answers: Answers, references: set[str]) -> Boxes:
    """Boxes of the alerts of an upload against a reference, by pair."""
    return {
        pair_name(alert["video_id"], alert["reference_id"]): [
            [
                segment["video_start_seconds"],
                segment["reference_start_seconds"],
                segment["video_end_seconds"],
                segment["reference_end_seconds"],
            ]
            for segment in alert["segments"]
        ]
        for alert in answers["alert.raised"]
        if alert["reference_id"] in references and alert["video_id"] not in references
    }


def on_kafka(dataset: Path, kafka: KafkaSettings, folder: Path) -> Answers:
    """What a platform is answered when it submits the set; all workers run in `folder`."""
    with running(kafka, dataset, folder):
        platform = Platform(kafka.bootstrap_servers, kafka.topic_prefix)
        try:
            submit_set(platform, dataset)
            platform.read(LINGER_SECONDS)
        finally:
            platform.close()
    return platform.answers


def differing(answers: Answers, report: CopiesReport, references: set[str]) -> list[str]:
    """Pairs of which the two don't say the same."""
    theirs = alerted(answers, references)
    return sorted(
        pair for pair in theirs | report.boxes if theirs.get(pair) != report.boxes.get(pair)
    )


def main(
    dataset: Annotated[Path, typer.Argument(help="references/, queries/, pairs.csv, labels.json")],
    json: Annotated[Path | None, typer.Option(help="Write both answers here.")] = None,
) -> None:
    """Compare both; exit code 1 where they differ."""
    console = Console()
    references = {path.stem for path in (dataset / "references").glob("*.mp4")}
    with tempfile.TemporaryDirectory(prefix="samesource-alerts-") as scratch:
        with LocalKafka(Path(scratch) / "kafka") as local:
            kafka = KafkaSettings(bootstrap_servers=local.bootstrap_servers)
            answers = on_kafka(dataset, kafka, Path(scratch) / "workers")
        report = evaluate_copies(dataset, load_settings(), console=console)
    differ = differing(answers, report, references)
    alerts = alerted(answers, references)
    console.print(
        f"{len(alerts)} alerts of an upload against a reference on Kafka, "
        f"{len(report.boxes)} by evaluate; {len(differ)} differ: {', '.join(differ) or 'none'}"
    )
    if json is not None:
        json.write_bytes(orjson.dumps({"kafka": alerts, "evaluate": report.boxes}))
    raise typer.Exit(1 if differ or not alerts else 0)


if __name__ == "__main__":
    typer.run(main)
