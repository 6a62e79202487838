"""The uploads of one library, submitted to another: what a new encoder needs.

Serves `samesource resubmit`. Descriptors of two encoders can't be compared, so the videos are
fetched and encoded again, under another topic prefix.
"""

from dataclasses import dataclass

from stream.broker.client import Reader, submit
from stream.broker.settings import KafkaSettings
from stream.contract.events import VideoFingerprinted, VideoUploaded
from stream.errors import BadEventError, SettingsError

Held = VideoUploaded | None


@dataclass(frozen=True)
class Resubmitted:
    """What happened to the videos of a library.

    Attributes:
        uploads: submitted, each video once, in its newest version there is.
        lost: ids whose upload event is no longer on the topic, and whose fingerprint doesn't say
            where the video is: submit them as a platform would.
    """

    uploads: list[VideoUploaded]
    lost: list[str]


def uploads_of_library(kafka: KafkaSettings) -> Resubmitted:
    """The upload event of every video that a library holds; those taken down are left out.

    Where the event is no longer on its topic it is made of what the fingerprint says, without
    description and language.

    Raises:
        BrokerError: the broker doesn't answer, or lacks the topics.
    """
    # The log first: of all uploads ever submitted, only those that are held are then kept here.
    held: dict[str, Held] = {}
    with Reader(kafka, VideoFingerprinted.topic) as reader:
        for _, message in reader.until_now():
            video_id = (message.key() or b"").decode(errors="replace")
            if message.value() is None:
                held.pop(video_id, None)
            else:
                held[video_id] = _as_uploaded(message.value())
    newest: dict[str, VideoUploaded] = {}
    with Reader(kafka, VideoUploaded.topic) as reader:
        for _, message in reader.until_now():
            try:
                upload = VideoUploaded.from_bytes(message.value())
            except BadEventError:
                continue  # a dead letter tells of it
            if upload.video_id in held:
                newest[upload.video_id] = upload
    older = {video_id: upload for video_id, upload in held.items() if video_id not in newest}
    told = [upload for upload in older.values() if upload is not None]
    lost = sorted(video_id for video_id, upload in older.items() if upload is None)
    return Resubmitted([*newest.values(), *told], lost)


def _as_uploaded(value: bytes | None) -> Held:
    """The upload that a fingerprint was made of; None where it doesn't say where the video is."""
    try:
        made = VideoFingerprinted.from_bytes(value)
    except BadEventError:
        return None
    if made.uri is None:
        return None
    return VideoUploaded(
        video_id=made.video_id,
        uri=made.uri,
        owner_id=made.owner_id,
        title=made.title,
        role=made.role,
        content_version=made.content_version,
    )


def resubmit(kafka: KafkaSettings, from_prefix: str) -> Resubmitted:
    """Submit the videos of the library under `from_prefix` to the one of the settings.

    Safe to repeat: a version that is there already is answered as the first time.

    Raises:
        SettingsError: both prefixes are the same.
        BrokerError: the broker didn't take them all.
    """
    if from_prefix == kafka.topic_prefix:
        raise SettingsError(
            f"kafka.topic_prefix is {from_prefix!r}, as --from-prefix: a library of another "
            "encoder needs a prefix of its own"
        )
    found = uploads_of_library(kafka.model_copy(update={"topic_prefix": from_prefix}))
    submit(kafka, found.uploads)
    return found
