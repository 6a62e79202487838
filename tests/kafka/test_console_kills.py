"""A console that is killed under load: what its API has acknowledged is in the rows once."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.delivery.console_kills import measure
from stream.broker.settings import KafkaSettings


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)  # of messages that are strange on purpose
    yield
    logging.disable(logging.NOTSET)


def test_what_was_acknowledged_is_there_once_whoever_is_killed(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/console.db"
    figures = measure(kafka_settings, url, 2, None, tmp_path, told_seconds=0)
    assert figures.acknowledged > 0 and figures.to_tell > 0
    assert (figures.different, figures.lost, figures.twice, figures.unnoted) == ({}, 0, 0, 0)
    assert figures.unmade == 0
