"""Takes videos down: messages without a value on `video.embedded` and on the library log.

Serves `samesource remove`.
"""

import time
from collections.abc import Collection, Sequence

from stream.broker.client import Reader, ends_of, send
from stream.broker.library_log import LibraryLog
from stream.broker.settings import KafkaSettings
from stream.broker.topics import log_identity
from stream.contract.events import VideoDecided, VideoEmbedded, VideoFingerprinted, VideoUploaded
from stream.contract.order import Takedown
from stream.errors import BrokerError, HalfTakenDownError

POLL_SECONDS = 0.1  # between looks at the shards' offsets, for somebody who waits at a terminal


def take_down(kafka: KafkaSettings, video_ids: Sequence[str]) -> None:
    """Put takedowns on the topic of the vectors, then on the library log.

    The log last: whoever looks at it, as the console does, finds a takedown that is whole or none.
    When it returns, they are on the broker: no shard and no search view that reads on finds the
    videos, and nothing that is read after them is answered with one. They cover every upload that
    is on `video.uploaded` now, whether its fingerprint is there, on its way or comes again. A video
    that is submitted later is a new one.

    Raises:
        HalfTakenDownError: the broker didn't take them all; asking again is safe.
        BrokerError: nothing was sent.
    """
    headers = _covering_all_until_now(kafka).headers()
    try:
        for topic in (VideoEmbedded.topic, VideoFingerprinted.topic):
            send(kafka, topic, ((video_id.encode(), None, headers) for video_id in video_ids))
    except BrokerError as error:
        raise HalfTakenDownError(
            "the takedown is not whole: search may have forgotten the videos, and the library "
            f"still hold them. Take them down once more, which is safe. {error}"
        ) from error


def _covering_all_until_now(kafka: KafkaSettings) -> Takedown:
    log_id = log_identity(kafka, VideoUploaded.topic)
    now_ms = round(1000 * time.time())
    return Takedown(log_id, tuple(ends_of(kafka, VideoUploaded.topic)), others_ms=now_ms)


def undecided(kafka: KafkaSettings, video_ids: Collection[str]) -> list[str]:
    """Those of the videos of which no decision was ever made: misspelt, or still on their way.

    Raises:
        BrokerError: the broker doesn't answer.
    """
    left = dict.fromkeys(video_ids)
    with Reader(kafka, VideoDecided.topic) as reader:
        for _, message in reader.until_now():
            left.pop((message.key() or b"").decode(errors="replace"), None)
            if not left:
                break
    return list(left)


def wait_for_shards(log: LibraryLog, shards: int, offset: int, timeout_seconds: float) -> None:
    """Wait until every shard has committed that it is done with the log before an offset.

    Raises:
        BrokerError: one hasn't after so long; names them.
    """
    deadline = time.monotonic() + timeout_seconds
    waiting = set(range(shards))
    while True:
        waiting = {shard for shard in waiting if (log.answered(shard, shards) or 0) < offset}
        if not waiting:
            return
        if time.monotonic() > deadline:
            names = ", ".join(f"{shard}/{shards}" for shard in sorted(waiting))
            raise BrokerError(
                f"shards {names} are not past offset {offset} of the log after "
                f"{timeout_seconds:.0f} s: do they run? The takedown stands, they will read it"
            )
        time.sleep(POLL_SECONDS)
