"""The lag of the groups, on a real Kafka."""

from pathlib import Path

from stream.broker.group_lags import GroupLags
from stream.broker.local import LocalKafka
from stream.broker.settings import KafkaSettings
from stream.broker.topics import create_topics
from tests.stream.broker.test_group_lags import assert_lags_are_what_no_commit_passes


def test_lags_are_what_no_commit_passes(kafka_settings: KafkaSettings) -> None:
    assert_lags_are_what_no_commit_passes(kafka_settings)


def test_a_kafka_that_never_had_a_group_answers_and_ends_nobody(tmp_path: Path) -> None:
    """Its coordinators move as it makes their topic: an admin client died of that."""
    with LocalKafka(tmp_path / "kafka") as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        create_topics(kafka)
        lags = GroupLags(kafka, shards=2)
        try:
            assert {(lag.offset, lag.messages) for lag in lags.now()} == {(0, 0)}
        finally:
            lags.close()
