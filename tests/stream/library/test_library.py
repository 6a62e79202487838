"""A shard answers from the log alone: search before append, repeats as the first time."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.aligners.base import Segment
from models.aligners.matrix import SimilarityMatrix
from models.video.motion import coarse, coarse_curve, curve_of
from stream.agents.library import library_step
from stream.contract.events import VideoCompared
from stream.contract.fingerprint import CodedFrames, Fingerprint
from stream.contract.hashes import shard_of
from stream.contract.message import Source
from stream.contract.packed import pack_motion, pack_times
from stream.errors import UnsupportedError
from stream.index.exact import FrameIndex, cosines
from stream.library.candidates import vote
from stream.library.settings import LibrarySettings
from stream.library.shard import LibraryShard
from tests.stream.library_log import DIMENSION, content, fingerprint, look, shard

A, B = look(1), look(2)
B_WITH_A = np.concatenate((B[:10], A[5:20], B[10:]))


def found(answer: VideoCompared) -> list[str]:
    return [match.reference_id for match in answer.matches]


def read(library: LibraryShard, *events: Fingerprint) -> list[VideoCompared]:
    return [library.apply(event, offset) for offset, event in enumerate(events)]


def test_a_later_video_finds_the_earlier_one_and_which_seconds() -> None:
    first, second = read(shard(), fingerprint("a", A, role="reference"), fingerprint("b", B_WITH_A))
    assert first.matches == []
    (match,) = second.matches
    assert (match.reference_id, match.reference_owner_id) == ("a", "owner of a")
    assert match.reference_role == "reference"
    (segment,) = match.segments
    assert segment.video_start_seconds == pytest.approx(10, abs=0.6)
    assert segment.video_end_seconds == pytest.approx(25, abs=0.6)
    assert segment.reference_start_seconds == pytest.approx(5, abs=0.6)
    assert segment.reference_end_seconds == pytest.approx(20, abs=0.6)
    assert match.score == segment.score > 0.5
    assert second.library_offset == 1


def test_a_reference_that_comes_later_finds_the_earlier_upload() -> None:
    _, answer = read(shard(), fingerprint("b", B_WITH_A), fingerprint("a", A, role="reference"))
    assert found(answer) == ["b"]
    assert answer.matches[0].reference_role == "upload"


def test_the_stages_before_are_passed_on_with_search_and_align() -> None:
    (answer,) = read(shard(), fingerprint("a", A))
    assert answer.stage_seconds.keys() == {"decode", "search", "align"}
    assert answer.stage_seconds["decode"] == 1.5


def test_a_repeat_is_answered_as_the_first_time_and_added_once() -> None:
    library = shard()
    events = [fingerprint("b", B_WITH_A), fingerprint("a", A), fingerprint("c", B_WITH_A)]
    first = read(library, *events)
    frames = library.state.frames
    again = [library.apply(event, 3 + number) for number, event in enumerate(events)]
    assert [content(answer) for answer in again] == [content(answer) for answer in first]
    assert [answer.library_offset for answer in again] == [0, 1, 2]
    assert library.state.frames == frames


def test_a_repeat_has_its_own_request_id() -> None:
    library = shard()
    library.apply(fingerprint("a", A), 0)
    assert library.apply(fingerprint("a", A, request_id="second"), 1).request_id == "second"


def test_a_video_matches_neither_itself_nor_an_older_version_of_itself() -> None:
    answers = read(
        shard(),
        fingerprint("a", A),
        fingerprint("a", A, content_version=2),
        fingerprint("a", A, content_version="final"),
    )
    assert [found(answer) for answer in answers] == [[], [], []]


def test_a_new_version_takes_the_place_of_the_old_one() -> None:
    library = shard()
    answers = read(
        library,
        fingerprint("a", A),
        fingerprint("b", B_WITH_A),
        fingerprint("a", look(3), content_version=2),
        fingerprint("c", A),
    )
    assert [found(answer) for answer in answers] == [[], ["a"], [], ["b"]]
    assert found(library.apply(fingerprint("b", B_WITH_A), 4)) == ["a"], "as the first time"


def test_versions_that_look_alike_are_different() -> None:
    library = shard()
    read(library, fingerprint("a", A, content_version=1), fingerprint("a", B, content_version="1"))
    assert len(library.state.held()) == 2


def test_absorbing_leaves_the_state_that_applying_leaves() -> None:
    events = [fingerprint("a", A), fingerprint("b", B_WITH_A), fingerprint("a", A)]
    applied, absorbed = shard(), shard()
    read(applied, *events)
    for offset, event in enumerate(events):
        absorbed.absorb(event, offset)
    query = fingerprint("q", A)
    assert content(applied.apply(query, 3)) == content(absorbed.apply(query, 3))


def test_a_fingerprint_without_key_frames_matches_nothing() -> None:
    empty = fingerprint("empty", np.empty((0, DIMENSION)))
    answers = read(shard(), empty, fingerprint("a", A), empty, fingerprint("b", A))
    assert [found(answer) for answer in answers] == [[], [], [], ["a"]]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"model_version": "encoder-2"}, "encoder-1.*encoder-2"),
        ({"dimension": 16, "key_frame_seconds": "", "descriptors": ""}, "32.*16"),
    ],
)
def test_descriptors_of_another_model_are_refused(changed: dict[str, Any], named: str) -> None:
    library = shard()
    library.apply(fingerprint("a", A), 0)
    with pytest.raises(UnsupportedError, match=named):
        library.apply(fingerprint("b", B, **changed), 1)
    assert [held.entry.video_id for held in library.state.held()] == ["a"]
    assert found(library.apply(fingerprint("c", A), 2)) == ["a"]


def test_each_video_is_kept_by_one_shard_and_found_by_it() -> None:
    events = [fingerprint(f"v{number}", look(number)) for number in range(12)]
    query = fingerprint("query", np.concatenate([look(number)[5:20] for number in range(12)]))
    libraries = [shard(number=number, shards=3) for number in range(3)]
    parts = [found(read(library, *events, query)[-1]) for library in libraries]
    assert sorted(sum(parts, [])) == sorted(event.video_id for event in events)
    for number, part in enumerate(parts):
        assert {shard_of(video_id, 3) for video_id in part} == {number}


def test_the_shard_of_a_video_never_changes() -> None:
    assert [shard_of(video_id, 8) for video_id in ("a", "b", "视频", "x" * 512)] == [7, 5, 1, 7]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(10, 40), max_size=6), st.integers(0, 6))
def test_the_answer_about_a_pair_does_not_depend_on_the_rest_of_the_library(
    others: list[int], place: int
) -> None:
    pair = [fingerprint("a", A), fingerprint("b", B_WITH_A)]
    rest = [fingerprint(f"other {n}", look(seed)) for n, seed in enumerate(others)]
    rest += [fingerprint(f"copy {n}", A) for n in range(len(others))]
    alone = read(shard(), *pair)[-1].matches
    crowded = read(shard(), *rest[:place], pair[0], *rest[place:], pair[1])[-1].matches
    assert [match for match in crowded if match.reference_id == "a"] == alone


def test_the_bound_on_candidates_keeps_those_with_most_votes() -> None:
    weak = np.concatenate((look(4, 20), A[:6]))
    _, _, answer = read(
        shard(candidates=1),
        fingerprint("weak", weak),
        fingerprint("strong", A),
        fingerprint("b", A),
    )
    assert found(answer) == ["strong"]


def test_votes_count_query_frames_not_hits() -> None:
    queries = np.array([0, 0, 0, 1, 1, 2])
    similarities = np.array([0.5, 0.9, 0.7, 0.6, 0.8, 0.7], np.float32)
    entries = np.array([0, 0, 0, 1, 0, 1])
    chosen = vote(queries, similarities, entries, min_frames=2, most=9)
    assert [(candidate.entry, candidate.frames) for candidate in chosen] == [(0, 2), (1, 2)]
    assert chosen[0].votes == pytest.approx(0.9 + 0.8)
    assert vote(queries, similarities, entries, min_frames=3, most=9) == []


def test_search_finds_exactly_what_the_matrix_holds_above_the_threshold() -> None:
    random = np.random.default_rng(0)
    codes = random.integers(-60, 61, (300, DIMENSION)).astype(np.int8)
    queries = codes[40:70]
    index = FrameIndex(DIMENSION)
    serials = 7 + 2 * np.arange(300)
    index.add(codes[:100], serials[:100])
    index.add(codes[100:], serials[100:])
    matrix = cosines(queries, codes[:200])
    hits = index.hits(queries, np.zeros(30, np.int8), 0.3, below=int(serials[200]))
    rows = (hits.serials - 7) // 2
    expected = np.argwhere(matrix > 0.3)
    got = np.stack((hits.queries, rows), axis=1)
    assert sorted(map(tuple, got.tolist())) == sorted(map(tuple, expected.tolist()))
    np.testing.assert_array_equal(np.clip(hits.similarities, -1, 1), matrix[hits.queries, rows])


def test_cosines_are_exact_whatever_else_is_compared() -> None:
    random = np.random.default_rng(1)
    codes = random.integers(-127, 128, (500, 512)).astype(np.int8)
    whole = codes.astype(np.int64) @ codes.astype(np.int64).T
    expected = np.clip(whole.astype(np.float32) / np.float32(127**2), -1, 1)
    np.testing.assert_array_equal(cosines(codes, codes), expected)
    np.testing.assert_array_equal(cosines(codes[3:4], codes[7:9]), expected[3:4, 7:9])


def test_a_removed_video_is_found_by_nobody_and_may_come_again() -> None:
    library, rows = shard(), look(1)
    library.apply(fingerprint("a", rows), 0)
    library.apply(fingerprint("b", rows), 1)
    library.remove("a", 2)
    again = library.apply(fingerprint("b", rows), 3)
    later = library.apply(fingerprint("c", rows), 4)
    assert again.matches == []
    assert [match.reference_id for match in later.matches] == ["b"]
    back = library.apply(fingerprint("a", rows), 5)
    assert {match.reference_id for match in back.matches} == {"b", "c"}
    assert back.library_offset == 5


def test_a_log_message_without_a_value_takes_the_video_of_its_key_down() -> None:
    library = shard()
    library.apply(fingerprint("a", look(1)), 0)
    takedown = Source("video.fingerprinted", 0, 1, 0, None, b"a")
    assert library_step(library, takedown, answered=False) == []
    assert library.apply(fingerprint("b", look(1)), 2).matches == []


def denser(video: Fingerprint, every: int, bias: int = 0) -> Fingerprint:
    """The same video of which only each `every`-th frame is stored; all search."""
    frames, biases = video.key_frames, np.full(len(video.key_frames), bias, np.int8)
    return replace(
        video,
        key_frames=CodedFrames(frames.seconds[::every], frames.codes[::every], biases[::every]),
        query_frames=CodedFrames(frames.seconds, frames.codes, biases),
    )


@pytest.mark.parametrize("search_frames", ["query", "key"])
def test_a_sparse_library_is_found_by_a_denser_query(search_frames: str) -> None:
    library = shard(search_frames=search_frames)
    still = np.repeat(look(1, 10), 3, axis=0)  # every picture stands for three seconds
    copy = np.concatenate((look(2, 6), still[6:24], look(3, 6)))
    first, second = denser(fingerprint("a", still), 3), denser(fingerprint("b", copy), 3)
    _, answer = read(library, first, second)
    assert library.state.frames == 10 + 10
    (match,) = answer.matches
    (segment,) = match.segments
    assert segment.video_start_seconds == pytest.approx(6, abs=2)
    assert segment.reference_start_seconds == pytest.approx(6, abs=2)
    assert segment.video_end_seconds == pytest.approx(24, abs=2)


class Seen:
    """An aligner that finds nothing and keeps what it was shown."""

    version = "seen-1"

    def __init__(self) -> None:
        self.matrices: list[SimilarityMatrix] = []

    def align(self, similarity: SimilarityMatrix) -> list[Segment]:
        """Nothing is copied."""
        self.matrices.append(similarity)
        return []


def test_the_aligner_sees_query_frames_against_key_frames_with_biases_and_cuts() -> None:
    aligner = Seen()
    library = LibraryShard(LibrarySettings(code_bits=8, min_similarity=-1), 0, aligner)
    a = denser(fingerprint("a", A, cut_seconds=pack_times(np.array([4], np.float32))), 2, 10)
    b = denser(fingerprint("b", B_WITH_A, cut_seconds=pack_times(np.array([10, 25], "f4"))), 3, 20)
    _, answer = read(library, a, b)
    (matrix,) = aligner.matrices
    expected = cosines(b.query_frames.codes, a.key_frames.codes) - (20 + 10) / 254
    np.testing.assert_allclose(matrix.values, np.clip(expected, -1, 1), atol=1e-6)
    np.testing.assert_array_equal(matrix.query_seconds, b.query_frames.seconds)
    np.testing.assert_array_equal(matrix.reference_seconds, a.key_frames.seconds)
    assert matrix.query_cuts_seconds.tolist() == [10, 25]
    assert matrix.reference_cuts_seconds.tolist() == [4]
    assert answer.aligner_version == "seen-1"


def with_parts(video: Fingerprint, *parts: Fingerprint) -> Fingerprint:
    """An upload whose pictures show those of other videos beside its own."""
    looks = video.key_frames
    for part in parts:
        looks = looks.beside(part.key_frames)
    return replace(video, query_frames=looks)


def test_of_several_looks_at_one_moment_the_aligner_sees_the_best() -> None:
    aligner = Seen()
    library = LibraryShard(LibrarySettings(code_bits=8, min_similarity=-1), 0, aligner)
    a, whole, part = fingerprint("a", A), fingerprint("b", B), fingerprint("b", B_WITH_A[:30])
    read(library, a, with_parts(whole, part))
    (matrix,) = aligner.matrices
    each = [cosines(one.key_frames.codes, a.key_frames.codes) for one in (whole, part)]
    np.testing.assert_allclose(matrix.values, np.clip(np.maximum(*each), -1, 1), atol=1e-6)
    np.testing.assert_array_equal(matrix.query_seconds, whole.key_frames.seconds)


def test_a_copy_in_a_part_of_the_picture_is_found() -> None:
    whole, part, other = fingerprint("b", look(7)), fingerprint("b", A), fingerprint("b", look(99))
    _, alone = read(shard(), fingerprint("a", A), whole)
    _, answer = read(shard(), fingerprint("a", A), with_parts(whole, other, part))
    assert found(alone) == [] and found(answer) == ["a"]


def test_looks_at_one_moment_are_one_vote() -> None:
    """Two looks at one second are no second frame that hits."""
    once = np.concatenate((A[:1], look(5, 29)))
    twice = with_parts(fingerprint("b", once), fingerprint("b", once))
    assert twice.query_frames.moments.tolist() == np.repeat(np.arange(30), 2).tolist()
    aligner = Seen()
    library = LibraryShard(LibrarySettings(min_similarity=0.9), 0, aligner)
    read(library, fingerprint("a", A), twice)
    assert aligner.matrices == []


def test_the_aligner_sees_the_querys_motion_and_levels_of_the_librarys() -> None:
    aligner = Seen()
    library = LibraryShard(LibrarySettings(min_similarity=-1), 0, aligner)
    ours, theirs = np.arange(0, 120, dtype=np.uint8), np.arange(255, 155, -1).astype(np.uint8)
    read(
        library,
        fingerprint("a", A, motion=pack_motion(theirs)),
        fingerprint("b", B, motion=pack_motion(ours)),
        fingerprint("c", B_WITH_A),
    )
    first, *unknown = aligner.matrices
    np.testing.assert_array_equal(first.query_motion, curve_of(ours))
    np.testing.assert_array_equal(first.reference_motion, coarse_curve(coarse(theirs)))
    assert first.query_motion.dtype == first.reference_motion.dtype == np.float32
    assert [len(matrix.query_motion) for matrix in unknown] == [0, 0]
    assert {len(matrix.reference_motion) for matrix in unknown} == {120, 100}


def test_frames_that_resemble_everything_find_fewer_candidates() -> None:
    known, common = fingerprint("a", A), fingerprint("b", A + 1.2 * look(9))
    first, second = shard(min_similarity=0.6), shard(min_similarity=0.6)
    assert found(read(first, known, denser(common, 1))[-1]) == ["a"]
    assert found(read(second, known, denser(common, 1, bias=60))[-1]) == []


def test_a_bias_is_one_more_dimension_of_the_index() -> None:
    codes = np.random.default_rng(2).integers(-20, 21, (40, DIMENSION)).astype(np.int8)
    index = FrameIndex(DIMENSION)
    index.add(codes, np.arange(40))
    biases = np.arange(-20, 20).astype(np.int8)
    hits = index.hits(codes, biases, 0.01, below=None)
    wanted = cosines(codes, codes) - biases[:, None].astype(np.float32) / 127
    assert len(hits.serials) == (wanted > 0.01).sum()
    np.testing.assert_allclose(hits.similarities, wanted[hits.queries, hits.serials], atol=1e-6)


def test_the_versions_of_all_models_come_with_an_answer() -> None:
    library = shard(aligner="temporal_network")
    (answer,) = read(library, fingerprint("a", A, key_frames_version="learned-7"))
    versions = (answer.model_version, answer.aligner_version, answer.key_frames_version)
    assert versions == ("encoder-1", "temporal_network", "learned-7")
