"""Prometheus metrics of the workers: outcomes, stage times, log positions."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from prometheus_client import Counter, Gauge, Histogram

from stream.contract.outcomes import Outcome, SuppressionReason
from stream.errors import ErrorCode

OUTCOMES = Counter("samesource_outcomes", "Events published, by kind", ["role", "outcome"])
# Buckets half a decade apart, from a look-up of a millisecond to beyond `decode.timeout_seconds`.
STAGES = Histogram(
    "samesource_stage_seconds",
    "Wall-clock seconds of a stage for one video",
    ["role", "stage"],
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000),
)
# Two to a doubling where an upload usually is, so that a percentile is told to within a third; then
# hours, as a decision may wait for a fetch that is tried again, or for a worker that is away.
DECISION_SECONDS = Histogram(
    "samesource_decision_seconds",
    "Seconds from an upload's arrival on its topic to its decision",
    ["outcome"],
    buckets=(
        *(0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512),
        *(900, 1800, 3600, 4 * 3600, 24 * 3600),
    ),
)
DEAD_LETTERS = Counter("samesource_dead_letters", "Dead letters that are on the broker", ["error"])
MODEL_INFO = Gauge(
    "samesource_model_info", "1 for each network in use", ["role", "network", "version"]
)
VIDEO_SECONDS = Counter("samesource_video_seconds", "Seconds of footage that were fingerprinted")
FRAMES = Counter(
    "samesource_frames", "Frames of fingerprints: those that are stored, and that search", ["use"]
)
ALIGNED = Counter(
    "samesource_aligned", "Videos of the shard that were looked at closely", ["shard"]
)
MATCHES = Counter("samesource_matches", "Videos of the shard of which a copy was found", ["shard"])
LIBRARY_SHARDS = Gauge("samesource_library_shards", "Shards of the library, by the settings")
LIBRARY_VIDEOS = Gauge("samesource_library_videos", "Videos that the shard holds now", ["shard"])
LOG_POSITION = Gauge("samesource_log_position", "Next log offset to read", ["shard"])
LOG_LAG = Gauge("samesource_log_lag", "Log entries not read yet", ["shard"])
LIBRARY_FRAMES = Gauge("samesource_library_frames", "Key frames in the shard", ["shard"])
SNAPSHOT_OFFSET = Gauge("samesource_snapshot_offset", "Log offset of the last snapshot", ["shard"])
SNAPSHOT_AGE = Gauge(
    "samesource_snapshot_age_seconds",
    "Seconds since the newest snapshot was written; 0 while nothing has come since",
    ["shard"],
)
SUPPRESSED = Counter("samesource_suppressed", "Alerts suppressed or held, by reason", ["reason"])
WAITING_REQUESTS = Gauge(
    "samesource_waiting_requests", "Requests that wait for a shard's answer", ["shard"]
)
WAITING_SECONDS = Gauge(
    "samesource_waiting_seconds", "How long the oldest of them has waited", ["shard"]
)
OPEN_REQUESTS = Gauge("samesource_open_requests", "Requests that some shard hasn't answered yet")
REMEMBERED_REQUESTS = Gauge(
    "samesource_remembered_requests", "Decided requests whose repeated answers are recognised"
)
PARTITION_LAG = Gauge(
    "samesource_partition_lag",
    "Events of a partition of this worker that are not finished",
    ["role", "topic", "partition"],
)
WAITING_DOWNLOADS = Gauge(
    "samesource_waiting_downloads", "Large downloads that wait until another one ends"
)
UNDECIDED = Gauge("samesource_undecided_uploads", "Uploads without a decision, by the console")
OLDEST_UNDECIDED = Gauge(
    "samesource_oldest_undecided_seconds", "Since the oldest of them was submitted; 0 without one"
)
WEBHOOKS = Counter(
    "samesource_webhooks", "Tries to deliver a webhook's message, by how they went", ["result"]
)
WebhookResult = Literal["delivered", "later", "dead", "gone"]
"""Delivered; it comes again; it is a dead letter; the endpoint wants no more."""
CODES: tuple[str, ...] = get_args(ErrorCode)
_shown: dict[str, set[tuple[str, str]]] = {}
_models: dict[tuple[str, str], str | None] = {}


def show_lags(role: str, lags: Mapping[Any, int]) -> None:
    """Show the lag of the partitions that a role has now, and of no other.

    Args:
        role: of the worker.
        lags: by what has `topic` and `partition`.
    """
    now = {(tp.topic, str(tp.partition)): lag for tp, lag in lags.items()}
    for topic, partition in _shown.get(role, set()) - now.keys():
        # A partition that is another worker's now would keep its last lag for ever.
        PARTITION_LAG.remove(role, topic, partition)
    for (topic, partition), lag in now.items():
        PARTITION_LAG.labels(role, topic, partition).set(lag)
    _shown[role] = {*now}


def begin_at_zero(role: str) -> None:
    """Show a role's counters before anything is counted.

    One that appears with its first event has no rate then: Prometheus sees no change.
    """
    topics = {
        "fingerprint": ("video.fingerprinted", "video.embedded", "embedding_failed", *CODES),
        "library": ("video.compared", "video.rejected"),
        "decide": ("alert.raised", "alert.suppressed", "video.rejected", *get_args(Outcome)),
    }
    for outcome in topics.get(role, ()):
        OUTCOMES.labels(role, outcome)
    for code in CODES:
        DEAD_LETTERS.labels(code)
    if role == "console":
        for result in get_args(WebhookResult):
            WEBHOOKS.labels(result)
    if role == "fingerprint":
        for use in ("stored", "searching"):
            FRAMES.labels(use)
    if role == "decide":
        for reason in get_args(SuppressionReason):
            SUPPRESSED.labels(reason)
        for outcome in get_args(Outcome):
            DECISION_SECONDS.labels(outcome)


def show_models(role: str, networks: Mapping[str, str | None]) -> None:
    """Show which networks a role uses now, and none that it used before.

    Args:
        role: of the worker.
        networks: version of each, by what it does; None while that isn't known.
    """
    for network, version in networks.items():
        before = _models.get((role, network))
        if version == before:
            continue
        if before is not None:
            MODEL_INFO.remove(role, network, before)
        if version is not None:
            MODEL_INFO.labels(role, network, version).set(1)
        _models[role, network] = version


def observe_stages(role: str, stage_seconds: Mapping[str, float]) -> None:
    """Record one video's stage times."""
    for stage, seconds in stage_seconds.items():
        STAGES.labels(role, stage).observe(seconds)
