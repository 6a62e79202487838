"""A process that was frozen for about a session doesn't trust what it knew before."""

import asyncio

from stream.agents.pulse import Pulse


class Clock:
    """Shows what the test sets."""

    seconds = 100.0

    def __call__(self) -> float:
        """In seconds."""
        return self.seconds


async def beating(clock: Clock) -> tuple[Pulse, asyncio.Task[None]]:
    pulse = Pulse(30.0, clock)
    task = asyncio.create_task(pulse.beat())
    await asyncio.sleep(0)
    return pulse, task


async def test_after_a_freeze_it_is_unsure_for_a_session_whoever_notices_first() -> None:
    clock = Clock()
    pulse, task = await beating(clock)
    assert pulse.unsure_seconds() == 0
    clock.seconds += 25
    assert pulse.unsure_seconds() == 30
    clock.seconds += 10
    assert pulse.unsure_seconds() == 20
    clock.seconds += 20
    assert pulse.unsure_seconds() == 0
    clock.seconds += 25
    pulse._note()  # as the beat does
    assert pulse.unsure_seconds() == 30
    task.cancel()


async def test_a_short_pause_and_a_slow_start_are_no_freeze() -> None:
    clock = Clock()
    pulse = Pulse(30.0, clock)
    clock.seconds += 1000
    assert pulse.unsure_seconds() == 0
    task = asyncio.create_task(pulse.beat())
    await asyncio.sleep(0)
    clock.seconds += 20
    assert pulse.unsure_seconds() == 0
    task.cancel()
