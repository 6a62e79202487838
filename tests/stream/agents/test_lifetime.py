"""What ends a worker although nothing in its own code fails."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from stream.agents.lifetime import Failure, watch_clients
from stream.broker.embedded import embedded_kafka
from stream.broker.settings import KafkaSettings
from stream.errors import WorkerError


async def test_a_member_that_its_group_refuses_doesnt_wait_for_ever() -> None:
    """The embedded broker refuses whoever comes second; it fetches nothing, so nobody is told."""
    with embedded_kafka(KafkaSettings(broker="embedded")) as kafka:
        members = [member(kafka), member(kafka)]
        await members[0].start()
        with pytest.raises(KafkaError, match="InvalidRequest"):
            await members[1].start()
        failure: Failure = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait_for(watch_clients(lambda: members, failure), 20)
        finally:
            for one in members:
                await one.stop()
    with pytest.raises(WorkerError, match=r"joining its group\) crashed: .*InvalidRequestError"):
        failure.result()


def member(kafka: KafkaSettings) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        kafka.topic("video.uploaded"), **kafka.aiokafka_options(), group_id="readers"
    )
