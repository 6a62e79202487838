"""The events: what is read, what is refused and in which words, and the way there and back."""

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.contract.embedded import Moments, packed_moments
from stream.contract.events import (
    EVENTS,
    AlertReviewed,
    AlertSuppressed,
    Event,
    Match,
    MatchedSegment,
    PolicyUpdated,
    VideoCompared,
    VideoDecided,
    VideoEmbedded,
    VideoRejected,
    VideoUploaded,
)
from stream.contract.packed import pack_codes, pack_times
from stream.contract.schemas import examples_of
from stream.errors import BadEventError

text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
versions = st.integers(0, 2**53) | text
seconds = st.floats(0, 1e6)
shares = st.floats(0, 1)
instants = st.datetimes(timezones=st.just(UTC))
segments = st.builds(
    MatchedSegment,
    video_start_seconds=seconds,
    video_end_seconds=seconds,
    reference_start_seconds=seconds,
    reference_end_seconds=seconds,
    score=shares,
    reversed=st.booleans(),
)
matches = st.builds(
    Match,
    reference_id=text,
    reference_owner_id=text,
    reference_role=st.sampled_from(["upload", "reference"]),
    score=shares,
    segments=st.lists(segments, min_size=1, max_size=3),
)
json_values = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)


@given(
    st.builds(
        VideoUploaded,
        video_id=text,
        uri=text,
        owner_id=text,
        title=st.none() | text,
        uploaded_at=st.none() | instants,
        role=st.sampled_from(["upload", "reference"]),
        content_version=versions,
    )
    | st.builds(
        VideoCompared,
        video_id=text,
        content_version=versions,
        owner_id=text,
        role=st.sampled_from(["upload", "reference"]),
        request_id=text,
        model_version=text,
        shard=st.integers(0, 10),
        shards=st.integers(1, 10),
        library_offset=st.integers(0, 2**53),
        matches=st.lists(matches, max_size=3),
        stage_seconds=st.dictionaries(text, seconds, max_size=3),
    )
    | st.builds(
        VideoDecided,
        video_id=text,
        content_version=versions,
        outcome=st.sampled_from(["matched", "clear", "rejected"]),
        alert_ids=st.lists(text, max_size=3),
        reason=text,
        decided_at=instants,
        request_id=text,
        stage_seconds=st.dictionaries(text, seconds, max_size=3),
    )
    | st.builds(
        VideoRejected,
        video_id=st.none() | text,
        error=st.sampled_from(["bad_event", "corrupt", "internal"]),
        message=text,
        source_topic=text,
        source_partition=st.integers(0, 100),
        source_offset=st.integers(0, 2**53),
        attempts=st.integers(1, 100),
        request_id=text,
        rejected_at=instants,
        event=json_values,
    )
    | st.builds(
        AlertReviewed,
        alert_id=text,
        verdict=st.just("dismissed"),
        reviewer=text,
        reviewed_at=instants,
        scope=st.none() | st.sampled_from(["alert", "pair", "span", "uploader"]),
        video_id=text,
        reference_id=text,
        reference_start_seconds=seconds,
        reference_end_seconds=seconds.map(lambda end: end + 1e6 + 1),
        video_owner_id=text,
        reference_owner_id=text,
        note=st.none() | text,
    )
    | st.builds(
        AlertReviewed,
        alert_id=st.just("a"),
        verdict=st.just("confirmed"),
        reviewer=text,
        reviewed_at=instants,
        alert=st.builds(
            AlertSuppressed,
            alert_id=st.just("a"),
            video_id=text,
            reference_id=text,
            video_owner_id=text,
            reference_owner_id=text,
            score=shares,
            segments=st.lists(segments, min_size=1, max_size=3),
            model_version=text,
            library_offset=st.integers(0, 2**53),
            raised_at=instants,
            reason=st.just("held"),
            detail=text,
        ),
    )
)
def test_an_event_comes_back_from_its_bytes_as_it_was(event: Event) -> None:
    assert type(event).from_bytes(event.to_bytes()) == event


def test_the_smallest_upload_is_enough() -> None:
    event = VideoUploaded.from_bytes(b'{"video_id":"a","uri":"file:///a.mp4","owner_id":"o"}')
    assert (event.role, event.content_version, event.uploaded_at) == ("upload", 1, None)


def test_an_optional_field_of_an_upload_that_is_null_has_its_default() -> None:
    fields = examples_of("video.uploaded")[0]
    nulls = dict.fromkeys(VideoUploaded.model_fields.keys() - fields.keys())
    assert VideoUploaded.from_json(fields | nulls) == VideoUploaded.from_json(fields)


@pytest.mark.parametrize("topic", EVENTS)
def test_unknown_fields_are_ignored(topic: str) -> None:
    example = examples_of(topic)[0]
    event = EVENTS[topic]
    assert event.from_json(example | {"added_later": [1]}) == event.from_json(example)


@pytest.mark.parametrize("topic", EVENTS)
def test_a_missing_field_is_named(topic: str) -> None:
    example = examples_of(topic)[0]
    for name, field in EVENTS[topic].model_fields.items():
        if field.is_required():
            less = {key: value for key, value in example.items() if key != name}
            with pytest.raises(BadEventError, match=f"{EVENTS[topic].__name__}: {name}: "):
                EVENTS[topic].from_json(less)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("video_id", 7),
        ("video_id", ""),
        ("video_id", "x" * 513),
        ("video_id", None),
        ("owner_id", ["o"]),
        ("uri", {}),
        ("role", "pirate"),
        ("content_version", 1.5),
        ("content_version", True),
        ("uploaded_at", "yesterday"),
        ("uploaded_at", "2026-01-01T00:00:00"),
        ("schema_version", 2),
        ("title", 3),
    ],
)
def test_a_mistyped_field_is_named(name: str, value: object) -> None:
    fields = examples_of("video.uploaded")[0] | {name: value}
    with pytest.raises(BadEventError, match=f"VideoUploaded: {name}"):
        VideoUploaded.from_bytes(orjson.dumps(fields))


@pytest.mark.parametrize("seconds", ["late", 2e9, 1e308])
def test_a_mistyped_field_inside_a_list_is_named_by_its_path(seconds: object) -> None:
    [example] = examples_of("alert.raised")
    segment = example["segments"][0] | {"video_end_seconds": seconds}
    with pytest.raises(BadEventError, match=r"segments\.0\.video_end_seconds: "):
        EVENTS["alert.raised"].from_json(example | {"segments": [segment]})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"not JSON", "not JSON"),
        (b'{"video_id": "a"', "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"video_id": NaN}', "not JSON"),
        (b"", "no value"),
        (None, "no value"),
        (b"[]", "expected a JSON object, got list"),
        (b"null", "expected a JSON object, got NoneType"),
        (b'"text"', "expected a JSON object, got str"),
    ],
)
def test_what_is_no_json_object_is_refused_in_words(data: bytes | None, words: str) -> None:
    with pytest.raises(BadEventError, match=words):
        VideoUploaded.from_bytes(data)


@given(st.binary(max_size=200))
def test_no_bytes_make_reading_fail_in_another_way(data: bytes) -> None:
    with pytest.raises(BadEventError):
        VideoUploaded.from_bytes(data)


def test_a_vector_of_another_length_is_refused() -> None:
    example = examples_of("video.embedded")[0]
    with pytest.raises(BadEventError, match=r"len\(self.vector\) = 4, expected"):
        VideoEmbedded.from_json(example | {"dimension": 5})


REVIEW = {
    "alert_id": "a", "verdict": "dismissed", "reviewer": "ann",
    "reviewed_at": "2026-01-01T00:00:00+00:00",
}  # fmt: skip
SPAN = {"scope": "span", "reference_id": "r", "reference_start_seconds": 5.0}
[HELD] = examples_of("alert.suppressed")
HELD = HELD | {"alert_id": "a", "reason": "held"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"scope": "pair", "video_id": "v"}, "self.scope = 'pair' without reference_id"),
        ({"scope": "span"}, "without reference_id, reference_start_seconds, reference_end_sec"),
        (SPAN, "self.scope = 'span' without reference_end_seconds"),
        (SPAN | {"reference_end_seconds": 5.0}, "reference_end_seconds = 5.0, expected more than"),
        ({"scope": "uploader"}, "'uploader' without video_owner_id, reference_owner_id"),
        ({"scope": "everybody"}, "scope: "),
        ({"scope": "alert", "verdict": "confirmed"}, "beside self.verdict = 'confirmed', expected"),
        ({"alert": HELD}, "alert beside self.verdict = 'dismissed', expected it of confirmed"),
        ({"alert": HELD, "verdict": "confirmed", "alert_id": "b"}, "expected self.alert_id = 'b'"),
        (
            {"alert": HELD | {"reason": "licensed"}, "verdict": "confirmed"},
            "self.alert.reason = 'licensed', expected held",
        ),
        ({"alert": {"alert_id": "a"}, "verdict": "confirmed"}, "alert.video_id: Field required"),
    ],
)
def test_a_verdict_that_lacks_what_its_scope_needs_or_raises_what_it_cannot_is_refused_in_words(
    fields: dict[str, object], words: str
) -> None:
    with pytest.raises(BadEventError, match=words):
        AlertReviewed.from_json(REVIEW | fields)


def test_what_earlier_releases_said_of_an_alert_is_read_and_written_as_ever() -> None:
    for fields in ({}, {"verdict": "confirmed"}, {"video_id": "v"}, {"note": "n"}):
        event = AlertReviewed.from_json(REVIEW | fields)
        assert json.loads(event.to_bytes()) == REVIEW | fields | {"schema_version": 1}


def test_the_key_is_the_video_or_the_alert_reviewed_the_policys_owner_the_probe() -> None:
    probes = {topic for topic in EVENTS if topic.startswith("probe.")}
    for topic in EVENTS.keys() - probes - {"alert.reviewed", "policy.updated"}:
        for example in examples_of(topic):
            expected = example["video_id"].encode() if "video_id" in example else None
            assert EVENTS[topic].from_json(example).key() == expected
    for review in examples_of("alert.reviewed"):
        assert AlertReviewed.from_json(review).key() == review["alert_id"].encode()
    for policy in examples_of("policy.updated"):
        assert PolicyUpdated.from_json(policy).key() == policy["owner_id"].encode()
    for topic in probes:
        for example in examples_of(topic):
            assert EVENTS[topic].from_json(example).key() == example["probe_id"].encode()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"error": "timeout", "message": "late"}, "or error and message"),
        ({"matches": None}, "expected shard, shards, library_offset and matches"),
        ({"shard": 2}, "self.shard = 2, expected less than self.shards = 2"),
        ({"shards": 4097}, "shards: "),
    ],
)
def test_an_answer_to_a_probe_is_a_shards_or_says_why_there_is_none(
    changed: dict[str, object], words: str
) -> None:
    answer, _ = examples_of("probe.answered")
    with pytest.raises(BadEventError, match=words):
        EVENTS["probe.answered"].from_json(answer | changed)


def test_times_are_written_with_their_zone() -> None:
    [example] = examples_of("alert.raised")
    event = EVENTS["alert.raised"].from_json(example)
    written = json.loads(event.to_bytes())["raised_at"]
    assert datetime.fromisoformat(written).utcoffset() is not None


def test_fields_that_are_not_set_are_not_written() -> None:
    event = VideoUploaded(video_id="a", uri="u", owner_id="o")
    assert set(json.loads(event.to_bytes())) == {
        "schema_version",
        "video_id",
        "uri",
        "owner_id",
        "role",
        "content_version",
    }


def embedded_event(**fields: Any) -> dict[str, Any]:
    moments = Moments(np.array([1.0, 2.5], np.float32), np.eye(2, 4, dtype=np.float32))
    seconds, vectors = packed_moments(moments)
    return {
        "video_id": "v", "model_version": "m", "dimension": 4, "vector": [0.5] * 4,
        "duration_seconds": 3.0, "moment_seconds": seconds, "moment_vectors": vectors,
    } | fields  # fmt: skip


def test_moments_travel_and_are_unit_vectors() -> None:
    random = np.random.default_rng(0)
    rows = random.standard_normal((3, 256)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    seconds, vectors = packed_moments(Moments(np.array([0.0, 4.0, 9.5], np.float32), rows))
    fields = {"dimension": 256, "vector": [1.0] * 256}
    event = VideoEmbedded.from_json(
        embedded_event(**fields, moment_seconds=seconds, moment_vectors=vectors)
    )
    moments = VideoEmbedded.from_bytes(event.to_bytes()).moments()
    assert moments.seconds.tolist() == [0.0, 4.0, 9.5]
    assert (moments.vectors * rows).sum(axis=1).min() > 0.9999
    assert np.abs(np.linalg.norm(moments.vectors, axis=1) - 1).max() < 1e-6
    assert packed_moments(Moments(np.empty(0, np.float32), rows[:0])) == (None, None)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"moment_seconds": None}, "both or neither"),
        ({"moment_vectors": None}, "both or neither"),
        ({"moment_vectors": pack_codes(np.ones(7, np.int8))}, "expected up to"),
        ({"moment_vectors": pack_codes(np.zeros(8, np.int8))}, "zero"),
        ({"moment_seconds": pack_times(np.array([2, 1], np.float32))}, "ascending"),
        ({"moment_seconds": pack_times(np.array([1, np.nan], np.float32))}, "ascending"),
        ({"moment_seconds": "?"}, "moment_seconds"),
        (
            {
                "moment_seconds": pack_times(np.arange(65, dtype=np.float32)),
                "moment_vectors": pack_codes(np.ones(65 * 4, np.int8)),
            },
            "up to 64",
        ),
    ],
)
def test_moments_that_do_not_fit_are_refused(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(BadEventError, match=named):
        VideoEmbedded.from_json(embedded_event(**changed))
