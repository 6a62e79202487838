"""The trace of an upload, given by whoever submits it, travels with all that is published of it."""

import asyncio
from collections import defaultdict
from pathlib import Path

import orjson

from stream.broker.client import Headers, Reader, send
from stream.broker.embedded import embedded_kafka
from stream.broker.settings import KafkaSettings
from tests.stream.service import READ_TOPICS, make_film, running_service, service_settings, upload


def parent(digit: str) -> bytes:
    return f"00-{digit * 32}-b7ad6b7169203331-01".encode()


async def test_the_trace_of_an_upload_is_on_every_event_about_it(tmp_path: Path) -> None:
    film = make_film(tmp_path / "v.mp4")
    uploads = {"film": film, "traced": film, "rejected": tmp_path / "nothing.mp4", "untraced": film}
    traces = {"film": parent("c"), "traced": parent("a"), "rejected": parent("b")}
    with embedded_kafka(KafkaSettings()) as kafka:
        settings = service_settings(kafka, tmp_path)
        async with running_service(settings) as platform:
            for name, path in uploads.items():  # one after the other: which is the copy is known
                headers: Headers = [("traceparent", traces[name])] if name in traces else []
                owner = "owner of film" if name == "untraced" else f"owner of {name}"
                value = orjson.dumps(upload(path, name) | {"owner_id": owner})
                message = (name.encode(), value, headers)
                await asyncio.to_thread(send, kafka, "video.uploaded", [message])
                await platform.read_until(platform.has_decided(name))
            await platform.read(0.5)
        found = await asyncio.to_thread(traces_on, kafka)
    assert {topic for topic, key in found if key == "traced"} >= {
        "video.fingerprinted",
        "video.embedded",
        "video.compared",
        "video.decided",
        "alert.raised",
    }
    assert {("alert.raised", "untraced"), ("alert.suppressed", "untraced")} <= found.keys()
    assert ("video.rejected", "rejected") in found
    assert ("video.decided", "rejected") in found
    for (topic, key), seen in found.items():
        assert seen == {traces.get(key)}, topic


def traces_on(kafka: KafkaSettings) -> dict[tuple[str, str], set[bytes | None]]:
    """The traces of all events, by topic and video."""
    found: dict[tuple[str, str], set[bytes | None]] = defaultdict(set)
    with Reader(kafka, *READ_TOPICS) as reader:
        for topic, message in reader.until_now():
            headers = dict(message.headers() or [])
            key = message.key()
            assert isinstance(key, bytes)
            trace = headers.get("traceparent")
            assert trace is None or isinstance(trace, bytes)
            found[topic, key.decode()].add(trace)
    return found
