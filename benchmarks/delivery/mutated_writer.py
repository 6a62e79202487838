"""Writes damaged events, and knows what must come of each; serves `mutated_events`."""

import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c
from confluent_kafka import Message, Producer

from benchmarks.delivery.mutations import CODECS, Mutations
from stream.agents.flood_claims import CLAIMS_TOPIC
from stream.agents.policy_follower import policy_step
from stream.broker.client import Reader
from stream.broker.settings import KafkaSettings
from stream.contract.events import (
    EVENTS,
    ProbeAsked,
    ProbeFingerprinted,
    VideoCompared,
    VideoFingerprinted,
)
from stream.contract.message import Source
from stream.contract.packed import CODES, pack_codes, quantise, unpack
from stream.contract.topics import load_topics
from stream.decide.joins import CHANGELOG
from stream.decide.policy import Policies
from stream.errors import BadEventError
from tests.stream.pills import PROBE_TOPICS, READ_TOPICS, good_fields

FOLLOWED = ("policy.updated", "alert.reviewed")
OWN = (CHANGELOG, CLAIMS_TOPIC)  # nobody but decide workers writes there
SILENT = ("video.embedded", *PROBE_TOPICS, *OWN)  # what is bad there leaves no dead letter
WRITTEN = (*READ_TOPICS, *PROBE_TOPICS, *OWN)
COMPACTED = {topic.name for topic in load_topics() if "compact" in topic.cleanup}
# Mutants between two well-formed uploads, whose answers show where something was lost.
SENTINEL_EVERY = 250
OWNERS = 500  # of policies, and as many reviewed alerts and references with claims
KEPT = (*FOLLOWED, CLAIMS_TOPIC)  # what is said there is remembered, claims for an hour

KEYS = ("video_id", "probe_id", "alert_id", "owner_id")  # the first that an event has is its key

Place = tuple[str, int, int]


class Expected(NamedTuple):
    """What must be on the topics about a written event.

    Attributes:
        kind: "letter"; "upload", which is fingerprinted or a letter; "compared" or "decided" by
            `request_id`; or "nothing".
    """

    place: Place
    kind: str
    request_id: str
    kinds: tuple[str, ...]


class Writer:
    """Writes damaged events and sentinels, and knows what must come of each."""

    def __init__(self, kafka: KafkaSettings, seed: int, video: Path) -> None:
        self._kafka, self._mutations, self._video = kafka, Mutations(seed), video
        self._producers = {
            codec: Producer(
                {
                    **kafka.librdkafka_options(),
                    "compression.type": codec,
                    "message.max.bytes": 100_000_000,
                    "queue.buffering.max.kbytes": 200_000,
                    "linger.ms": 20,
                    "log_level": 0,
                }
            )
            for codec in CODECS
        }
        self.expected: list[Expected] = []
        self.refused: Counter[str] = Counter()
        self.sentinels: list[str] = []
        self.written = 0
        self._policies = Policies()
        self._fingerprint: dict[str, Any] = {}
        self._pictures = np.random.default_rng(seed)

    def sentinel(self) -> None:
        """A good upload."""
        name = f"sentinel-{len(self.sentinels)}"
        self.sentinels.append(name)
        upload = {"video_id": name, "uri": self._video.as_uri(), "owner_id": f"owner of {name}"}
        self._producers["none"].produce(
            self._kafka.topic("video.uploaded"), json.dumps(upload).encode(), name.encode()
        )

    def learn(self) -> None:
        """Take the first sentinel's fingerprint for the good one that is damaged."""
        with Reader(self._kafka, VideoFingerprinted.topic) as reader:
            for _, message in reader.until_now():
                self._fingerprint = json.loads(message.value() or b"null")

    def write(self, count: int) -> None:
        """So many damaged events, evenly over the topics, with sentinels between."""
        for number in range(self.written, self.written + count):
            topic = WRITTEN[number % len(WRITTEN)]
            known = OWNERS * len(WRITTEN)
            name = f"mutant-{number % known if topic in KEPT else number}"
            fields = self._good(topic, name)
            key = next((fields[each] for each in KEYS if each in fields), None)
            one = self._mutations.mutated(fields, str(key).encode())
            if one.key is None and topic in COMPACTED:
                one = one._replace(key=b"k")  # a compacted topic takes none without a key
            self._produce(topic, one)
            if number % SENTINEL_EVERY == 0:
                self.sentinel()
        self.written += count
        self.flush()

    def write_large(self, each: int) -> None:
        """So many of the largest events on each topic."""
        for number in range(each):
            for topic in WRITTEN:
                name = f"large-{self.written}-{number}"
                self._produce(topic, self._mutations.large(self._good(topic, name), name.encode()))
            self.flush()

    async def write_odd_headers(self) -> None:
        """On each topic an event with a header whose name is no text, which clients don't write."""
        producer = AIOKafkaProducer(**self._kafka.aiokafka_options())
        await producer.start()
        try:
            for topic in WRITTEN:
                batch = producer.create_batch()
                good = json.dumps(self._good(topic, f"odd-header-{self.written}")).encode()
                batch.append(timestamp=None, key=b"k", value=good, headers=[("WXYZ", b"x")])
                data = bytearray(batch._build().replace(b"WXYZ", b"\xff\xfe()"))
                data[17:21] = calc_crc32c(data[21:]).to_bytes(4, "big")
                batch._buffer = data
                sent = await producer.send_batch(batch, self._kafka.topic(topic), partition=0)
                place = (topic, 0, (await sent).offset)
                silent = topic in ("video.rejected", *SILENT)
                kind = "nothing" if silent else "letter"
                self.expected.append(Expected(place, kind, "", ("name of a header",)))
        finally:
            await producer.stop()

    def flush(self) -> None:
        """Wait until the broker has answered about all of them."""
        for producer in self._producers.values():
            assert producer.flush(120) == 0

    def _good(self, topic: str, name: str) -> dict[str, Any]:
        if topic == VideoFingerprinted.topic:
            named = {"video_id": name, "request_id": f"request of {name}"}
            return {**self._fingerprint, **named, **self._other_pictures()}
        if topic == ProbeFingerprinted.topic:
            probed = {**self._fingerprint, **self._other_pictures()}
            return {**good_fields(topic, name), "fingerprint": probed}
        if topic == CHANGELOG:
            decided = '{"video_id": "a", "outcome": "clear"}'
            said = {"outputs": [["video.decided", decided]], "then": {"told": ["0/2"]}}
            answers = {"0/2": good_fields(VideoCompared.topic, name)}
            return {"answers": answers, "since_ms": 1, "told_ids": [name], "pending": said}
        if topic == CLAIMS_TOPIC:
            return {"alert_id": name}
        fields = good_fields(topic, name)
        if topic == VideoCompared.topic:
            fields["shards"] = 1
        if topic in ("video.uploaded", ProbeAsked.topic):
            fields["uri"] = self._video.with_name("nowhere.mp4").as_uri()
        return fields

    def _other_pictures(self) -> dict[str, str]:
        """Descriptors as of another video: else each would be a copy of all before it."""
        dimension, others = int(self._fingerprint["dimension"]), {}
        for name in ("descriptors", "query_descriptors"):
            if packed := self._fingerprint.get(name):
                rows = self._pictures.normal(
                    size=unpack(name, packed, CODES).reshape(-1, dimension).shape
                )
                rows /= np.linalg.norm(rows, axis=1, keepdims=True)
                others[name] = pack_codes(quantise(rows.astype(np.float32)))
        return others

    def _produce(self, topic: str, one: Any) -> None:
        def delivered(error: Any, message: Message) -> None:
            if error is not None:
                self.refused[error.name()] += 1
                return
            place = (topic, int(message.partition() or 0), int(message.offset() or 0))
            timestamp_ms = int(message.timestamp()[1])
            source = Source(*place, timestamp_ms, one.value, one.key)
            self.expected.append(Expected(place, *self._expected(source), one.kinds))

        producer = self._producers[one.codec]
        while True:
            try:
                producer.produce(
                    self._kafka.topic(topic), one.value, one.key,
                    headers=one.headers, on_delivery=delivered,
                )  # fmt: skip
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)

    def _expected(self, source: Source) -> tuple[str, str]:
        if source.topic == "video.uploaded":
            return "upload", source.request_id
        if source.topic in FOLLOWED:
            try:
                policy_step(self._policies, source)
            except BadEventError:
                return "letter", ""
            return "nothing", ""
        if source.topic in SILENT or (
            source.topic == "video.fingerprinted" and source.value is None
        ):
            return "nothing", ""
        try:
            event: Any = EVENTS[source.topic].from_bytes(source.value)
        except BadEventError:
            return ("nothing" if source.topic == "video.rejected" else "letter"), ""
        if isinstance(event, VideoFingerprinted):
            return "compared", event.request_id
        if isinstance(event, VideoCompared):
            return ("decided" if event.shards == 1 else "nothing"), event.request_id
        decides = event.video_id is not None and event.source_topic == "video.uploaded"
        return ("decided" if decides else "nothing"), event.request_id
