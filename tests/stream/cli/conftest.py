"""A broker of each test's own, and the command beside it."""

from collections.abc import Iterator

import pytest

from stream.broker.embedded import EmbeddedBroker
from stream.broker.settings import KafkaSettings
from stream.contract.topics import load_topics
from tests.stream.command import Command


@pytest.fixture
def kafka(request: pytest.FixtureRequest) -> Iterator[KafkaSettings]:
    """With the topics that the test's module has in `TOPICS`; fewer are made sooner."""
    needed = [topic for topic in load_topics() if topic.name in request.module.TOPICS]
    with EmbeddedBroker(topic_prefix="t.", topics=needed) as broker:
        yield KafkaSettings(
            broker="embedded", bootstrap_servers=broker.bootstrap_servers, topic_prefix="t."
        )


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], kafka: KafkaSettings
) -> Command:
    """`samesource`, with the settings of that broker."""
    made = Command(monkeypatch, capfd)
    made.on(kafka)
    return made
