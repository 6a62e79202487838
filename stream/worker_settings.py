"""Settings of the workers as processes: how much at a time, what they tell, how they stop.

Not inside `stream.agents`, whose import sets up a Kafka client: steps read settings without one.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class WorkerSettings(BaseModel):
    """How workers run.

    Attributes:
        fingerprint_concurrency: uploads at work at a time: `decode.processes` of them decode, the
            others encode or wait for Kafka.
        fetch_concurrency: further uploads that are being downloaded, or wait for their turn; slow
            servers hold these places, and each may hold `fetch.max_bytes` on disk. A quarter of
            them, but one at the least, is left to small downloads; see `large_downloads`.
        decided_retention_seconds: how long a decided join recognises repeated answers; as long as
            answers stay on `video.compared`.
        session_timeout_seconds: after so long without a sign of life, Kafka gives a worker's
            partitions to others. A fifth of it is the heartbeat; Kafka takes no less than 6.
        commit_seconds: how often a worker tells Kafka how far it is, a round trip: what a kill
            repeats.
        metrics_port: of `/metrics`, `/health/live` and `/health/ready`; none when left out.
        metrics_host: the address that they are on.
        data_folder: notes of what was in hand when a worker died, for the next one to read, so on a
            disk that outlives a restart.
        drain_seconds: how long a stop may take: for what is in flight, and for leaving Kafka. Below
            what a supervisor waits before it kills, 45 s in the compose file.
        stalled_seconds: `/health/live` fails after so long with work and without progress. Longer
            than one video may take: `fetch.timeout_seconds` and `decode.timeout_seconds`.
            Progress is an upload that is done: longer than one may take.
        log_format: `json` is an object a line, `auto` that where stderr is no terminal.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    fingerprint_concurrency: int = Field(default=4, ge=1)
    fetch_concurrency: int = Field(default=32, ge=1)
    decided_retention_seconds: float = Field(default=7 * 86400.0, gt=0)
    session_timeout_seconds: float = Field(default=10.0, ge=6)
    commit_seconds: float = Field(default=1.0, gt=0, le=60)
    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    metrics_host: str = "127.0.0.1"
    data_folder: Path = Path("var/workers")
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    log_format: Literal["auto", "json", "text"] = "auto"
    drain_seconds: float = Field(default=30.0, ge=0)
    stalled_seconds: float = Field(default=1200.0, gt=0)

    @property
    def large_downloads(self) -> int:
        """Downloads of more than `fetch.small_bytes` at a time."""
        kept = max(1, self.fetch_concurrency // 4)
        return max(1, self.fetch_concurrency - kept)
