"""Puts the alerts that a limit applies to into one order that all decide workers see.

A claim is a message of `samesource-flood-claims`: the key is the reference's id, so that the claims
of a reference lie on one partition, the value the alert's. Every decide worker reads all of them.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from stream.agents.clients import seeking_consumer
from stream.agents.lags import Lag
from stream.agents.lifetime import Failure
from stream.agents.publisher import Publisher
from stream.agents.topic_follower import TopicFollower
from stream.broker.settings import KafkaSettings
from stream.decide.floods import Floods

log = logging.getLogger(__name__)

CLAIMS_TOPIC = "samesource-flood-claims"
AGAIN_SECONDS = 30.0
"""After which a claim that didn't come back is written again; claiming twice counts once."""
MAX_LETTERS = 512  # of an id, in every event


class FloodClaims:
    """Claims alerts, and follows the claims of all workers.

    Delivery contract: when `start` returns, all claims that were on the topic by then are known;
    when `claim` returns, its own are, with all that lie before them on the topic. A claim that is
    repeated, after a crash for one, counts once, where it came first.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        publisher: Publisher,
        floods: Floods,
        failure: Failure,
    ) -> None:
        """Nothing is read yet.

        Args:
            kafka: the cluster.
            publisher: started by then.
            floods: is given all claims, in order of each reference.
            failure: is given the error of a follower that must end.
        """
        self._kafka, self._publisher = kafka, publisher
        self._floods, self._failure = floods, failure
        self._follower: TopicFollower | None = None
        self._taken = asyncio.Condition()

    async def start(self) -> None:
        """Connect, read to the present end of the topic, then go on in the background.

        Raises:
            KafkaError: the cluster doesn't answer.
            BrokerError: it lacks the topic.
        """
        self._follower = TopicFollower(
            self._kafka,
            [CLAIMS_TOPIC],
            seeking_consumer(self._kafka),
            what="the claims",
            take=self._take_all,
            failure=self._failure,
        )
        await self._follower.start()

    async def stop(self) -> None:
        """Follow no longer; the claims stay on their topic for the others."""
        if self._follower is not None:
            await self._follower.stop()

    async def claim(self, alerts: Sequence[tuple[str, str]]) -> None:
        """Claim alerts and wait until all claims before theirs are known, however long it takes.

        Args:
            alerts: (reference id, alert id).
        """
        missing = [*alerts]
        while missing:
            for reference_id, alert_id in missing:
                await self._publisher.send(CLAIMS_TOPIC, alert_id.encode(), reference_id.encode())
            # A claim that has come back before this waits is seen: the condition looks first.
            async with self._taken:
                try:
                    async with asyncio.timeout(AGAIN_SECONDS):
                        await self._taken.wait_for(lambda: not self._unknown(alerts))
                except TimeoutError:
                    log.warning("no claim came back within %.0f s: again", AGAIN_SECONDS)
            missing = self._unknown(alerts)

    def _unknown(self, alerts: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        return [alert for alert in alerts if self._floods.others(*alert) is None]

    def clients(self) -> Iterator[object]:
        """The consumer in use, for those who watch over its tasks."""
        if self._follower is not None:
            yield from self._follower.clients()

    def stands_still_seconds(self, *, away: bool) -> float:
        """For how long something has waited and nothing was taken, unless Kafka is `away`."""
        follower = self._follower
        return 0.0 if follower is None else follower.stands_still_seconds(away=away)

    def lags(self) -> list[Lag]:
        """What waits of each partition, once it follows."""
        return [] if self._follower is None else self._follower.lags()

    async def _take_all(self, messages: Sequence[Any]) -> None:
        async with self._taken:
            for message in messages:
                self._take(message)
            self._taken.notify_all()

    def _take(self, message: Any) -> None:
        """One claim; what nobody of us wrote is no claim."""
        try:
            reference_id, alert_id = message.key.decode(), message.value.decode()
        except (AttributeError, UnicodeDecodeError):
            reference_id, alert_id = "", ""
        if not all(0 < len(name) <= MAX_LETTERS for name in (reference_id, alert_id)):
            log.warning("offset %d of %s is no claim", message.offset, message.topic)
            return
        self._floods.claim(reference_id, alert_id, message.timestamp)
