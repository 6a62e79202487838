"""A shard tells a probe what it would tell an upload, and is as before."""

from typing import Any

import numpy as np
import pytest

from stream.contract.hashes import shard_of
from stream.errors import UnsupportedError
from stream.library.capture import capture
from stream.library.shard import LibraryShard
from tests.stream.library_log import fingerprint, look, shard
from tests.stream.probes import fingerprinted

A, B = look(1), look(2)
B_WITH_A = np.concatenate((B[:10], A[5:20], B[10:]))
KEPT = [fingerprint("a", A, role="reference"), fingerprint("b", B)]


def all_of(library: LibraryShard) -> dict[str, Any]:
    """Whatever a snapshot would hold, to the last bit."""
    taken = capture(library.state, 0)
    arrays = {name: array.tobytes() for name, array in taken.arrays.items()}
    rows = [run.rows.tobytes() for run in taken.runs]
    return {**arrays, "rows of runs": rows, "numbers": taken.numbers, "truth": library.truth}


def grown(number: int = 0, shards: int = 1) -> LibraryShard:
    library = shard(number=number, shards=shards)
    for offset, event in enumerate(KEPT):
        library.apply(event, offset)
    return library


@pytest.mark.parametrize("number", [0, 1])
def test_a_probe_gets_the_very_matches_of_an_upload_and_changes_nothing(number: int) -> None:
    library, asked = grown(number, 2), fingerprint("p", B_WITH_A)
    before = all_of(library)
    answer = library.probe(fingerprinted(asked), asked, 2)
    assert all_of(library) == before
    upload = library.apply(fingerprint("upload", B_WITH_A), 2)
    assert answer.matches == upload.matches
    expected = [name for name in ("a", "b") if shard_of(name, 2) == number]
    assert sorted(match.reference_id for match in upload.matches) == expected
    assert (answer.shard, answer.shards, answer.library_offset) == (number, 2, 2)


def test_a_probe_is_compared_with_what_the_log_held_before_its_place() -> None:
    library, asked = grown(), fingerprint("p", B_WITH_A)
    matches = [library.probe(fingerprinted(asked), asked, offset).matches for offset in range(3)]
    assert [len(found or ()) for found in matches] == [0, 1, 2]


def test_a_still_picture_is_found_where_it_is_shown_though_an_upload_of_it_copies_nothing() -> None:
    library, picture = grown(), fingerprint("p", A[7:8], duration_seconds=0.04)
    answer = library.probe(fingerprinted(picture), picture, 2)
    assert answer.matches is not None
    [match] = answer.matches
    [span] = match.segments
    assert (match.reference_id, answer.aligner_version) == ("a", "picture")
    assert (span.reference_start_seconds, span.reference_end_seconds) == (6.5, 8.5)
    assert (span.video_start_seconds, span.video_end_seconds) == (0.0, 0.04)
    assert match.score > 0.99
    stranger = fingerprint("s", look(3)[:1], duration_seconds=0.04)
    assert library.probe(fingerprinted(stranger), stranger, 2).matches == []
    assert library.apply(fingerprint("upload", A[7:8], duration_seconds=0.04), 2).matches == []


def test_a_picture_alone_must_be_more_alike_than_one_of_many_frames() -> None:
    row = A[7] / np.linalg.norm(A[7])
    away = look(3)[0] - (look(3)[0] @ row) * row
    away /= np.linalg.norm(away)

    def found(cosine: float) -> bool:
        rows = (cosine * row + np.sqrt(1 - cosine**2) * away)[None]
        picture = fingerprint("p", rows, duration_seconds=0.04)
        return bool(grown().probe(fingerprinted(picture), picture, 2).matches)

    assert (found(0.5), found(0.6)) == (False, True)


def test_an_empty_shard_has_no_match_and_is_empty_still() -> None:
    library, asked = shard(), fingerprint("p", A)
    assert library.probe(fingerprinted(asked), asked, 0).matches == []
    assert library.state.store is None
    assert library.state.model_version is None


def test_a_probe_of_another_model_is_refused() -> None:
    other = fingerprint("p", A, model_version="encoder-2")
    with pytest.raises(UnsupportedError, match="encoder-1"):
        grown().probe(fingerprinted(other), other, 2)
