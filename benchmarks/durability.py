"""Nothing lost, nothing twice under hundreds of faults, on a real Kafka.

    python -m benchmarks.durability [SET] [--faults 200] [--json FILE]

One made library log goes through the service twice: undisturbed, and while its workers are killed
at random moments and at named points, Kafka goes away, disks are full and snapshots are damaged.
The log has a window for each kind of fault, with probes at its end that ask what the library holds.
What both runs told on Kafka must be equal. With SET, a labelled folder of videos, fingerprint
workers are killed as well, while they work on it.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.delivery import kills as delivery
from benchmarks.delivery.answer_differences import (
    Difference,
    compare,
    probe_figures,
    wrong_by_themselves,
)
from benchmarks.delivery.faults import AT_ONCE, KINDS, plan
from benchmarks.delivery.faulty_run import Run, Window, make_windows, run
from benchmarks.delivery.workers import Workers
from stream.broker.local import LocalKafka
from stream.broker.settings import KafkaSettings

COLUMNS = ("kind", "faults", "alerts", "decisions", "answers", "missing", "twice")


def window_names(windows: Sequence[Window]) -> dict[str, str]:
    """The window of each request id, and of each log offset as text."""
    names: dict[str, str] = {}
    offset = 0
    for window in windows:
        for entry in window.entries:
            names[str(offset)] = window.name
            offset += 1
            if entry.event is not None:
                names.setdefault(entry.event.request_id, window.name)
    return names


def measure(
    local: LocalKafka, folder: Path, windows: Sequence[Window], *, mount: bool
) -> dict[str, Any]:
    """Run the log undisturbed and with faults, on one broker; see `judge`."""
    quiet = [replace(window, faults=[]) for window in windows]
    calm = run(local, "calm.", folder / "calm", quiet, mount=False)
    disturbed = run(local, "disturbed.", folder / "disturbed", windows, mount=mount)
    for name, found in (("calm", calm), ("disturbed", disturbed)):
        (folder / f"{name}.json").write_text(json.dumps(found.answers))
    return judge(calm, disturbed, windows)


def judge(calm: Run, disturbed: Run, windows: Sequence[Window]) -> dict[str, Any]:
    """The figures of both runs, and all that is wrong with them."""
    log = [entry for window in windows for entry in window.entries]
    found = compare(calm.answers, disturbed.answers, window_names(windows))
    wrong = {
        name: wrong_by_themselves(run.answers, log)
        for name, run in (("calm", calm), ("disturbed", disturbed))
    }
    return {
        "log_entries": len(log),
        "seconds": {"calm": round(calm.seconds), "disturbed": round(disturbed.seconds)},
        "faults": sum(disturbed.came.values()),
        "not_reached": disturbed.unreached,
        "ended_by_themselves": calm.ended | disturbed.ended,
        "hung_at_sigterm": calm.hung | disturbed.hung,
        "undecided": disturbed.undecided,
        "alerts": len(calm.answers["alert.raised"]),
        "outcomes": Counter(event["outcome"] for event in calm.answers["video.decided"]),
        "probes": probe_figures(calm.answers, [one for part in windows for one in part.probes]),
        "rows": [
            {"kind": name, "faults": disturbed.came.get(name, 0)} | difference.counts()
            for name, difference in found.items()
        ],
        "wrong": wrong,
        "differences": {name: vars(found[name]) for name in found if found[name]},
    }


def is_wrong(figures: dict[str, Any]) -> bool:
    """Whether anything differs, contradicts the log or ended unasked, or nothing was told."""
    return bool(
        not figures["alerts"]
        or figures["differences"]
        or any(figures["wrong"].values())
        or figures["probes"]["gone_named"]
        or figures["ended_by_themselves"]
        or figures["hung_at_sigterm"]
    )


def fingerprint_row(
    local: LocalKafka, folder: Path, dataset: Path, faults: int
) -> tuple[dict[str, Any], Difference]:
    """Kill fingerprint workers while they work on real videos; the row of the table.

    Which of two videos is fingerprinted first differs from run to run. So each run is compared
    with its own log replayed, and the two by the alerts of uploads against references.
    """
    references = {path.stem for path in (dataset / "references").glob("*.mp4")}
    hits = [_kills(("fingerprint-a", "fingerprint-b")[number % 2]) for number in range(faults)]
    difference, copies = Difference(), set[str]()
    row: dict[str, Any] = {}
    for name, kills in (("real", []), ("real-killed", hits)):
        kafka = KafkaSettings(bootstrap_servers=local.bootstrap_servers, topic_prefix=f"{name}.")
        found = delivery.run(kafka, dataset, folder / name, kills)
        own = delivery.differences(found["answers"], delivery.replayed(kafka))
        difference.alerts += own["alerts"]
        difference.decisions += own["outcomes"]
        copies ^= delivery.copies(found["answers"], references)
        row = delivery.describe(name, found)
        difference.missing += row["missing"]
    difference.alerts += sorted(copies)
    difference.twice = row["alerts_twice"] + row["decisions_twice"]
    return {"kind": "kill -9 fingerprint", "faults": sum(row["kills"].values())}, difference


def _kills(name: str) -> Callable[[Workers], None]:
    return lambda workers: workers.kill(name)


def show(figures: dict[str, Any]) -> None:
    """Print the table and what is wrong."""
    table = Table(*COLUMNS, title=f"{figures['faults']} faults, {figures['alerts']} alerts")
    for row in figures["rows"]:
        table.add_row(*(str(row[name]) for name in COLUMNS))
    console = Console(width=110)
    console.print(table)
    brief = {name: value for name, value in figures.items() if name not in ("rows", "differences")}
    console.print_json(json.dumps(brief))


def main() -> int:
    """Both runs and their comparison; exit code 1 when anything is wrong, as `is_wrong` says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path, nargs="?")
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--fingerprint-faults", type=int, default=10, help="with SET")
    parser.add_argument(
        "--kinds", nargs="+", choices=[*KINDS, AT_ONCE], help="only these windows of the table"
    )
    parser.add_argument("--no-mount", action="store_true", help="no file systems for full disks")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="leave logs and answers in this folder")
    arguments = parser.parse_args()
    planned = plan(arguments.faults, arguments.seed, arguments.kinds)
    windows = make_windows(planned, arguments.seed)
    with tempfile.TemporaryDirectory(prefix="samesource-durability-") as scratch:
        folder = arguments.keep or Path(scratch)
        folder.mkdir(exist_ok=True, parents=True)
        with LocalKafka(folder / "kafka") as local:
            figures = measure(local, folder, windows, mount=not arguments.no_mount)
            if arguments.dataset:
                row, difference = fingerprint_row(
                    local, folder, arguments.dataset, arguments.fingerprint_faults
                )
                figures["rows"].append(row | difference.counts())
                figures["faults"] += row["faults"]
                if difference:
                    figures["differences"][row["kind"]] = vars(difference)
    show(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))
    return int(is_wrong(figures))


if __name__ == "__main__":
    sys.exit(main())
