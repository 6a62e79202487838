"""How far each consumer group is behind, for whoever looks at the overview."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from stream.broker.group_lags import GroupLags
from stream.broker.settings import KafkaSettings
from stream.errors import BrokerError

log = logging.getLogger(__name__)

KEPT_SECONDS = 15.0  # as often as the role `lag` asks


class Lags:
    """Asks Kafka when somebody looks, and then not again for a while, whatever it said."""

    def __init__(self, kafka: KafkaSettings, shards: int) -> None:
        """Connect when somebody looks.

        Args:
            kafka: the cluster.
            shards: of the library.
        """
        self._kafka, self._shards = kafka, shards
        # One, as `GroupLags` wants it; of its own, since it waits while Kafka is away.
        self._thread = ThreadPoolExecutor(1, "console-lags")
        self._asking = asyncio.Lock()
        self._lags: GroupLags | None = None
        self._found: Mapping[str, int] | None = None
        self._good_until = 0.0

    async def now(self) -> Mapping[str, int] | None:
        """Messages that each group hasn't finished; None where Kafka doesn't answer or refuses.

        An answer may be 15 seconds old. Without one, that is known after half a minute at most.
        """
        async with self._asking:
            if time.monotonic() >= self._good_until:
                loop = asyncio.get_running_loop()
                self._found = await loop.run_in_executor(self._thread, self._ask)
                self._good_until = time.monotonic() + KEPT_SECONDS
            return self._found

    def _ask(self) -> Mapping[str, int] | None:
        try:
            if self._lags is None:
                self._lags = GroupLags(self._kafka, self._shards)
            found = self._lags.now()
        except BrokerError as error:
            log.warning("nothing is known of the groups: %s", error)
            return None
        messages: Counter[str] = Counter()
        for lag in found:
            messages[lag.group.removeprefix(self._kafka.topic_prefix)] += lag.messages
        return messages

    def close(self) -> None:
        """Disconnect."""
        # It waits for a question that is asked: it uses the clients that are closed next.
        self._thread.shutdown(cancel_futures=True)
        if self._lags is not None:
            self._lags.close()
