"""The events: what is read, what is refused and in which words, and the way there and back."""

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from stream.contract.events import (
    EVENTS,
    AlertReviewed,
    Event,
    Match,
    MatchedSegment,
    PolicyUpdated,
    VideoCompared,
    VideoDecided,
    VideoEmbedded,
    VideoFingerprinted,
    VideoRejected,
    VideoUploaded,
)
from stream.contract.packed import pack_codes, pack_motion, pack_times
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
)
def test_an_event_comes_back_from_its_bytes_as_it_was(event: Event) -> None:
    assert type(event).from_bytes(event.to_bytes()) == event


fingerprints = st.integers(0, 6).flatmap(
    lambda count: st.tuples(
        arrays.arrays(np.float32, count, elements=st.floats(0, 1e5, width=32)).map(np.sort),
        arrays.arrays(np.int8, (count, 4)),
    )
)


@given(fingerprints)
def test_times_and_descriptors_survive_the_topic_bit_for_bit(
    arrays: tuple[NDArray[np.float32], NDArray[np.int8]],
) -> None:
    times, codes = arrays
    event = fingerprint(key_frame_seconds=pack_times(times), descriptors=pack_codes(codes))
    again = VideoFingerprinted.from_bytes(event.to_bytes())
    np.testing.assert_array_equal(again.times(), times)
    np.testing.assert_array_equal(again.codes(), codes)
    assert again.codes().shape == (len(times), 4)


OPTIONAL = (
    "key_frames_version",
    "score_offsets",
    "cut_seconds",
    "motion",
    "query_frame_seconds",
    "query_descriptors",
    "query_score_offsets",
)


def whole_fingerprint(**changes: Any) -> VideoFingerprinted:
    [example] = examples_of("video.fingerprinted")
    return VideoFingerprinted.from_json(example | changes)


def fingerprint(**changes: Any) -> VideoFingerprinted:
    """As earlier writers sent it, without the optional fields."""
    return whole_fingerprint(**(dict.fromkeys(OPTIONAL) | changes))


def test_an_older_fingerprint_searches_with_its_key_frames_and_has_no_biases() -> None:
    event = fingerprint()
    assert VideoFingerprinted.from_bytes(event.to_bytes()) == event
    assert not set(OPTIONAL) & json.loads(event.to_bytes()).keys()
    np.testing.assert_array_equal(event.query_times(), event.times())
    np.testing.assert_array_equal(event.query_codes(), event.codes())
    assert event.bias_codes().tolist() == event.query_bias_codes().tolist() == [0, 0]
    assert len(event.cuts()) == 0
    assert len(event.motion_codes()) == 0


def test_a_denser_query_biases_cuts_and_motion_travel_beside_what_is_stored() -> None:
    event = VideoFingerprinted.from_bytes(whole_fingerprint().to_bytes())
    assert event.times().tolist() == [0, 1]
    assert event.query_times().tolist() == [0, 0.5, 1, 1.5]
    np.testing.assert_array_equal(event.query_codes()[[0, 2]], event.codes())
    assert event.bias_codes().tolist() == [0, 4]
    assert event.query_bias_codes().tolist() == [0, 1, 4, 3]
    assert event.cuts().tolist() == [1]
    assert event.motion_codes().tolist() == [0, 40, 90, 120, 110, 60, 20, 0]


@given(arrays.arrays(np.uint8, st.integers(0, 12)))
def test_motion_survives_the_topic_bit_for_bit(codes: NDArray[np.uint8]) -> None:
    event = fingerprint(motion=pack_motion(codes))
    again = VideoFingerprinted.from_bytes(event.to_bytes()).motion_codes()
    np.testing.assert_array_equal(again, codes)
    assert again.dtype == np.uint8


def test_a_denser_query_without_biases_has_zeros() -> None:
    assert whole_fingerprint(query_score_offsets=None).query_bias_codes().tolist() == [0] * 4


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"score_offsets": "AA=="}, "2 key_frame_seconds for 1 score_offsets"),
        ({"cut_seconds": pack_times(np.array([2, 1], np.float32))}, "cut_seconds are not asc"),
        ({"motion": "!"}, "VideoFingerprinted"),
        (
            {"motion": pack_motion(np.zeros(13, np.uint8))},
            "13 codes of motion for duration_seconds = 2, expected 4 a second, 12 at most",
        ),
        ({"query_descriptors": None}, "query_descriptors come together"),
        ({"query_frame_seconds": None}, "query_descriptors come together"),
        (
            {"query_frame_seconds": None, "query_descriptors": None},
            "query_score_offsets without query_frame_seconds",
        ),
        ({"query_descriptors": "fwAAAA=="}, "4 query_frame_seconds for 1 query_descriptors"),
        ({"query_score_offsets": "AA=="}, "4 query_frame_seconds for 1 query_score_offsets"),
        ({"query_frame_seconds": pack_times(np.array([0, 1, 3, 2], np.float32))}, "not ascending"),
    ],
)
def test_optional_arrays_that_do_not_fit_are_refused_in_words(changes: Any, words: str) -> None:
    with pytest.raises(BadEventError, match=words):
        whole_fingerprint(**changes)


def test_a_ten_hour_fingerprint_fits_the_topic() -> None:
    count, dimension = 36_000, 256
    random = np.random.default_rng(0)
    event = fingerprint(
        dimension=dimension,
        key_frame_seconds=pack_times(np.arange(count, dtype=np.float32)),
        descriptors=pack_codes(random.integers(-127, 128, (count, dimension), dtype=np.int8)),
        duration_seconds=float(count),
        motion=pack_motion(random.integers(0, 256, 4 * count, dtype=np.uint8)),
    )
    assert len(event.to_bytes()) < 32 * 2**20


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dimension": 3}, "8 descriptor bytes are no multiple of 3"),
        ({"dimension": 8}, "2 key_frame_seconds for 1 descriptors"),
        ({"key_frame_seconds": pack_times(np.array([2, 1], np.float32))}, "not ascending"),
        ({"key_frame_seconds": pack_times(np.array([0, np.nan], np.float32))}, "not ascending"),
        ({"descriptors": "!"}, "VideoFingerprinted"),
        ({"key_frame_seconds": "AAA="}, "VideoFingerprinted"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_in_words(changes: Any, words: str) -> None:
    with pytest.raises(BadEventError, match=words):
        fingerprint(**changes)


def test_the_smallest_upload_is_enough() -> None:
    event = VideoUploaded.from_bytes(b'{"video_id":"a","uri":"file:///a.mp4","owner_id":"o"}')
    assert (event.role, event.content_version, event.uploaded_at) == ("upload", 1, None)


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


def test_the_key_is_the_video_for_reviews_the_alert_and_for_policies_the_owner() -> None:
    for topic in EVENTS.keys() - {"alert.reviewed", "policy.updated"}:
        for example in examples_of(topic):
            expected = example["video_id"].encode() if "video_id" in example else None
            assert EVENTS[topic].from_json(example).key() == expected
    [review] = examples_of("alert.reviewed")
    assert AlertReviewed.from_json(review).key() == review["alert_id"].encode()
    for policy in examples_of("policy.updated"):
        assert PolicyUpdated.from_json(policy).key() == policy["owner_id"].encode()


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
