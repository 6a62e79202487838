"""The search view: it is a plain dictionary of the newest vectors, whatever happens to it."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream.contract.embedded import Moments, packed_moments
from stream.contract.events import VideoEmbedded
from stream.contract.order import Takedown
from stream.search.settings import SearchSettings
from stream.search.table import Place
from stream.search.view import SearchView
from tests.stream.library_log import submitted
from tests.stream.search_views import (
    DIMENSION,
    OTHER,
    OWN,
    event,
    found,
    new_view,
    snapshots,
    vector_of,
)

MARGIN = SearchSettings().moment_margin


class Dictionary:
    """What the view must equal."""

    def __init__(self) -> None:
        self.newest: dict[str, tuple[VideoEmbedded, Place]] = {}
        self.removed: dict[str, int] = {}

    def add(self, event: VideoEmbedded, place: Place) -> None:
        """As the view's."""
        known = self.newest.get(event.video_id)
        if event.submission is not None:
            if event.submission.offset < self.removed.get(event.video_id, 0):
                return
            if known is not None and known[0].submission is not None:
                if event.submission.offset >= known[0].submission.offset:
                    self.newest[event.video_id] = event, place
                return
        versions = (event.content_version, known[0].content_version if known else None)
        if all(isinstance(version, int) for version in versions) and versions[0] < versions[1]:  # type: ignore[operator]
            return
        self.newest[event.video_id] = event, place

    def remove(
        self, video_id: str, takedown: Takedown | None = None, *, restated: bool = False
    ) -> None:
        """As the view's, where all uploads are of one partition."""
        known, end = self.newest.get(video_id), takedown.ends[0] if takedown else 0
        submission = known[0].submission if known is not None else None
        self.removed[video_id] = max(end, self.removed.get(video_id, 0))
        if submission is None and not restated:
            self.newest.pop(video_id, None)
        elif submission is not None and (takedown is None or submission.offset < end):
            self.newest.pop(video_id)
            self.removed[video_id] = max(self.removed[video_id], submission.offset + 1)

    def check(self, view: SearchView, query: NDArray[np.float32], k: int) -> None:
        """Compare all that can be asked."""
        own = {
            video_id: (event, place)
            for video_id, (event, place) in self.newest.items()
            if event.model_version == OWN
        }
        similarity = {video_id: nearness(event, query) for video_id, (event, _) in own.items()}
        [hits] = view.search(query[None], k)
        assert len(view) == len(own)
        assert len(hits) == min(k, len(own))
        assert [hit.similarity for hit in hits] == pytest.approx(
            sorted(similarity.values(), reverse=True)[:k], abs=0.01
        )
        for hit in hits:
            assert hit.similarity == pytest.approx(similarity[hit.video_id], abs=0.01)
            assert hit.place == own[hit.video_id][1]
            assert hit.duration_seconds == own[hit.video_id][0].duration_seconds
        left_out = [each[0] for each in self.newest.values() if each[0].model_version != OWN]
        assert sum(view.left_out.values()) == len(left_out)


def nearness(event: VideoEmbedded, query: NDArray[np.float32]) -> float:
    """Of a video or of one of its moments, which count less."""
    rows = event.moments().vectors @ query - MARGIN
    return float(max(np.array(event.vector) @ query, *rows, -np.inf))


VIDEOS = st.sampled_from(["a", "b", "c", "d", "视频", "f" * 300])
ADDS = st.tuples(
    st.just("add"),
    VIDEOS,
    st.integers(0, 50),
    st.sampled_from([None, 1, 2, 3, "1", "x"]),
    st.sampled_from([OWN, OWN, OWN, OTHER]),
    st.one_of(st.none(), st.integers(0, 20)),
    st.integers(0, 4),
)
STEPS = st.one_of(
    ADDS,
    ADDS,
    st.tuples(st.just("remove"), VIDEOS, st.one_of(st.none(), st.integers(0, 20)), st.booleans()),
    st.tuples(st.sampled_from(["snapshot", "restore", "maintain", "compact", "repeat"])),
)


@hypothesis_settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(STEPS, max_size=40), k=st.integers(1, 8))
def test_any_interleaving_equals_a_plain_dictionary(
    tmp_path: Path, steps: list[tuple[Any, ...]], k: int
) -> None:
    shutil.rmtree(tmp_path / "view", ignore_errors=True)
    store, view, plain = snapshots(tmp_path / "view"), new_view(), Dictionary()
    offset = saved = 0
    done: list[tuple[Any, ...]] = []
    for step in steps:
        kind, *rest = step
        if kind == "snapshot":
            store.save(view, {0: offset})
            saved = len(done)
        elif kind == "restore":
            restored = store.load_latest()
            view = restored.view if restored else new_view()
            for change in done[saved if restored else 0 :]:
                apply(view, change)
        elif kind == "maintain":
            view.maintain()
        elif kind == "compact":
            view._compact()
        elif kind == "repeat" and done:
            apply(view, done[-1])
            apply(plain, done[-1])
        elif kind in ("add", "remove"):
            change = (kind, offset, *rest)
            apply(view, change)
            apply(plain, change)
            done.append(change)
            offset += 1
        plain.check(view, vector_of(1000), k)


def apply(target: SearchView | Dictionary, change: tuple[Any, ...]) -> None:
    kind, offset, video_id, *rest = change
    if kind == "remove":
        end, again = rest
        takedown = None if end is None else Takedown("uploads", (end,))
        target.remove(video_id, takedown, restated=again and end is not None)
        return
    seed, version, model, submission, moments = rest
    made = event(video_id, seed, moments, content_version=version, model_version=model)
    if submission is not None:
        made = made.model_copy(update={"submission": submitted(submission)})
    target.add(made, Place(offset % 3, offset))


def test_an_older_version_that_comes_late_changes_nothing_but_after_a_takedown_it_does() -> None:
    made = new_view()
    made.add(event("a", 1, content_version=2), Place(0, 0))
    made.add(event("a", 2, content_version=1), Place(0, 1))
    assert dict(found(made, vector_of(1), 1)) == {"a": pytest.approx(1.0, abs=0.01)}
    made.remove("a")
    made.add(event("a", 2, content_version=1), Place(0, 2))
    assert dict(found(made, vector_of(2), 1)) == {"a": pytest.approx(1.0, abs=0.01)}


def test_the_vector_of_an_older_upload_that_comes_late_changes_nothing() -> None:
    made = new_view()
    newer, older = (
        event("a", seed, content_version=version).model_copy(update={"submission": submitted(seed)})
        for seed, version in ((2, 1), (1, 5))
    )
    made.add(newer, Place(0, 0))
    made.add(older, Place(0, 1))
    assert dict(found(made, vector_of(2), 1)) == {"a": pytest.approx(1.0, abs=0.01)}


def test_a_moment_is_found_with_its_second_where_it_is_nearer_by_the_margin() -> None:
    made = new_view()
    made.add(event("shows it", 1, moments=3), Place(0, 0))
    made.add(event("is it", vector=vector_of(201)), Place(0, 1))
    first, second = made.search(vector_of(201)[None], 2)[0]
    assert (first.video_id, first.seconds) == ("is it", None), "the whole video counts more"
    assert (second.video_id, second.seconds) == ("shows it", 1.0)
    assert second.similarity == pytest.approx(1 - MARGIN, abs=0.01)
    [alone] = made.search(vector_of(1)[None], 1)[0]
    assert (alone.video_id, alone.seconds) == ("shows it", None)


def test_a_video_is_found_once_however_many_of_its_moments_are_near() -> None:
    made = new_view(near_rows=2)
    crowd = np.repeat(vector_of(5)[None], 12, axis=0)
    seconds, vectors = packed_moments(Moments(np.arange(12, dtype=np.float32), crowd))
    made.add(
        event("crowd", vector=vector_of(6), moment_seconds=seconds, moment_vectors=vectors),
        Place(0, 0),
    )
    for number in range(20):
        made.add(event(f"v{number}", 10 + number), Place(0, 1 + number))
    hits = made.search(vector_of(5)[None], 10)[0]
    assert len({hit.video_id for hit in hits}) == 10
    assert (hits[0].video_id, hits[0].seconds) == ("crowd", 0.0)


def test_as_many_moments_are_kept_as_the_settings_say() -> None:
    for most, rows in ((0, 1), (2, 3), (9, 6)):
        made = new_view(moments=most)
        made.add(event("a", 1, moments=5), Place(0, 0))
        assert len(made.state.rows) == rows and len(made) == 1
        made.remove("a")
        assert len(made) == 0


def test_vectors_of_another_model_are_left_out_and_counted() -> None:
    made = new_view()
    made.add(event("ours", 1), Place(0, 0))
    for number in range(3):
        made.add(event(f"v{number}", 1, model_version=OTHER), Place(0, number))
    made.add(event("short", vector=vector_of(1, 4)), Place(0, 9))
    assert made.left_out == {OTHER: 3, f"{OWN} of 4 dimensions": 1}
    assert [name for name, _ in found(made, vector_of(1), 9)] == ["ours"]
    made.add(event("v0", 1), Place(0, 10))
    made.add(event("ours", 1, model_version=OTHER), Place(0, 11))
    assert [name for name, _ in found(made, vector_of(1), 9)] == ["v0"]


def test_a_vector_without_direction_or_beyond_measure_breaks_nothing() -> None:
    made = new_view()
    made.add(event("zero", vector=np.zeros(DIMENSION)), Place(0, 0))
    made.add(event("huge", vector=vector_of(1).astype(np.float64) * 1e300), Place(0, 1))
    hits = dict(found(made, vector_of(1), 5))
    assert hits == {"huge": pytest.approx(1.0, abs=0.01), "zero": pytest.approx(0.0)}


def test_a_query_of_another_dimension_is_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        new_view().search(np.zeros((1, 3), np.float32), 5)
