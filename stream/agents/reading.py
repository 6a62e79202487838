"""Whether a consumer that seeks by itself comes on; serves those that read whole topics."""

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.agents.clients import is_connected, positions_of
from stream.agents.health import Progress


class Reading:
    """Sees standstills by looking at where the consumer is, each time it is asked."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        """Nothing is seen yet."""
        self._consumer, self._progress = consumer, Progress()
        self._seen: dict[TopicPartition, int] = {}

    def stands_still_seconds(self, in_hand: int, *, away: bool = False) -> float:
        """For how long there has been work, and the consumer didn't come on; from any thread.

        Kafka's absence is no standstill; a partition of which no fetch has told is one.

        Args:
            in_hand: messages that it has given and that aren't taken yet.
            away: whether something else than Kafka's connections is waited for now.
        """
        found = positions_of(self._consumer)
        seen = {partition: position for partition, (position, _) in found.items()}
        if away or seen != self._seen or not is_connected(self._consumer):
            self._progress.reset()
        self._seen = seen
        waiting = sum(
            1 if end is None else max(0, end - position) for position, end in found.values()
        )
        return self._progress.stands_still_seconds(in_hand + waiting)
