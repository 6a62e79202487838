"""Raises held alerts that a person has confirmed; serves the decide worker.

All decide workers follow `alert.reviewed` to judge by it. This reads it once more, in their
consumer group, so that one of them does what a verdict asks for.
"""

import logging
from typing import Any

from stream.agents.attempts import attempted, publish_or_reject
from stream.agents.deaths import Deaths
from stream.agents.flood_claims import FloodClaims
from stream.agents.publisher import Publisher
from stream.contract.events import AlertRaised, AlertReviewed
from stream.contract.message import Source
from stream.decide.policy import Policies
from stream.errors import BadEventError, RejectedError, brief
from stream.failpoints import failpoint
from stream.metrics import OUTCOMES

log = logging.getLogger(__name__)


def release_step(policies: Policies, source: Source) -> AlertRaised | None:
    """One verdict in, the alert that it raises out; None for any that carries no held alert.

    Raises:
        BadEventError: it can't be read.
    """
    if source.value is None:
        return None
    return policies.release(AlertReviewed.from_bytes(source.value), source.timestamp_ms)


class Releases:
    """What happens to the verdicts of a decide worker's partitions.

    Delivery contract: `handle` returns when the alert that a verdict raises is on the broker, and
    its claim where its reference has a limit. After a crash before that the verdict comes again,
    perhaps to another worker, and raises the same text; the claim counts once within the hour.
    """

    def __init__(
        self, publisher: Publisher, deaths: Deaths, policies: Policies, claims: FloodClaims
    ) -> None:
        """Nothing is read yet; all of them are the worker's."""
        self._publisher, self._deaths = publisher, deaths
        self._policies, self._claims = policies, claims

    async def handle(self, event: Any) -> None:
        """Take a verdict, as Faust gives it."""
        source = Source.of(event.message, AlertReviewed.topic)
        try:
            with self._deaths.at_work(source):
                self._policies.take_unclaimed()  # what a step that raised has left
                alert = attempted(source, lambda: release_step(self._policies, source))
                unclaimed = self._policies.take_unclaimed()
        except BadEventError:
            return  # who follows the policies tells of it
        except RejectedError as error:
            log.warning("%s raises nothing: %s: %s", source, error.code, brief(error))
            await self._publisher.publish([source.rejected(error)])
            return
        if alert is not None:
            await self._claims.claim(unclaimed)
            failpoint("decide.before_produce")
            for said in await publish_or_reject(self._publisher, source, [alert]):
                OUTCOMES.labels("decide", said.topic).inc()
            failpoint("decide.after_produce")
