"""The lag of the groups, on a real Kafka."""

from stream.broker.settings import KafkaSettings
from tests.stream.broker.test_group_lags import assert_lags_are_what_no_commit_passes


def test_lags_are_what_no_commit_passes(kafka_settings: KafkaSettings) -> None:
    assert_lags_are_what_no_commit_passes(kafka_settings)
