"""The topics of the contract, as `kafka/topics.toml` lists them."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from stream.errors import SettingsError

# Beside the schemas, since whoever runs the broker needs both and need not read Python.
TOPICS_FILE = Path(__file__).resolve().parents[2] / "kafka" / "topics.toml"
DAY_MILLISECONDS = 24 * 3600 * 1000  # Kafka's settings count in these, the file in days


Cleanup = Literal["delete", "compact", "compact,delete"]


class Topic(BaseModel):
    """One topic of the contract, named without the prefix.

    Attributes:
        key: what the message key holds, for people.
        cleanup: `delete` drops by age, `compact` keeps the newest message of each key; both may
            be asked for.
        formerly: what earlier releases asked for in place of `cleanup`, and a cluster may still
            have.
        retention_days: 0 is for ever.
        copartitioned: topics that name the same group must have equal partition counts.
        append_time: whether messages carry the broker's time instead of their producer's.
        internal: not for other teams.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    partitions: int = Field(ge=1)
    key: str
    cleanup: Cleanup
    retention_days: int = Field(ge=0)
    max_message_bytes: int = Field(ge=1024)
    producers: list[str]
    consumers: list[str]
    min_compaction_lag_days: int = Field(default=0, ge=0)
    tombstone_days: int = Field(default=1, ge=1)
    formerly: Cleanup | None = None
    copartitioned: str | None = None
    append_time: bool = False
    internal: bool = False

    def config(self, replication_factor: int) -> dict[str, str]:
        """The topic's configuration on the cluster.

        With three copies or more, a write counts once two have it: one broker may fail without
        losing anything or stopping anyone.
        """
        retention = self.retention_days * DAY_MILLISECONDS if self.retention_days else -1
        config = {
            "cleanup.policy": self.cleanup,
            "retention.ms": str(retention),
            "max.message.bytes": str(self.max_message_bytes),
            "min.insync.replicas": "2" if replication_factor >= 3 else "1",
        }
        if "delete" in self.cleanup and not self.retention_days:
            config["retention.bytes"] = "-1"  # a broker's default would drop the oldest
        if self.append_time:
            config["message.timestamp.type"] = "LogAppendTime"
        if "compact" in self.cleanup:
            lag = self.min_compaction_lag_days * DAY_MILLISECONDS
            config["min.compaction.lag.ms"] = str(lag)
            config["delete.retention.ms"] = str(self.tombstone_days * DAY_MILLISECONDS)
        return config


@cache
def _topics(file: Path) -> tuple[Topic, ...]:
    try:
        fields = tomllib.loads(file.read_text())
        topics = TypeAdapter(list[Topic]).validate_python(fields.get("topics", []))
    except FileNotFoundError as error:
        raise SettingsError(f"no {file}: run from a checkout or the container image") from error
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise SettingsError(f"{file}: {error}") from error
    groups: dict[str, set[int]] = {}
    for topic in topics:
        if topic.copartitioned is not None:
            groups.setdefault(topic.copartitioned, set()).add(topic.partitions)
    for group, counts in groups.items():
        if len(counts) > 1:
            raise SettingsError(
                f"{file}: topics of the co-partitioned group {group!r} have {sorted(counts)} "
                "partitions; give them all the same number"
            )
    return tuple(topics)


def load_topics(file: Path = TOPICS_FILE) -> list[Topic]:
    """The topics of the contract, the internal ones included.

    Raises:
        SettingsError: the file is missing or wrong; the text names the key.
    """
    return list(_topics(file))
