"""The similarity that makes a hit follows the length of the log, the same in every shard."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.aligners.base import Segment
from models.aligners.matrix import SimilarityMatrix
from stream.contract.fingerprint import Fingerprint
from stream.library.candidates import SMALL_LOG, min_similarity_at
from stream.library.settings import LibrarySettings
from stream.library.shard import LibraryShard
from stream.library.snapshot import SnapshotStore
from stream.library.state import ShardState
from tests.stream.library_log import fingerprint, look

LATE = 10_000_000  # an offset


class Everything:
    """An aligner that takes every pair for a copy: what it is shown are the candidates."""

    def align(self, similarity: SimilarityMatrix) -> list[Segment]:
        """One whole segment."""
        return [Segment(0, similarity.query_duration_seconds, 0, 1, 0.9)]


def test_up_to_a_thousand_entries_it_is_the_settings_and_then_grows_with_each_tenfold() -> None:
    settings = LibrarySettings()
    found = [
        min_similarity_at(settings, offset) for offset in (0, 1, SMALL_LOG, 10**4, 10**5, 10**8)
    ]
    assert found == [0.4, 0.4, 0.4, 0.45, 0.5, 0.65]
    flat = LibrarySettings(min_similarity_growth=0)
    assert min_similarity_at(flat, 10**9) == 0.4
    assert min_similarity_at(LibrarySettings(min_similarity=0.9), 10**12) == 1.0


@given(offsets=st.lists(st.integers(0, 2**62), min_size=2, max_size=10))
def test_it_never_falls_as_the_log_grows(offsets: list[int]) -> None:
    found = [min_similarity_at(LibrarySettings(), offset) for offset in sorted(offsets)]
    assert all(one <= other for one, other in pairwise(found))


def like(seed: int, cosine: float) -> NDArray[np.float64]:
    """A video whose every frame is at a cosine to that of `look`."""
    rows, aside = look(seed), look(1000 + seed)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    aside -= (aside * rows).sum(axis=1, keepdims=True) * rows
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    found: NDArray[np.float64] = cosine * rows + np.sqrt(1 - cosine**2) * aside
    return found


def log(start: int) -> list[tuple[int, Fingerprint]]:
    """Films, and uploads that resemble one of them more or less; the last is a repeat."""
    films = [fingerprint(f"film {seed}", look(seed)) for seed in range(6)]
    uploads = [
        fingerprint(f"{round(100 * cosine)} of {seed}", like(seed, cosine))
        for seed in range(6)
        for cosine in (0.5, 0.7, 0.9)
    ]
    return [*enumerate([*films, *uploads], start), (start + LATE, uploads[0])]


def shard(number: int = 0, shards: int = 1, state: ShardState | None = None) -> LibraryShard:
    settings = LibrarySettings(shards=shards, code_bits=8, min_similarity=0.6, candidate_hits=20)
    return LibraryShard(settings, number, Everything(), state)


def told(library: LibraryShard, entries: list[tuple[int, Fingerprint]]) -> Any:
    """Films by upload."""
    return [
        (offset, event.video_id, match.reference_id)
        for offset, event in entries
        for match in library.apply(event, offset).matches
        if match.reference_id.startswith("film")
    ]


@pytest.mark.parametrize("start", [0, LATE])
@pytest.mark.parametrize("shards", [2, 4])
def test_shards_together_take_what_one_takes_at_any_length_of_the_log(
    start: int, shards: int
) -> None:
    entries = log(start)
    parts = [told(shard(number, shards), entries) for number in range(shards)]
    assert sorted(sum(parts, [])) == sorted(told(shard(), entries))


def test_what_is_a_candidate_in_a_short_log_is_chance_in_a_long_one() -> None:
    short = {upload.partition(" ")[0] for _, upload, _ in told(shard(), log(0))}
    long = {upload.partition(" ")[0] for _, upload, _ in told(shard(), log(LATE))}
    assert (short, long) == ({"70", "90"}, {"90"})


def test_a_replay_from_a_snapshot_and_a_repeat_are_answered_as_the_first_time(
    tmp_path: Path,
) -> None:
    entries = log(LATE)
    expected = told(shard(), entries)
    settings = LibrarySettings(snapshot_folder=tmp_path, code_bits=8)
    snapshots, first = SnapshotStore(settings, shard=0, log_id="log"), shard()
    found = told(first, entries[:10])
    snapshots.save(first.state, entries[10][0])
    restored = snapshots.load_latest()
    assert restored is not None
    found += told(shard(state=restored.state), entries[10:])
    assert found == expected
    (early, event), (late, repeat) = entries[8], (2 * LATE, entries[8][1])
    assert {one[2] for one in told(shard(state=restored.state), [(late, repeat)])} == {
        film for offset, _, film in expected if offset == early
    }
    assert event.video_id == "90 of 0"
