"""Several decide workers claim at the same moment: all see one order, and the limit holds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from stream.agents.flood_claims import CLAIMS_TOPIC, FloodClaims
from stream.agents.publisher import Publisher
from stream.broker.client import Headers, send
from stream.broker.settings import KafkaSettings
from stream.decide.floods import Floods

pytestmark = pytest.mark.asyncio
LIMIT = 5


@asynccontextmanager
async def claiming(kafka: KafkaSettings) -> AsyncIterator[tuple[FloodClaims, Floods]]:
    """What one decide worker has of it."""
    floods, publisher = Floods(), Publisher(kafka)
    failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    claims = FloodClaims(kafka, publisher, floods, failure)
    await publisher.start()
    await claims.start()
    try:
        yield claims, floods
    finally:
        await claims.stop()
        await publisher.stop()
    assert not failure.done()


def passing(floods: Floods, reference: str, alerts: list[str]) -> list[str]:
    found = {alert: floods.others(reference, alert) for alert in alerts}
    return [alert for alert, others in found.items() if others is not None and others < LIMIT]


async def test_of_many_that_claim_at_the_same_moment_as_many_pass_as_the_limit_says(
    kafka: KafkaSettings,
) -> None:
    alerts = [f"alert-{number}" for number in range(40)]
    async with (
        claiming(kafka) as (first, seen_first),
        claiming(kafka) as (second, seen_second),
        claiming(kafka) as (third, seen_third),
    ):
        workers = [(first, seen_first), (second, seen_second), (third, seen_third)]

        async def decide(number: int, alert: str) -> bool:
            """As a worker does that got the answer; every fourth answer comes to another too."""
            said = []
            for claims, floods in [workers[number % 3], workers[(number + 1) % 3]][
                : 2 if number % 4 == 0 else 1
            ]:
                await claims.claim([("film", alert)])
                said.append(alert in passing(floods, "film", [alert]))
            assert len({*said}) == 1
            return said[0]

        raised = await asyncio.gather(
            *(decide(number, alert) for number, alert in enumerate(alerts))
        )
        assert sum(raised) == LIMIT
        expected = [alert for alert, passed in zip(alerts, raised, strict=True) if passed]
    async with claiming(kafka) as (again, seen):  # a worker that comes later is told the same
        assert passing(seen, "film", alerts) == expected
        await again.claim([("film", alert) for alert in alerts])
        assert passing(seen, "film", alerts) == expected
        await again.claim([("film", "one more")])
        assert seen.others("film", "one more") == len(alerts)


async def test_what_is_no_claim_is_passed_over(
    kafka: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    junk: list[tuple[bytes | None, bytes | None, Headers]] = [
        (None, b"x", []),
        (b"series", None, []),
        (b"\xff", b"x", []),
        (b"x", b"\xff", []),
        (b"", b"x", []),
        (b"an id of no event" * 50, b"x", []),
        (b"x", b"an id of no event" * 50, []),
    ]
    await asyncio.to_thread(send, kafka, CLAIMS_TOPIC, junk)
    async with claiming(kafka) as (claims, floods):
        await claims.claim([("series", "a"), ("series", "b")])
        assert [floods.others("series", alert) for alert in "ab"] == [0, 1]
    assert caplog.text.count("is no claim") == len(junk)
