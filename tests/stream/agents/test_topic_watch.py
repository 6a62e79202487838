"""Looks at the topics while workers run: a broker that starts ends none, a lost topic does."""

import asyncio
import logging
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from stream.agents import topic_watch
from stream.agents.topic_watch import TopicWatch
from stream.broker.settings import KafkaSettings
from stream.broker.topics import Problem
from stream.errors import BrokerError, MissingTopicsError, UnreachableError

SHORT = Problem("video.uploaded has retention.ms 1000", fatal=False)
SHORTER = Problem("video.uploaded has retention.ms 500", fatal=False)
ALTERED = Problem("video.compared has cleanup.policy compact", fatal=True)
GONE = MissingTopicsError("no topic video.compared")
AWAY = UnreachableError("no Kafka")
SOON = int(topic_watch.MISSING_SECONDS / topic_watch.MISSING_EVERY_SECONDS)
"""Looks that find a topic missing, and not yet for too long."""


@dataclass
class Cluster:
    """What each look at its topics finds, on a clock that only the watch's waiting moves."""

    finds: list[Problem | BrokerError | None] = field(default_factory=list)
    seconds: float = 0.0
    seen: asyncio.Event = field(default_factory=asyncio.Event)

    def problems(self, kafka: KafkaSettings) -> list[Problem]:
        """Look."""
        found = self.finds.pop(0)
        if isinstance(found, BrokerError):
            raise found
        return [] if found is None else [found]

    async def sleep(self, seconds: float) -> None:
        """Wait for the next look; for ever, when all is seen."""
        if not self.finds:
            self.seen.set()
            await asyncio.Event().wait()
        self.seconds += seconds


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """One that is looked at."""
    made = Cluster()
    clock = SimpleNamespace(monotonic=lambda: made.seconds)
    loop = SimpleNamespace(sleep=made.sleep, to_thread=asyncio.to_thread)
    monkeypatch.setattr(topic_watch, "topic_problems", made.problems)
    monkeypatch.setattr(topic_watch, "time", clock)
    monkeypatch.setattr(topic_watch, "asyncio", loop)
    return made


async def watched(cluster: Cluster, *finds: Problem | BrokerError | None) -> None:
    """Watch, until all of these are found.

    Raises:
        BrokerError: what ended the watch.
    """
    cluster.finds = [*finds]
    watching = asyncio.create_task(TopicWatch(KafkaSettings()).run())
    seeing = asyncio.create_task(cluster.seen.wait())
    done, waiting = await asyncio.wait((watching, seeing), return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    for task in done:
        task.result()


async def test_a_broker_that_doesnt_know_its_topics_yet_ends_no_worker(cluster: Cluster) -> None:
    await watched(cluster, *([GONE] * SOON + [None]) * 3, *([GONE] * SOON + [AWAY]) * 3)
    assert cluster.seconds > 6 * topic_watch.MISSING_SECONDS


async def test_a_topic_that_stays_away_ends_them(cluster: Cluster) -> None:
    with pytest.raises(MissingTopicsError, match=r"no topic video\.compared"):
        await watched(cluster, *[GONE] * (SOON + 1))
    assert cluster.seconds == topic_watch.LOOK_EVERY_SECONDS + topic_watch.MISSING_SECONDS


async def test_an_altered_topic_ends_them_at_once(cluster: Cluster) -> None:
    with pytest.raises(BrokerError, match="cleanup.policy compact"):
        await watched(cluster, ALTERED)
    assert cluster.seconds == topic_watch.LOOK_EVERY_SECONDS


def test_a_missing_topic_is_refused_at_the_start(cluster: Cluster) -> None:
    cluster.finds = [GONE]
    with pytest.raises(MissingTopicsError):
        TopicWatch(KafkaSettings()).look()


def test_a_lesser_difference_is_told_once_and_again_when_it_changes(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    watch = TopicWatch(KafkaSettings())
    cluster.finds = [SHORT, SHORT, SHORTER, SHORTER, None, SHORT]
    while cluster.finds:
        watch.look()
    assert caplog.messages == [SHORT.text, SHORTER.text, SHORT.text]
