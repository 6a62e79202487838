"""From messages to rows: which rows a message touches, and what it makes of them.

Pure: no database, no Kafka, no clock. A row is a function of the messages about it. Of one
partition they come in order, and may come again from any earlier one; across partitions and topics
in any order. So each part of a row has one topic, and remembers the place that it is from: what
lies before that changes nothing. What follows from several parts is computed anew from them.
"""

from collections.abc import Callable, Iterator
from typing import Any

from stream.console.store import project_alerts, project_videos
from stream.console.store.messages import Message
from stream.console.store.project_videos import REQUEST_TOPICS
from stream.console.store.rows import Rows
from stream.console.store.tables import (
    Alert,
    Policy,
    Rejection,
    Review,
    Table,
    Upload,
    Verdict,
    Video,
)
from stream.contract.events import (
    AlertRaised,
    AlertReviewed,
    AlertSuppressed,
    PolicyUpdated,
    VideoDecided,
    VideoEmbedded,
    VideoFingerprinted,
    VideoRejected,
    VideoUploaded,
)
from stream.contract.message import Source

Touched = tuple[type[Table], Any]


def touched(message: Message) -> Iterator[Touched]:
    """The rows that `project` asks for: tables and primary keys; tuples where there are several."""
    source, event = message.source, message.event
    place = (source.partition, source.offset)
    match event:
        case VideoUploaded():
            yield Upload, source.request_id
            yield Video, event.video_id
        case VideoFingerprinted():
            yield Upload, event.request_id
            yield Video, event.video_id
        case VideoEmbedded():
            yield Video, event.video_id
        case VideoDecided():
            yield Upload, event.request_id
        case VideoRejected():
            yield Rejection, place
            if event.source_topic in REQUEST_TOPICS and event.video_id is not None:
                yield Upload, event.request_id
        # Alert and verdict touch each other, as either may come first: state and pair need both.
        case AlertRaised() | AlertSuppressed():
            yield Alert, event.alert_id
            yield Verdict, event.alert_id
        case AlertReviewed():
            yield Verdict, event.alert_id
            yield Alert, event.alert_id
            yield Review, (source.topic, *place)
        case PolicyUpdated():
            yield Policy, event.owner_id
        case None:
            yield from _deleted(message)


def _deleted(message: Message) -> Iterator[Touched]:
    match message.source.topic:
        case VideoFingerprinted.topic | VideoEmbedded.topic:
            yield Video, message.key
        case AlertReviewed.topic:
            yield Verdict, message.key
            yield Alert, message.key
        case PolicyUpdated.topic:
            yield Policy, message.key


def project(message: Message, rows: Rows) -> None:
    """Take a message into the rows; `states.py` says what follows for alerts."""
    source, event = message.source, message.event
    match event:
        case VideoUploaded():
            project_videos.uploaded(rows, event, source)
        case VideoFingerprinted():
            project_videos.fingerprinted(rows, event, source)
        case VideoEmbedded():
            project_videos.embedded(rows, event, source)
        case VideoDecided():
            project_videos.decided(rows, event, source)
        case VideoRejected():
            project_videos.rejected(rows, event, source)
        case AlertRaised() | AlertSuppressed():
            project_alerts.alert(rows, event, source)
        case AlertReviewed():
            project_alerts.reviewed(rows, event, source)
        case PolicyUpdated():
            project_alerts.policy(rows, event.owner_id, event, source)
        case None:
            DELETIONS[source.topic](rows, message.key, source)


DELETIONS: dict[str, Callable[[Rows, str, Source], None]] = {
    VideoFingerprinted.topic: project_videos.taken_down,
    VideoEmbedded.topic: project_videos.vector_taken_down,
    AlertReviewed.topic: project_alerts.verdict_removed,
    PolicyUpdated.topic: project_alerts.policy_removed,
}
