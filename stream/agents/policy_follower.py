"""Keeps a decide worker's policies as the topics say: read to the end at the start, then followed.

Not a consumer group: every decide worker reads all partitions of `policy.updated` and
`alert.reviewed` from their beginning.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from aiokafka import TopicPartition

from stream.agents.attempts import attempted
from stream.agents.clients import seeking_consumer
from stream.agents.lags import Lag
from stream.agents.lifetime import Failure
from stream.agents.passed_over import PassedOver
from stream.agents.publisher import Publisher
from stream.agents.topic_follower import TopicFollower
from stream.contract.events import EVENTS, AlertReviewed, PolicyUpdated
from stream.contract.message import Source
from stream.decide.policy import Policies
from stream.errors import BadEventError, RejectedError, brief
from stream.settings import Settings
from stream.traces import about

log = logging.getLogger(__name__)

ALL_TOPICS = (PolicyUpdated.topic, AlertReviewed.topic)


def policy_step(policies: Policies, source: Source) -> None:
    """Take one message into the policies.

    Args:
        policies: changed by the message.
        source: one without a value takes back what was said under its key.

    Raises:
        BadEventError: it can't be read, or a policy's key isn't its owner; nothing is changed.
    """
    if source.value is None and source.key is not None:
        policies.remove(source.topic, source.key.decode(errors="replace"))
        return
    event = EVENTS[source.topic].from_bytes(source.value)
    if isinstance(event, PolicyUpdated) and source.key != event.key():
        raise BadEventError(f"{source.key = !r}, expected the owner_id {event.owner_id!r}")
    policies.take(event)


class PolicyFollower:
    """Reads what the policies are made of.

    Delivery contract: when `start` returns, everything that was on the topics by then is in
    `policies`; what comes later follows within moments, in order of each partition. A message
    that can't be read changes nothing, and is a dead letter once; see `PassedOver`.
    """

    def __init__(
        self,
        settings: Settings,
        publisher: Publisher,
        failure: Failure,
        owns: Callable[[int], bool],
    ) -> None:
        """Nothing is read yet.

        Args:
            settings: of the service.
            publisher: for dead letters; started by then.
            failure: is given the error of a follower that must end.
            owns: whether this worker is the one that writes a partition's dead letters now.
        """
        self.policies = Policies(settings.policy, claimed_elsewhere=True)
        self._kafka = settings.kafka
        self._publisher, self._failure, self._owns = publisher, failure, owns
        self._follower: TopicFollower | None = None

    async def start(self) -> None:
        """Connect, read to the present end of all topics, then go on in the background.

        Raises:
            KafkaError: the cluster doesn't answer.
            BrokerError: it lacks one of the topics.
        """
        consumer = seeking_consumer(
            self._kafka,
            # A group in name alone: it holds up to where dead letters are out, see `PassedOver`.
            group_id=f"{self._kafka.topic_prefix}samesource-policies",
            partition_bytes=self._kafka.max_message_bytes,
        )
        self._passed_over = PassedOver(consumer, self._publisher, self._owns)
        self._follower = TopicFollower(
            self._kafka,
            ALL_TOPICS,
            consumer,
            what="the policies",
            take=self._take_all,
            failure=self._failure,
            after_each=self._passed_over.tell,
        )
        await self._follower.start()

    async def stop(self) -> None:
        """Follow no longer; dead letters that aren't out are found again by the next start."""
        if self._follower is not None:
            await self._follower.stop()

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
        for message in messages:
            self._take(message)

    def _take(self, message: Any) -> None:
        with about(message):
            self._take_one(message)

    def _take_one(self, message: Any) -> None:
        source = Source.of(message, message.topic.removeprefix(self._kafka.topic_prefix))
        try:
            attempted(source, lambda: policy_step(self.policies, source))
        except RejectedError as error:
            log.warning("%s is passed over: %s: %s", source, error.code, brief(error))
            partition = TopicPartition(message.topic, message.partition)
            self._passed_over.note(partition, source, error)
