"""The trace of an upload, given by whoever submits it, travels with all that is published of it."""

import asyncio
from collections import defaultdict
from pathlib import Path

import orjson

from stream.broker.client import Headers, Reader, send
from stream.broker.embedded import embedded_kafka
from stream.broker.settings import KafkaSettings
from stream.traces import tracing
from stream.traces_settings import TracesSettings
from tests.stream.collector import Told, running_collector
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


STAGES = ["fingerprint", "fetch", "decode", "select", "encode", "embed"]
STAGES += ["publish video.embedded", "publish video.fingerprinted"]
SHARD_STAGES = ["search", "align", "publish video.compared"]


async def test_an_upload_is_one_trace_with_its_stages_in_order(tmp_path: Path) -> None:
    film = make_film(tmp_path / "v.mp4")
    given = {"traced": parent("a"), "unsampled": parent("b")[:-1] + b"0"}
    with embedded_kafka(KafkaSettings()) as kafka, running_collector() as collector:
        settings = service_settings(kafka, tmp_path)
        traces = TracesSettings(endpoint=collector.endpoint)
        with tracing(traces, "all"):
            async with running_service(settings) as platform:
                for name in ("untraced", "traced", "unsampled", "gone"):
                    headers: Headers = [("traceparent", given[name])] if name in given else []
                    path = tmp_path / "gone.mp4" if name == "gone" else film
                    message = (name.encode(), orjson.dumps(upload(path, name)), headers)
                    await asyncio.to_thread(send, kafka, "video.uploaded", [message])
                    await platform.read_until(platform.has_decided(name))
        found = await asyncio.to_thread(traces_on, kafka)
    trace_of = {
        span.attributes["video_id"]: span.trace_id
        for span in collector.spans
        if span.name == "fingerprint"
    }
    assert trace_of.keys() == {"untraced", "traced", "gone"}
    assert len(set(trace_of.values())) == 3 and trace_of["traced"] == "a" * 32
    for name in ("untraced", "traced"):
        assert_whole(collector.of(trace_of[name]), name)
    # What the spans say is on the messages as well, and nothing else is.
    for (topic, key), headers_seen in found.items():
        seen = {(header or b"").decode().split("-")[1] for header in headers_seen}
        assert seen == {trace_of.get(key, "b" * 32)}, (topic, key)
    # One that is rejected is a trace too, with the stage that failed.
    rejected = {span.name: span for span in collector.of(trace_of["gone"])}
    assert rejected["fetch"].failed == "not_found"
    assert {"publish video.rejected", "decide", "publish video.decided"} <= rejected.keys()


def assert_whole(spans: list[Told], name: str) -> None:
    """All of an upload's stages are there, in order, and hang together."""
    by_id = {span.span_id: span for span in spans}
    first = {span.name: span for span in reversed(spans)}
    shards = [f"compare {shard}/2" for shard in range(2)]
    assert set(STAGES) | {*shards, "decide", "publish video.decided"} <= first.keys()
    for shard in shards:  # side by side: the decision comes after both
        order = [*STAGES, shard, "publish video.decided"]
        begins = [first[stage].begins for stage in order]
        assert begins == sorted(begins)
    last = max(span.begins for span in spans if span.name == "decide")
    assert last < first["publish video.decided"].begins
    # Each names the one before it in another process, or the one that it is a part of.
    for stage in STAGES[1:]:
        assert by_id[first[stage].parent_id].name == "fingerprint"
    for shard in shards:
        assert by_id[first[shard].parent_id].name == "publish video.fingerprinted"
        parts = [span.name for span in spans if span.parent_id == first[shard].span_id]
        assert parts == SHARD_STAGES
    for span in spans:
        if span.name == "decide":
            assert by_id[span.parent_id].name == "publish video.compared"
    outside = [span.name for span in spans if span.parent_id not in by_id]
    assert outside == ["fingerprint"]
    assert {span.attributes["video_id"] for span in spans} == {name}
    requests = {span.attributes.get("request_id") for span in spans if span.name in first}
    assert len(requests - {None}) == 1


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
