"""What the console says on Kafka, and what it looks up there: the messages that commands write.

A write counts when it is on the broker. It comes back through the topics like everybody's, so the
log stays the only truth.
"""

import asyncio
import base64
import binascii
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from stream.admin.replay import Replay, read_since, replays
from stream.admin.takedown import take_down
from stream.broker.message_at import MessageAt
from stream.broker.sender import Headers, Sender
from stream.broker.settings import KafkaSettings
from stream.console.store.views import Place
from stream.contract.base import Event
from stream.contract.events import (
    PolicyUpdated,
    VideoEmbedded,
    VideoFingerprinted,
    VideoRejected,
    VideoUploaded,
)
from stream.contract.fingerprint import Fingerprint
from stream.contract.message import Source
from stream.errors import BadEventError, BrokerError
from stream.traces import trace_headers

log = logging.getLogger(__name__)

T = TypeVar("T")
THREADS = 8  # of its own: while Kafka is away, each holds one for half a minute


class ConsoleKafka:
    """Writes and single reads.

    Every method but `request_id` may raise `BrokerError`, within half a minute.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        """Connect when something is written or looked up."""
        self._kafka = kafka
        self._sender, self._messages = Sender(kafka), MessageAt(kafka)
        self._threads = ThreadPoolExecutor(THREADS, "console-kafka")

    async def say(self, events: Sequence[Event]) -> list[Source]:
        """Write events of one topic: verdicts, an upload, a policy.

        Returns:
            Where they lie.
        """
        return await self._send(events[0].topic, [(each.key(), each.to_bytes()) for each in events])

    async def request_id(self, place: Source) -> str:
        """The id of an upload that was just written, by which every later event of it goes.

        Read back, since it holds the message's time, which the broker may have set: what it
        acknowledges isn't always what it keeps. Where that fails, it is as acknowledged: the upload
        is submitted.
        """
        try:
            found = await self._on_thread(
                self._messages.read, place.topic, place.partition, place.offset
            )
        except BrokerError as error:
            log.warning("%s is on Kafka, but can't be read back: %s", place, error)
            found = None
        return (found or place).request_id

    async def remove_policy(self, owner_id: str) -> list[Source]:
        """Take a rights holder's policy back."""
        return await self._send(PolicyUpdated.topic, [(owner_id.encode(), None)])

    async def _send(
        self, topic: str, messages: Sequence[tuple[bytes | None, bytes | None]]
    ) -> list[Source]:
        headers = trace_headers()
        with_headers = [(key, value, headers) for key, value in messages]
        return await self._on_thread(self._sender.send, topic, with_headers)

    async def ends(self, topic: str) -> dict[int, int]:
        """The offset behind the last message of each partition of a topic."""
        return await self._on_thread(self._messages.ends, topic)

    async def letter(self, partition: int, offset: int) -> VideoRejected | None:
        """A dead letter with its original; None where it is gone."""
        source = await self._on_thread(self._messages.read, VideoRejected.topic, partition, offset)
        try:
            return None if source is None else VideoRejected.from_bytes(source.value)
        except BadEventError:
            return None

    async def replay_of(self, letter: VideoRejected, takedown: Place | None = None) -> Replay:
        """What is to become of a letter, as `replays` says.

        Args:
            letter: whole, from Kafka.
            takedown: where the newest of its video lies.
        """
        return await self._on_thread(self._replay_of, letter, takedown)

    def _replay_of(self, letter: VideoRejected, takedown: Place | None) -> Replay:
        since = read_since(self._kafka, [letter])
        if takedown is not None and letter.video_id is not None:
            source = self._messages.read(takedown.topic, takedown.partition, takedown.offset)
            if source is not None and source.value is None:
                since.removed[letter.video_id] = [source]
        (found,) = replays([letter], since)
        return found

    async def submit_again(self, upload: VideoUploaded, headers: Headers) -> list[Source]:
        """Submit the original of a letter, as `replay_of` says."""
        message = (upload.key(), upload.to_bytes(), headers)
        return await self._on_thread(self._sender.send, VideoUploaded.topic, [message])

    async def take_down(self, video_ids: Sequence[str]) -> None:
        """Take videos down, as `stream.admin.takedown.take_down`."""
        await self._on_thread(take_down, self._kafka, video_ids)

    async def fingerprint(self, video_id: str, partition: int, offset: int) -> Fingerprint | None:
        """A fingerprint on the library log; None where it is gone or another video's."""
        source = await self._on_thread(
            self._messages.read, VideoFingerprinted.topic, partition, offset
        )
        if source is None or source.value is None:
            return None
        try:
            # A film's fingerprint takes a while to decode, in which the loop would answer nobody.
            found = await self._on_thread(Fingerprint.from_bytes, source.value)
        except BadEventError:
            return None
        # On a topic that was made anew, another video lies at this place.
        return found if found.video_id == video_id else None

    async def thumbnails(self, video_id: str, partition: int, offset: int) -> list[bytes]:
        """The small JPEGs that travel with a video's vector, in order of time; empty where gone."""
        source = await self._on_thread(self._messages.read, VideoEmbedded.topic, partition, offset)
        if source is None or source.value is None:
            return []
        try:
            found = VideoEmbedded.from_bytes(source.value)
            pictures = [base64.b64decode(each, validate=True) for each in found.thumbnails]
        except (BadEventError, binascii.Error):
            return []
        return pictures if found.video_id == video_id else []

    async def _on_thread(self, call: Callable[..., T], *arguments: Any) -> T:
        ask = partial(call, *arguments)
        return await asyncio.get_running_loop().run_in_executor(self._threads, ask)

    def close(self) -> None:
        """Disconnect."""
        # It waits for calls that run: they use the reader that is closed next.
        self._threads.shutdown(cancel_futures=True)
        self._messages.close()
