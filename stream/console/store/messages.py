"""One message of a topic that the console reads, read and checked. Serves `projection.py`."""

from dataclasses import dataclass

from stream.contract.events import (
    EVENTS,
    AlertRaised,
    AlertReviewed,
    AlertSuppressed,
    Event,
    PolicyUpdated,
    VideoDecided,
    VideoEmbedded,
    VideoFingerprinted,
    VideoRejected,
    VideoUploaded,
)
from stream.contract.message import Source
from stream.errors import BadEventError

TOPICS = (
    VideoUploaded.topic,
    VideoFingerprinted.topic,
    VideoEmbedded.topic,
    VideoRejected.topic,
    VideoDecided.topic,
    AlertRaised.topic,
    AlertSuppressed.topic,
    AlertReviewed.topic,
    PolicyUpdated.topic,
)
DELETABLE = (
    VideoFingerprinted.topic,
    VideoEmbedded.topic,
    AlertReviewed.topic,
    PolicyUpdated.topic,
)
KEYED = (VideoFingerprinted, VideoEmbedded, PolicyUpdated)
"""Whose key must be what they are about, or a deletion under it would delete something else."""


@dataclass(frozen=True)
class Message:
    """A message that can be projected.

    Attributes:
        event: what it says; None where it deletes what was said under its key.
    """

    source: Source
    event: Event | None

    @property
    def key(self) -> str:
        """Its key as text; empty without one."""
        return (self.source.key or b"").decode(errors="replace")


def read(source: Source) -> Message | None:
    """Read a message; None for one that says nothing: a deletion where nothing can be deleted.

    Raises:
        BadEventError: it can't be read, or its key isn't what it is about.
    """
    if source.value is None:
        said = source.key is not None and source.topic in DELETABLE
        return Message(source, None) if said else None
    event = EVENTS[source.topic].from_bytes(source.value)
    if isinstance(event, KEYED) and source.key != event.key():
        raise BadEventError(f"{source.key = !r}, expected {event.key()!r}")
    return Message(source, event)
