"""The arrays of an upload: what is read off the log, what is refused and in which words."""

import base64
import json
from collections import Counter
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from models.video.motion import curve_of
from stream.agents.library import library_step
from stream.contract.events import VideoFingerprinted
from stream.contract.fingerprint import CodedFrames, Fingerprint
from stream.contract.message import Source
from stream.contract.packed import pack_codes, pack_motion, pack_times
from stream.contract.schemas import examples_of
from stream.errors import BadEventError
from stream.library.expected import Expected
from stream.library.settings import LibrarySettings
from tests.stream.library_log import fingerprint as film
from tests.stream.library_log import look, shard

OPTIONAL = (
    "key_frames_version",
    "score_offsets",
    "cut_seconds",
    "motion",
    "query_frame_seconds",
    "query_descriptors",
    "query_score_offsets",
    "uri",
    "title",
)
ARRAYS = 8  # of a fingerprint with a denser query


def event(**changes: Any) -> VideoFingerprinted:
    [example] = examples_of("video.fingerprinted")
    return VideoFingerprinted.from_json(example | changes)


def fingerprint(**changes: Any) -> Fingerprint:
    return Fingerprint.from_event(event(**changes))


def older(**changes: Any) -> Fingerprint:
    """As earlier writers sent it, without the optional fields."""
    return fingerprint(**(dict.fromkeys(OPTIONAL) | changes))


made_frames = st.integers(0, 6).flatmap(
    lambda count: st.builds(
        CodedFrames,
        arrays.arrays(np.float32, count, elements=st.floats(0, 1e5, width=32)).map(np.sort),
        arrays.arrays(np.int8, (count, 4)),
        arrays.arrays(np.int8, count),
    )
)


@given(
    made_frames,
    made_frames,
    arrays.arrays(np.float32, 3, elements=st.floats(0, 1e5, width=32)).map(np.sort),
    arrays.arrays(np.uint8, st.integers(0, 12)),
    st.booleans(),
)
def test_every_array_survives_the_topic_bit_for_bit(
    key: CodedFrames,
    query: CodedFrames,
    cuts: NDArray[np.float32],
    motion: NDArray[np.uint8],
    denser: bool,
) -> None:
    made = replace(
        fingerprint(), key_frames=key, query_frames=query if denser else key, cut_seconds=cuts,
        motion_codes=motion,
    )  # fmt: skip
    sent = made.to_event().to_bytes()
    again = Fingerprint.from_bytes(sent)
    assert again.to_event().to_bytes() == sent
    assert again.has_denser_query is denser
    counted = made.to_event()
    assert counted.key_frames == len(key.seconds)
    assert counted.query_frames == len((query if denser else key).seconds)
    for ours, theirs in zip(all_arrays(made), all_arrays(again), strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)


def all_arrays(one: Fingerprint) -> list[NDArray[Any]]:
    frames = (one.key_frames, one.query_frames)
    parts = [part for each in frames for part in (each.seconds, each.codes, each.bias_codes)]
    return [*parts, one.cut_seconds, one.motion_codes]


def test_an_older_fingerprint_searches_with_its_key_frames_and_has_no_biases() -> None:
    one = older()
    assert one.query_frames is one.key_frames
    assert one.key_frames.bias_codes.tolist() == [0, 0]
    assert (len(one.cut_seconds), len(one.motion_codes)) == (0, 0)
    old = event(**dict.fromkeys(OPTIONAL))
    assert not set(OPTIONAL) & json.loads(old.to_bytes()).keys()


def test_a_denser_query_biases_cuts_and_motion_travel_beside_what_is_stored() -> None:
    one = Fingerprint.from_bytes(event().to_bytes())
    key, query = one.key_frames, one.query_frames
    assert key.seconds.tolist() == [0, 1]
    assert query.seconds.tolist() == [0, 0.5, 1, 1.5]
    np.testing.assert_array_equal(query.codes[[0, 2]], key.codes)
    assert key.bias_codes.tolist() == [0, 4]
    assert query.bias_codes.tolist() == [0, 1, 4, 3]
    assert one.cut_seconds.tolist() == [1]
    assert one.motion_codes.tolist() == [0, 40, 90, 120, 110, 60, 20, 0]
    np.testing.assert_array_equal(one.motion, curve_of(one.motion_codes))
    assert query.whole.dtype == np.float32 and query.whole is query.whole


def test_a_denser_query_without_biases_has_zeros() -> None:
    assert fingerprint(query_score_offsets=None).query_frames.bias_codes.tolist() == [0] * 4


def test_a_fingerprint_is_frozen_its_arrays_too() -> None:
    frames = CodedFrames(np.zeros(2, np.float32), np.ones((2, 4), np.int8), np.zeros(2, np.int8))
    one = replace(fingerprint(), key_frames=frames, query_frames=frames)
    with pytest.raises(FrozenInstanceError):
        one.video_id = "another"  # type: ignore[misc]
    for array in all_arrays(one):
        with pytest.raises(ValueError, match="read-only"):
            array[:1] = 0


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each text was unpacked from base64, whoever did it."""
    counted: Counter[str] = Counter()
    decode = base64.b64decode

    def counting(text: str, *arguments: Any, **options: Any) -> bytes:
        counted[text] += 1
        return decode(text, *arguments, **options)

    monkeypatch.setattr(base64, "b64decode", counting)
    return counted


def upload_and_known() -> tuple[bytes, bytes]:
    """A known video, and an upload of it, with every optional array, as the log carries them."""
    known = film("known", look(1), score_offsets=pack_codes(np.full(30, 3, np.int8)))
    frames, rows = known.key_frames, film("upload", look(1) + 0.01).key_frames.codes
    upload = replace(
        known,
        video_id="upload",
        key_frames=CodedFrames(frames.seconds[::2], rows[::2], np.full(15, 1, np.int8)),
        query_frames=CodedFrames(frames.seconds, rows, np.full(30, 2, np.int8)),
        cut_seconds=np.array([4, 9], np.float32),
        motion_codes=np.arange(120, dtype=np.uint8),
    )
    return known.to_event().to_bytes(), upload.to_event().to_bytes()


def source(offset: int, value: bytes) -> Source:
    return Source("video.fingerprinted", 0, offset, 0, value, b"key")


def test_a_shard_unpacks_each_array_of_an_upload_once(unpacked: Counter[str]) -> None:
    known, upload = upload_and_known()
    library = shard()
    library_step(library, source(0, known), answered=False)
    unpacked.clear()
    (answer,) = library_step(library, source(1, upload), answered=False)
    assert len(json.loads(answer.to_bytes())["matches"]) == 1, "it was searched and aligned"
    assert library.state.frames == 30 + 15, "and kept"
    assert len(unpacked) == ARRAYS and set(unpacked.values()) == {1}


def test_verifying_unpacks_each_array_of_an_upload_once(unpacked: Counter[str]) -> None:
    _, upload = upload_and_known()
    unpacked.clear()
    Expected(LibrarySettings(), 0).take(source(0, upload))
    assert len(unpacked) == ARRAYS and set(unpacked.values()) == {1}


def test_without_a_log_between_them_the_steps_unpack_nothing(unpacked: Counter[str]) -> None:
    known, upload = (Fingerprint.from_bytes(value) for value in upload_and_known())
    unpacked.clear()
    library = shard()
    library.absorb(known, 0)
    assert len(library.apply(upload, 1).matches) == 1
    assert not unpacked


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"score_offsets": "AA=="}, "2 key_frame_seconds for 1 score_offsets"),
        ({"cut_seconds": pack_times(np.array([2, 1], np.float32))}, "cut_seconds are not asc"),
        ({"motion": "!"}, "VideoFingerprinted: motion: "),
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
        fingerprint(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dimension": 3}, "8 bytes of descriptors are no multiple of dimension = 3"),
        ({"dimension": 8}, "2 key_frame_seconds for 1 descriptors"),
        ({"key_frame_seconds": pack_times(np.array([2, 1], np.float32))}, "not ascending"),
        ({"key_frame_seconds": pack_times(np.array([0, np.nan], np.float32))}, "not ascending"),
        ({"descriptors": "!"}, "VideoFingerprinted: descriptors: "),
        ({"key_frame_seconds": "AAA="}, "VideoFingerprinted: key_frame_seconds: "),
    ],
)
def test_arrays_that_do_not_fit_are_refused_in_words(changes: Any, words: str) -> None:
    with pytest.raises(BadEventError, match=words):
        older(**changes)


def test_a_step_that_makes_arrays_that_do_not_fit_is_stopped() -> None:
    frames = fingerprint().key_frames
    short = CodedFrames(frames.seconds, frames.codes[:1], frames.bias_codes)
    with pytest.raises(ValueError, match="2 key_frame_seconds for 1 descriptors"):
        replace(fingerprint(), key_frames=short)


def test_a_ten_hour_fingerprint_fits_the_topic() -> None:
    count, dimension = 36_000, 256
    random = np.random.default_rng(0)
    frames = CodedFrames(
        np.arange(count, dtype=np.float32),
        random.integers(-127, 128, (count, dimension), dtype=np.int8),
        random.integers(-127, 128, count, dtype=np.int8),
    )
    one = replace(
        fingerprint(),
        key_frames=frames,
        query_frames=frames,
        duration_seconds=float(count),
        motion_codes=random.integers(0, 256, 4 * count, dtype=np.uint8),
    )
    assert len(one.to_event().to_bytes()) < 32 * 2**20
