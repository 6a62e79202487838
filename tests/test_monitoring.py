"""Rules and dashboards name nothing that nobody tells, and every metric is explained.

What it tells is recorded from a service that runs; PromQL is read by a parser of its own, and by
promtool where Debian's `prometheus` is installed.
"""

import json
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import promql_parser as promql
import pytest
from prometheus_client.parser import text_string_to_metric_families

from stream.agents.run import ROLES
from stream.broker.client import Reader
from stream.broker.local import held_port
from stream.broker.settings import KafkaSettings
from stream.contract.events import EVENTS, VideoUploaded
from stream.contract.outcomes import Outcome, SuppressionReason
from stream.contract.topics import load_topics
from stream.errors import ErrorCode
from stream.metrics import WebhookResult
from tests.monitoring import DASHBOARDS, OPERATIONS, RULES, promtool
from tests.stream.agents.test_endpoints import get
from tests.stream.command import publish, started
from tests.stream.service import make_film

SCRAPE_LABELS = {"job", "instance", "service"}  # that Prometheus adds, by prometheus.yml
OF_PROMETHEUS = {"up": SCRAPE_LABELS, "ALERTS": {"alertname", "alertstate"}}
"""Metrics that it makes itself."""
TOPICS = {"t." + topic.name for topic in load_topics()}
VALUES: dict[str, set[str]] = {
    "role": {*ROLES, "console"},
    "error": {*get_args(ErrorCode)},
    "reason": {*get_args(SuppressionReason)},
    "result": {*get_args(WebhookResult)},
    "topic": TOPICS,
    "outcome": {
        *EVENTS,
        *get_args(Outcome),
        *get_args(ErrorCode),
        *("embedding_failed", "probe.refused", "probe.dropped"),
    },
}
"""What a label may say, of those that rules and panels ask for by value."""


@dataclass(frozen=True)
class Metrics:
    """What `/metrics` told, and its labels by name of the series."""

    text: str
    labels: dict[str, set[str]]


def labels_in(text: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Metrics]:
    """Of all roles and the console, after a video, a copy of it and one that isn't there."""
    folder = tmp_path_factory.mktemp("service")
    with held_port() as port, held_port() as beside:
        text = told_by_all(folder, port, beside)
    yield Metrics(text, labels_in(text))


def told_by_all(folder: Path, port: int, beside: int) -> str:
    """What all roles and the console tell at a port, and the role `lag` at another."""
    log = folder / "log"
    film = make_film(folder / "film.mp4")
    extra = {
        "SAMESOURCE_FETCH__ROOTS": json.dumps([str(folder)]),
        "SAMESOURCE_LIBRARY__SNAPSHOT_FOLDER": str(folder / "snapshots"),
        "SAMESOURCE_LIBRARY__SNAPSHOT_EVERY_VIDEOS": "1",
        "SAMESOURCE_WORKER__DATA_FOLDER": str(folder / "workers"),
        "SAMESOURCE_WORKER__METRICS_PORT": str(port),
        "SAMESOURCE_WORKER__LOG_FORMAT": "text",
        "SAMESOURCE_CONSOLE__PORT": "0",
        "SAMESOURCE_CONSOLE__DATABASE_URL": f"sqlite:///{folder / 'console.db'}",
    }
    with started(KafkaSettings(broker="embedded"), "worker", "all", extra=extra, err=log):
        told = wait_for(lambda: re.search(r"is running on (\S+);", log.read_text()), log)
        kafka = KafkaSettings(bootstrap_servers=told[1])
        for name, path in (("film", film), ("copy", film), ("gone", folder / "gone.mp4")):
            publish(
                kafka, VideoUploaded(video_id=name, uri=path.as_uri(), owner_id=f"owner of {name}")
            )
        with Reader(kafka, "video.decided") as reader:
            decided: list[object] = []

            def all_decided() -> bool:
                decided.extend(filter(None, [reader.poll(0.1)]))
                return len(decided) == 3

            wait_for(all_decided, log)

        def whole() -> str | None:
            text = get(port, "/metrics")[1]
            # What comes last: a decision is counted behind its event, a snapshot beside the work.
            last = ["samesource_snapshot_offset{"]
            last += [
                f'decision_seconds_count{{outcome="{each}"}} 1.0' for each in get_args(Outcome)
            ]
            return text if all(each in text for each in last) else None

        text: str = wait_for(whole, log)
        other = extra | {"SAMESOURCE_WORKER__METRICS_PORT": str(beside)}
        with started(kafka, "worker", "lag", extra=other, err=folder / "lag.log"):
            lags: str = wait_for(lambda: group_lags(beside), folder / "lag.log")
    return text + lags


def group_lags(port: int) -> str | None:
    """What the role `lag` tells, once it does."""
    with suppress(OSError):
        found = re.findall("^.*samesource_group_.*$", get(port, "/metrics")[1], re.MULTILINE)
        return "\n".join(found) + "\n" if any(line[0] != "#" for line in found) else None
    return None


def wait_for(look: Any, log: Path, seconds: float = 120.0) -> Any:
    """What a look finds, once it finds something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, log.read_text()[-4000:]
        time.sleep(0.1)
    return found


@dataclass(frozen=True)
class Asked:
    """A series that PromQL asks for, with its matchers, and the labels that are grouped by."""

    series: dict[str, list[Any]]
    grouped: set[str]
    matchers: list[Any]


def asked_by(expression: str) -> Asked:
    """What an expression names.

    Raises:
        ValueError: it is no PromQL.
    """
    for name, text in (("$__rate_interval", "5m"), ('"$topic"', '".*"'), ("$topic", ".*")):
        expression = expression.replace(name, text)
    series: dict[str, list[Any]] = {}
    grouped: set[str] = set()
    matchers: list[Any] = []

    def look(found: Any) -> bool:
        if isinstance(found, promql.VectorSelector):  # also the one inside of `[5m]`
            assert found.name, f"{expression}: a selector without a name"
            series.setdefault(found.name, []).extend(found.matchers.matchers)
            matchers.extend(found.matchers.matchers)
        if isinstance(found, promql.AggregateExpr) and found.modifier is not None:
            grouped.update(found.modifier.labels)
        return True

    promql.walk(promql.parse(expression), look)
    return Asked(series, grouped, matchers)


def missing(expression: str, told: dict[str, set[str]]) -> list[str]:
    """What an expression names that is told by nobody."""
    asked = asked_by(expression)
    known = {**told, **OF_PROMETHEUS}
    wrong = [name for name in asked.series if name not in known]
    there = {name: known.get(name, set()) | SCRAPE_LABELS for name in asked.series}
    for name, matchers in asked.series.items():
        wrong += [f"{name}{{{m.name}}}" for m in matchers if m.name not in there[name]]
    # Each label that is grouped by is one of some series in the expression.
    anywhere = set().union(*there.values())
    wrong += [f"by ({label})" for label in sorted(asked.grouped) if label not in anywhere]
    for matcher in asked.matchers:
        if matcher.name in VALUES and not any(fits(matcher, v) for v in VALUES[matcher.name]):
            wrong.append(f'{matcher.name}="{matcher.value}"')
    return wrong


def fits(matcher: Any, value: str) -> bool:
    exactly = matcher.op == promql.MatchOp.Equal
    return matcher.value == value if exactly else bool(re.fullmatch(matcher.value, value))


def panels() -> list[tuple[str, str]]:
    """Title and expression of each query of the dashboards."""
    found = []
    for file in DASHBOARDS:
        dashboard = json.loads(file.read_text())
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                found.append((f"{file.stem}: {panel['title']}", target["expr"]))
        for note in dashboard["annotations"]["list"]:
            found.append((f"{file.stem}: {note['name']}", note["expr"]))
    return found


def test_no_rule_names_a_metric_or_label_that_nobody_tells(recorded: Metrics) -> None:
    wrong = {rule["alert"]: missing(rule["expr"], recorded.labels) for rule in RULES}
    assert not {name: what for name, what in wrong.items() if what}
    assert len(RULES) >= 15


def test_no_panel_names_a_metric_or_label_that_nobody_tells(recorded: Metrics) -> None:
    wrong = [(title, missing(expression, recorded.labels)) for title, expression in panels()]
    assert not [(title, what) for title, what in wrong if what]
    assert len(wrong) >= 40


@pytest.mark.parametrize(
    ("expression", "what"),
    [
        ("samesource_lag", "samesource_lag"),
        ('rate(samesource_lag_messages{shrad="0"}[5m])', "samesource_lag_messages{shrad}"),
        ("sum by (topics) (samesource_lag_messages)", "by (topics)"),
        ('samesource_outcomes_total{outcome="macthed"}', 'outcome="macthed"'),
        ('samesource_lag_seconds{topic=~"video.upload"}', 'topic="video.upload"'),
    ],
)
def test_a_name_that_is_misspelt_would_be_noticed(
    recorded: Metrics, expression: str, what: str
) -> None:
    assert missing(expression, recorded.labels) == [what]


def test_every_metric_of_ours_is_explained(recorded: Metrics) -> None:
    ours = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for name in recorded.labels
        if name.startswith("samesource_") and not name.endswith("_created")
    }
    assert {name for name in ours if f"`{name}`" not in OPERATIONS} == set()
    assert len(ours) > 25


def test_what_a_rate_is_taken_of_is_there_before_the_first_event(recorded: Metrics) -> None:
    lines = recorded.text.splitlines()
    for line in (
        'samesource_suppressed_total{reason="held"} 0.0',
        'samesource_dead_letters_total{error="internal"} 0.0',
        'samesource_dead_letters_total{error="not_found"} 1.0',
        'samesource_outcomes_total{outcome="video.rejected",role="library"} 0.0',
    ):
        assert line in lines


def test_the_time_to_a_decision_is_told_by_outcome(recorded: Metrics) -> None:
    values = dict(line.rsplit(" ", 1) for line in recorded.text.splitlines() if line[0] != "#")
    counts = {
        outcome: float(values[f'samesource_decision_seconds_count{{outcome="{outcome}"}}'])
        for outcome in get_args(Outcome)
    }
    assert counts == {"matched": 1, "clear": 1, "rejected": 1}
    assert 0 < float(values['samesource_decision_seconds_sum{outcome="clear"}']) < 120
    bounds = [
        float(bound)
        for bound in re.findall(
            r'decision_seconds_bucket\{le="([^"]+)",outcome="clear"', recorded.text
        )
    ]
    # So fine that a percentile is told to within a half, up to eight minutes.
    near = [bound for bound in bounds if bound <= 512]
    assert all(after <= 1.5 * before for before, after in zip(near, near[1:], strict=False))


def test_models_frames_and_disks_are_told(recorded: Metrics) -> None:
    networks = set(re.findall(r'model_info\{network="(\w+)",role="(\w+)"', recorded.text))
    assert networks == {
        ("encoder", "fingerprint"),
        ("key_frames", "fingerprint"),
        ("text_video", "fingerprint"),
        ("descriptors", "library"),
        ("aligner", "library"),
    }
    values = dict(line.rsplit(" ", 1) for line in recorded.text.splitlines() if line[0] != "#")
    assert float(values["samesource_video_seconds_total"]) == pytest.approx(40, abs=1)
    stored, searching = (
        float(values[f'samesource_frames_total{{use="{use}"}}']) for use in ("stored", "searching")
    )
    assert 0 < stored <= searching
    assert float(values['samesource_library_videos{shard="0"}']) == 2
    assert float(values['samesource_matches_total{shard="0"}']) == 1
    assert float(values['samesource_aligned_total{shard="0"}']) >= 1
    folders = set(re.findall(r'disk_free_bytes\{folder="([\w.]+)"', recorded.text))
    assert folders == {
        "TMPDIR",
        "console.database_url",
        "library.snapshot_folder",
        "worker.data_folder",
    }


def test_promtool_finds_nothing_to_say_of_the_names(recorded: Metrics) -> None:
    promtool("check", "metrics", given=recorded.text)
