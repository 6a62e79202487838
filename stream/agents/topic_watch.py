"""Looks at the topics before workers start, and again while they run: somebody may alter them."""

import asyncio
import logging
import time

from stream.broker.settings import KafkaSettings
from stream.broker.topics import topic_problems
from stream.errors import BrokerError, MissingTopicsError, UnreachableError

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 60.0  # two requests
MISSING_SECONDS = 30.0
"""A broker that has just started may not know its topics yet: those of workers that run are missed
only after so long."""
MISSING_EVERY_SECONDS = 5.0  # between looks meanwhile


class TopicWatch:
    """Tells of a lesser difference once, and again when it has changed."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._told: set[str] = set()

    def look(self) -> None:
        """Warn of topics that differ from the contract.

        Raises:
            BrokerError: with these topics the answers would be wrong, or none would come.
            MissingTopicsError: the cluster, or the broker that answered, lacks some.
            UnreachableError: the cluster doesn't answer within 10 s.
        """
        problems = topic_problems(self._kafka)
        lesser = {problem.text for problem in problems if not problem.fatal}
        for text in sorted(lesser - self._told):
            log.warning("%s", text)
        self._told = lesser
        fatal = [problem.text for problem in problems if problem.fatal]
        if fatal:
            raise BrokerError("; ".join(fatal))

    async def run(self) -> None:
        """Look again and again, for ever.

        Raises:
            BrokerError: workers can't go on with these topics, or some are still missing after
                `MISSING_SECONDS`.
        """
        missing_since: float | None = None
        while True:
            await asyncio.sleep(
                LOOK_EVERY_SECONDS if missing_since is None else MISSING_EVERY_SECONDS
            )
            try:
                await asyncio.to_thread(self.look)
            except UnreachableError as error:
                log.debug("the topics can't be looked at: %s", error)
                missing_since = None
            except MissingTopicsError as error:
                if missing_since is None:
                    missing_since = time.monotonic()
                    log.warning("a broker says: %s; looked for until it has started", error)
                elif time.monotonic() - missing_since >= MISSING_SECONDS:
                    raise
            else:
                missing_since = None
