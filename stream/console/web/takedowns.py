"""Takedowns by pages and API, with their line in the audit log: of half of one too."""

import logging

from stream.console.store.desk import Person
from stream.console.web.console import Console
from stream.console.web.problems import RETRY_SECONDS, Problem
from stream.errors import HalfTakenDownError
from stream.texts import Text

log = logging.getLogger(__name__)

HALF = Text(
    "the takedown is not whole: search may have forgotten the video, and the library still hold "
    "it. Take it down once more, which is safe"
)


async def take_down(console: Console, person: Person, video_id: str, why: str | None) -> None:
    """Take a video down, as `stream.admin.takedown.take_down`.

    Raises:
        Problem: 503, half of it may be on Kafka.
        BrokerError: nothing is.
    """
    try:
        await console.kafka.take_down([video_id])
    except HalfTakenDownError as error:
        log.warning("%s: %s", video_id, error)
        await console.note(person.name, "take down in part", video_id, why)
        raise Problem(503, HALF, {"Retry-After": RETRY_SECONDS}) from error
    await console.note(person.name, "take down", video_id, why)
