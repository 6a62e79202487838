"""A platform that knows only the contract: submits a copy set, reads every answer, in plain JSON.

Uses confluent-kafka and no code of the service. Serves `kills.py` and the tests on a real
Kafka; runs on its own against any cluster:

    python -m benchmarks.delivery.outside_client localhost:9092 DATASET answers.json
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError

from benchmarks.delivery.persistent_producer import PersistentProducer, partitions

ANSWERS = ("video.decided", "alert.raised", "video.embedded", "video.rejected")
# For answers that come twice; over a worker's commit of every second, set by hand.
LINGER_SECONDS = 8.0

Answers = dict[str, list[dict[str, Any]]]


class Platform:
    """Submits uploads and keeps every answer, by topic, in order of arrival.

    A message without a value is kept as `{"video_id": …, "removed": true}`.

    Attributes:
        producer: for messages of all kinds; `read` hears what it has delivered.
        answers: so far.
    """

    def __init__(
        self, bootstrap_servers: str, prefix: str = "", topics: Sequence[str] = ANSWERS
    ) -> None:
        """Connect.

        Args:
            bootstrap_servers: of the cluster.
            prefix: of its topics.
            topics: whose events are answers.
        """
        self._prefix = prefix
        self.producer = PersistentProducer(bootstrap_servers, prefix)
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": f"{prefix}outside-platform",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",  # otherwise it would go on at the end, silently
                "log_level": 0,  # a broker that is away is no news
            }
        )
        self._consumer.assign(partitions(self._consumer, [prefix + name for name in topics]))
        self.answers: Answers = {name: [] for name in topics}

    def submit(self, uploads: Iterable[dict[str, Any]]) -> None:
        """Publish upload events and wait until the broker has them."""
        for upload in uploads:
            self.submit_bytes(json.dumps(upload).encode(), str(upload.get("video_id", "")).encode())
        self.producer.flush()

    def submit_bytes(self, value: bytes, key: bytes = b"") -> None:
        """Publish anything at all as an upload."""
        self.producer.produce("video.uploaded", value, key)

    def read(self, seconds: float) -> None:
        """Read for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.producer.poll()
            message = self._consumer.poll(min(left, 0.5))
            if message is None:
                continue
            if (error := message.error()) is not None:
                if error.fatal() or error.code() == KafkaError._AUTO_OFFSET_RESET:
                    raise RuntimeError(f"{message.topic()} {message.partition()}: {error.str()}")
                continue  # the broker is away; the client connects again by itself
            name = str(message.topic()).removeprefix(self._prefix)
            self.answers[name].append(_answer(message.key(), message.value()))

    def read_until(self, done: Callable[[Answers], bool], timeout_seconds: float) -> None:
        """Read until the answers are complete.

        Raises:
            TimeoutError: no answer for so long, and still not complete.
        """
        seen, heard = 0, time.monotonic()
        while not done(self.answers):
            self.read(0.5)
            count = sum(map(len, self.answers.values()))
            if count > seen:
                seen, heard = count, time.monotonic()
            elif time.monotonic() - heard > timeout_seconds:
                raise TimeoutError(f"no answer for {timeout_seconds:.0f} s; {count} so far")

    def decided(self, video_ids: Iterable[str]) -> Callable[[Answers], bool]:
        """Whether each of these has at least one decision."""
        wanted = set(video_ids)
        return lambda answers: wanted <= {event["video_id"] for event in answers["video.decided"]}

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()


def _answer(key: bytes | None, value: bytes | None) -> dict[str, Any]:
    """An event; for a message without a value, which takes a video down, whose it was."""
    if value is None:
        return {"video_id": (key or b"").decode(errors="replace"), "removed": True}
    event: dict[str, Any] = json.loads(value)
    return event


def upload(path: Path, role: str) -> dict[str, Any]:
    """The upload event of a file."""
    return {
        "video_id": path.stem,
        "uri": path.resolve().as_uri(),
        "owner_id": f"owner-of-{path.stem}",
        "role": role,
    }


def submit_set(platform: Platform, dataset: Path, timeout_seconds: float = 180.0) -> list[str]:
    """Submit the references, wait for their decisions, then the queries; the ids of all."""
    ids: list[str] = []
    for folder, role in (("references", "reference"), ("queries", "upload")):
        paths = sorted((dataset / folder).glob("*.mp4"))
        platform.submit(upload(path, role) for path in paths)
        ids += [path.stem for path in paths]
        platform.read_until(platform.decided(ids), timeout_seconds)
    return ids


def main() -> None:
    """Submit a set, wait, write the answers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bootstrap_servers")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--prefix", default="")
    arguments = parser.parse_args()
    platform = Platform(arguments.bootstrap_servers, arguments.prefix)
    start = time.monotonic()
    submitted = submit_set(platform, arguments.dataset)
    seconds = time.monotonic() - start
    platform.read(LINGER_SECONDS)  # what comes twice comes now
    platform.close()
    counts = {name: len(events) for name, events in platform.answers.items()}
    print(f"{len(submitted)} submitted, answered in {seconds:.1f} s: {counts}")
    arguments.out.write_text(json.dumps({"submitted": submitted, **platform.answers}))


if __name__ == "__main__":
    main()
