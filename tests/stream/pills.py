"""Messages that are hard to swallow, for every topic that a worker reads; serves several tests."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from stream.contract.events import (
    EVENTS,
    AlertRaised,
    AlertReviewed,
    AlertSuppressed,
    PolicyUpdated,
    ProbeAsked,
    ProbeFingerprinted,
    VideoCompared,
    VideoDecided,
    VideoEmbedded,
    VideoFingerprinted,
    VideoRejected,
    VideoUploaded,
)
from stream.contract.packed import pack_codes, pack_times

READ_TOPICS = (
    VideoUploaded.topic,
    VideoFingerprinted.topic,
    VideoCompared.topic,
    VideoRejected.topic,
    PolicyUpdated.topic,
    AlertReviewed.topic,
    VideoEmbedded.topic,
)
PROBE_TOPICS = (ProbeAsked.topic, ProbeFingerprinted.topic)
"""Whose bad messages leave no dead letter: `samesource rejected` could send none of them again."""
Headers = list[tuple[str, bytes | None]]
ATTEMPTS: dict[str, bytes | None] = {
    "null": None,
    "empty": b"",
    "25 digits": b"9" * 25,
    "5,000 digits": b"9" * 5000,
    "negative": b"-3",
    "fraction": b"1.5",
    "other digits": "٣٤".encode(),
    "superscript": "²".encode(),
    "no UTF-8": b"\xff\xfe",
}


class Pill(NamedTuple):
    """A message as it lies on a topic."""

    value: bytes | None
    key: bytes | None = b"pill"
    headers: Headers = []  # noqa: RUF012


def good_fields(topic: str, name: str = "pill") -> dict[str, Any]:
    """The fields of a well-formed event of a topic, about a video of that name."""
    times, codes = np.arange(4, dtype=np.float32), np.full((4, 128), 11, np.int8)
    video = {"video_id": name, "content_version": 1, "request_id": f"request of {name}"}
    alert = {
        "alert_id": name, "video_id": name, "reference_id": "film", "video_owner_id": "me",
        "reference_owner_id": "studio", "score": 0.9, "model_version": "m", "library_offset": 3,
        "raised_at": "2026-01-01T00:00:00Z",
        "segments": [
            {
                "video_start_seconds": 1.0, "video_end_seconds": 9.0,
                "reference_start_seconds": 31.0, "reference_end_seconds": 39.0, "score": 0.9,
            }
        ],
    }  # fmt: skip
    match = {
        "reference_id": "film", "reference_owner_id": "studio", "reference_role": "reference",
        "score": 0.9, "segments": alert["segments"],
    }  # fmt: skip
    fields: dict[str, dict[str, Any]] = {
        VideoUploaded.topic: {"video_id": name, "uri": "file:///nowhere.mp4", "owner_id": "me"},
        VideoFingerprinted.topic: {
            **video, "owner_id": "me", "role": "upload", "model_version": "m",
            "duration_seconds": 4.0, "dimension": 128, "key_frame_seconds": pack_times(times),
            "descriptors": pack_codes(codes),
        },
        VideoCompared.topic: {
            **video, "owner_id": "me", "role": "upload", "model_version": "m", "shard": 0,
            "shards": 2, "library_offset": 3, "matches": [match],
            "stage_seconds": {"search": 0.1},
        },
        VideoRejected.topic: {
            **video, "error": "corrupt", "message": "no picture", "source_topic": "video.uploaded",
            "source_partition": 0, "source_offset": 3, "attempts": 1,
            "rejected_at": "2026-01-01T00:00:00Z",
        },
        VideoDecided.topic: {
            **video, "outcome": "matched", "alert_ids": [name], "reason": "a copy",
            "decided_at": "2026-01-01T00:00:00Z", "stage_seconds": {"search": 0.1},
        },
        PolicyUpdated.topic: {"owner_id": name, "least_seconds": 3.0},
        AlertReviewed.topic: {
            "alert_id": name, "verdict": "dismissed", "reviewer": "ann",
            "reviewed_at": "2026-01-01T00:00:00Z",
        },
        AlertRaised.topic: alert,
        AlertSuppressed.topic: {**alert, "reason": "held", "detail": "a flood"},
        VideoEmbedded.topic: {
            "video_id": name, "model_version": "m", "dimension": 4, "vector": [0.5] * 4,
            "duration_seconds": 4.0,
        },
        ProbeAsked.topic: {
            "probe_id": name, "uri": "file:///nowhere.mp4", "owner_id": "me",
            "answer_by": "2100-01-01T00:00:00Z",
        },
    }  # fmt: skip
    fields[ProbeFingerprinted.topic] = {
        "probe_id": name, "owner_id": "me", "answer_by": "2100-01-01T00:00:00Z",
        "fingerprint": fields[VideoFingerprinted.topic],
    }  # fmt: skip
    return fields[topic]


def pills(topic: str) -> Iterator[tuple[str, Pill]]:
    """Names and messages."""
    good = good_fields(topic)
    text = json.dumps(good).encode()

    def beside(*more: bytes) -> bytes:
        return b"".join((text[:-1], b",", *more, b"}"))  # once: some have 30 MB

    for name, value in ATTEMPTS.items():
        headers: Headers = [("samesource-attempts", value)]
        yield f"attempts {name}, good event", Pill(text, headers=headers)
        yield f"attempts {name}, bad event", Pill(b"{}", headers=headers)
    for depth in (253, 254, 255, 300, 1000, 1023, 1024, 5000, 200_000):
        nest = b"[" * depth + b"]" * depth
        yield f"nested {depth}", Pill(beside(b'"more":' + nest))
        yield f"bad and nested {depth}", Pill(b'{"video_id":"pill","more":' + nest + b"}")
        yield f"nothing but nested {depth}", Pill(nest)
    letters = b"a" * 30_000_000
    yield "30 MB of text", Pill(letters)
    yield "30 MB of JSON text", Pill(b"".join((b'"', letters, b'"')))
    yield "a field of 30 MB", Pill(beside(b'"title":"', letters, b'"'))
    yield (
        "JSON that grows when it is written",
        Pill(b'{"video_id":"pill","more":[' + b"1e9," * 249_999 + b"1e9]}"),
    )
    yield "30 MB of empty objects", Pill(beside(b'"more":[', b"{}," * 10_000_000, b"0]"))
    yield "no value and no key", Pill(None, None)
    yield "no key", Pill(text, None)
    yield "a key that is no UTF-8", Pill(text, b"\xff\xfe\xc3\x28")
    yield "a takedown of a key that is no UTF-8", Pill(None, b"\xff\xfe\xc3\x28")
    yield "a key of 900,000 bytes", Pill(text, b"k" * 900_000)
    yield "an empty value", Pill(b"")
    for value in (b"null", b"[]", b"0", b'"text"', b"{", b"\x00\x00\x00\x00\x07" + text):
        yield f"value {value[:6]!r}", Pill(value)
    yield "no UTF-8", Pill(text[:-1] + b',"more":"\xff"}')
    yield "a lone surrogate", Pill(beside(b'"more":"\\ud83d"'))
    yield "UTF-16", Pill(text.decode().encode("utf-16"))
    yield "a name twice", Pill(beside(b'"video_id":"pill","video_id":"other"'))
    yield "NaN", Pill(beside(b'"score":NaN'))
    many = b"[" + b"7," * 499_999 + b"7]"
    for name, value in good.items():
        around = json.dumps({**good, name: "ODD"}).encode().split(b'"ODD"')
        for odd in (b"null", b"1e999", b"-1", b"1e308", b"9" * 30, b"18446744073709551615",
                    b'"\\u0000"', b'""', b"{}", b"[]", b"[{}]", b"true"):  # fmt: skip
            yield f"{name} = {odd.decode()}", Pill(odd.join(around))
        yield f"{name} with 500,000 problems", Pill(many.join(around))
        if not isinstance(value, str):
            continue
        yield (
            f"{name} of 900,000 characters",
            Pill(json.dumps({**good, name: value + "x" * 900_000}).encode()),
        )
    stages = b'{"%s":1.0,' % (b"s" * 900_000) + b'"b":{}}'
    yield "a stage with a long name", Pill(beside(b'"stage_seconds":' + stages))
    yield "100,000 stages", Pill(beside(b'"stage_seconds":', _many_stages()))
    assert topic in EVENTS


@cache
def _many_stages() -> bytes:
    return json.dumps(dict.fromkeys(map(str, range(100_000)), "x")).encode()
