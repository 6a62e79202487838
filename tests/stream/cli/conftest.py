"""A broker of each test's own, and the command beside it."""

from collections.abc import Iterator

import pytest

from stream.broker.settings import KafkaSettings
from tests.stream.brokers import broker_with
from tests.stream.command import Command


@pytest.fixture
def kafka(request: pytest.FixtureRequest) -> Iterator[KafkaSettings]:
    """With the topics that the test's module has in `TOPICS`."""
    with broker_with(request.module.TOPICS) as settings:
        yield settings


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], kafka: KafkaSettings
) -> Command:
    """`samesource`, with the settings of that broker."""
    made = Command(monkeypatch, capfd)
    made.on(kafka)
    return made
