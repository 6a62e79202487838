"""Would this video match? Asks the shards, as `samesource match` does; nothing is added."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from stream.admin.match import Answers, match
from stream.broker.settings import KafkaSettings
from stream.texts import Text

AT_ONCE = 4  # questions, set by hand; each holds a reader of Kafka for as long as it waits


class BusyError(Exception):
    """So many are being asked that one more would wait for them."""


class Matches:
    """Asks, a few at a time. Whoever is turned away is told at once."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._threads = ThreadPoolExecutor(AT_ONCE, "console-match")
        self._free = asyncio.Semaphore(AT_ONCE)

    async def ask(self, uri: str, owner_id: str | None, timeout_seconds: float) -> Answers:
        """What the shards have said when all have answered, or time is over.

        Raises:
            BusyError: there are too many already.
            BadEventError: the URI or the owner is no text that an event may have.
            BrokerError: the broker doesn't answer.
        """
        if self._free.locked():
            raise BusyError(
                Text("{number} questions are being answered: ask again soon", number=AT_ONCE)
            )
        async with self._free:
            ask = partial(
                match, self._kafka, uri, owner_id=owner_id, timeout_seconds=timeout_seconds
            )
            return await asyncio.get_running_loop().run_in_executor(self._threads, ask)

    def close(self) -> None:
        """Ask no more."""
        # A question may take a minute more, and a stop has seconds.
        self._threads.shutdown(wait=False, cancel_futures=True)
