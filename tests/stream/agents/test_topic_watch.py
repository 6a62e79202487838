"""Looks at the topics while workers run: a broker that starts ends none, a lost topic does."""

import asyncio
import logging

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
Found = list[Problem | BrokerError]


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Found:
    """What a cluster's topics are found to have; looked at a hundred times a second."""
    found: Found = []

    def problems(kafka: KafkaSettings) -> list[Problem]:
        for each in found:
            if isinstance(each, BrokerError):
                raise each
        return [each for each in found if isinstance(each, Problem)]

    monkeypatch.setattr(topic_watch, "topic_problems", problems)
    monkeypatch.setattr(topic_watch, "LOOK_EVERY_SECONDS", 0.01)
    monkeypatch.setattr(topic_watch, "MISSING_EVERY_SECONDS", 0.01)
    monkeypatch.setattr(topic_watch, "MISSING_SECONDS", 0.5)
    return found


async def test_a_broker_that_doesnt_know_its_topics_yet_ends_no_worker(found: Found) -> None:
    watching = asyncio.create_task(TopicWatch(KafkaSettings()).run())
    for _ in range(3):
        found.append(GONE)
        await asyncio.sleep(0.3)
        found.clear()
        await asyncio.sleep(0.1)
    for _ in range(3):
        for error in (GONE, AWAY):
            found[:] = [error]
            await asyncio.sleep(0.2)
    assert not watching.done()
    watching.cancel()


async def test_a_topic_that_stays_away_ends_them(found: Found) -> None:
    found.append(GONE)
    with pytest.raises(MissingTopicsError, match=r"no topic video\.compared"):
        await asyncio.wait_for(TopicWatch(KafkaSettings()).run(), 30)


async def test_an_altered_topic_ends_them_at_once(
    found: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic_watch, "MISSING_SECONDS", 1000)
    found.append(ALTERED)
    with pytest.raises(BrokerError, match="cleanup.policy compact"):
        await asyncio.wait_for(TopicWatch(KafkaSettings()).run(), 30)


def test_a_missing_topic_is_refused_at_the_start(found: Found) -> None:
    found.append(GONE)
    with pytest.raises(MissingTopicsError):
        TopicWatch(KafkaSettings()).look()


def test_a_lesser_difference_is_told_once_and_again_when_it_changes(
    found: Found, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    watch = TopicWatch(KafkaSettings())
    for problem in (SHORT, SHORT, SHORTER, SHORTER, None, SHORT):
        found[:] = [] if problem is None else [problem]
        watch.look()
    assert caplog.messages == [SHORT.text, SHORTER.text, SHORT.text]
