"""The search view: it is a plain dictionary of the newest vectors, whatever happens to it."""

import fcntl
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream.agents.search_view import search_step
from stream.contract.events import VideoEmbedded
from stream.contract.message import Source
from stream.contract.order import Takedown
from stream.errors import BadEventError, QueryError, SnapshotError
from stream.index.manifests import MANIFEST
from stream.search import index, rows, view
from stream.search.query import text_query
from stream.search.rows import VectorRows
from stream.search.settings import SearchSettings
from stream.search.snapshot import ViewSnapshots
from stream.search.table import Place
from stream.search.view import SearchView
from tests.stream.library_log import submitted

DIMENSION = 8
OWN, OTHER = "pair-1", "pair-2"
LOG_ID = "cluster/topic"


def vector_of(seed: int, dimension: int = DIMENSION) -> NDArray[np.float32]:
    vector = np.random.default_rng(seed).standard_normal(dimension)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def event(video_id: str, seed: int = 0, **fields: Any) -> VideoEmbedded:
    vector = fields.pop("vector", vector_of(seed))
    return VideoEmbedded.from_json(
        {
            "video_id": video_id,
            "model_version": OWN,
            "dimension": len(vector),
            "vector": [float(number) for number in vector],
            "duration_seconds": float(seed),
        }
        | fields
    )


def new_view(**settings: Any) -> SearchView:
    return SearchView(SearchSettings(**settings), OWN, DIMENSION)


def snapshots(folder: Path, **changed: Any) -> ViewSnapshots:
    fields: dict[str, Any] = {
        "log_id": LOG_ID, "model_version": OWN, "dimension": DIMENSION, "max_days": 90.0,
    }  # fmt: skip
    return ViewSnapshots(SearchSettings(snapshot_folder=folder), **fields | changed)


def found(view: SearchView, vector: NDArray[np.float32], k: int) -> list[tuple[str, float]]:
    [hits] = view.search(vector[None], k)
    return [(hit.video_id, hit.similarity) for hit in hits]


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
        similarity = {
            video_id: float(np.array(event.vector) @ query) for video_id, (event, _) in own.items()
        }
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


VIDEOS = st.sampled_from(["a", "b", "c", "d", "视频", "f" * 300])
ADDS = st.tuples(
    st.just("add"),
    VIDEOS,
    st.integers(0, 50),
    st.sampled_from([None, 1, 2, 3, "1", "x"]),
    st.sampled_from([OWN, OWN, OWN, OTHER]),
    st.one_of(st.none(), st.integers(0, 20)),
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
    seed, version, model, submission = rest
    made = event(video_id, seed, content_version=version, model_version=model)
    if submission is not None:
        made = made.model_copy(update={"submission": submitted(submission)})
    target.add(made, Place(offset % 3, offset))


@pytest.fixture
def lists(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Small lists and blocks, so that a test needs few vectors."""
    monkeypatch.setattr(index, "TAIL_ROWS", 64)
    monkeypatch.setattr(rows, "BLOCK_ROWS", 100)
    monkeypatch.setattr(view, "MIN_DEAD", 50)
    yield


@pytest.mark.parametrize("dimension", [DIMENSION, 9])
def test_lists_of_codes_find_what_an_exhaustive_search_finds(
    lists: None, tmp_path: Path, dimension: int
) -> None:
    settings = SearchSettings(exact_rows=200, probes=16, near_rows=200, snapshot_folder=tmp_path)
    made = SearchView(settings, OWN, dimension)
    plain: dict[str, NDArray[np.float32]] = {}
    random = np.random.default_rng(3)
    for number in range(1500):
        name = f"v{random.integers(900)}"
        if random.random() < 0.2:
            made.remove(name)
            plain.pop(name, None)
        else:
            plain[name] = vector_of(number, dimension)
            made.add(event(name, vector=plain[name]), Place(0, number))
        if number % 20 == 0:
            made.maintain()
    store = snapshots(tmp_path, dimension=dimension)
    store.save(made, {0: 1500})
    restored = store.load_latest()
    assert restored is not None and restored.view.state.index.listed > 200
    for each in (made, restored.view):
        assert len(each) == len(plain)
        for seed in range(20):
            query = vector_of(10_000 + seed, dimension)
            expected = sorted(plain, key=lambda name: -float(plain[name] @ query))[:10]
            names = [name for name, _ in found(each, query, 10)]
            assert len({*names} & {*expected}) >= 9
            assert not {*names} - plain.keys()


def test_hits_are_found_however_many_near_ones_were_taken_down(lists: None) -> None:
    made = SearchView(SearchSettings(exact_rows=200, near_rows=4, probes=1), OWN, DIMENSION)
    centre = vector_of(1)
    for number in range(600):
        near = number < 300
        vector = centre + 0.01 * vector_of(number) if near else vector_of(number)
        made.add(event(f"v{number}", vector=vector / np.linalg.norm(vector)), Place(0, number))
        if number % 50 == 0:
            made.maintain()
    for number in range(300):
        made.remove(f"v{number}")
    assert len(found(made, centre, 5)) == 5
    assert all(int(name[1:]) >= 300 for name, _ in found(made, centre, 200))


def test_rows_are_a_byte_a_number_and_finer_than_one_scale_for_all() -> None:
    made = VectorRows(256)
    vectors = np.stack([vector_of(seed, 256) for seed in range(50)])
    for vector in vectors:
        made.append(vector)
    errors = (made.span(0, 50) - vectors) @ vectors.T
    assert np.abs(errors).max() < 0.002


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


def test_a_vector_that_comes_again_after_its_takedown_isnt_found_whatever_is_restored(
    tmp_path: Path,
) -> None:
    made, store = new_view(), snapshots(tmp_path)
    film = event("film", 1).model_copy(update={"submission": submitted(3)})
    takedown = Takedown("uploads", (4,))
    headers = tuple(takedown.headers())
    search_step(made, Source("video.embedded", 1, 0, 0, film.to_bytes(), b"film"))
    search_step(made, Source("video.embedded", 1, 1, 0, None, b"film", headers=headers))
    store.save(made, {1: 2})
    restored = store.load_latest()
    assert restored is not None
    anew = new_view()  # compaction has left the takedown alone
    search_step(anew, Source("video.embedded", 1, 1, 0, None, b"film", headers=headers))
    for each in (made, restored.view, anew):
        search_step(each, Source("video.embedded", 1, 2, 0, film.to_bytes(), b"film"))
        assert len(each) == 0
        later = film.model_copy(update={"submission": submitted(4)})
        search_step(each, Source("video.embedded", 1, 3, 0, later.to_bytes(), b"film"))
        assert len(each) == 1
        again = tuple(takedown.headers(restated=True))
        search_step(each, Source("video.embedded", 1, 4, 0, None, b"film", headers=again))
        assert len(each) == 1


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


def test_search_goes_on_while_the_view_changes(lists: None) -> None:
    made = new_view(exact_rows=200)
    stop, wrong = threading.Event(), []

    def ask() -> None:
        while not stop.is_set():
            hits = found(made, vector_of(5), 20)
            if len({name for name, _ in hits}) != len(hits):
                wrong.append(hits)

    asking = threading.Thread(target=ask)
    asking.start()
    for number in range(1200):
        made.add(event(f"v{number % 300}", number), Place(0, number))
        if number % 40 == 0:
            made.maintain()
    stop.set()
    asking.join()
    assert wrong == []
    assert len(made) == 300


def saved_twice(folder: Path) -> tuple[ViewSnapshots, list[Path]]:
    store, made, paths = snapshots(folder), new_view(), []
    for number in range(3):
        made.add(event(f"v{number}", number), Place(0, number))
        path = store.save(made, {0: number + 1, 1: 4})
        assert path is not None
        paths.append(path)
    return store, paths[1:]


def test_the_last_two_snapshots_are_kept_and_the_newest_restored(tmp_path: Path) -> None:
    store, paths = saved_twice(tmp_path)
    assert sorted(path for path in tmp_path.iterdir() if path.is_dir()) == paths
    restored = store.load_latest()
    assert restored is not None
    assert (restored.offsets, len(restored.view)) == ({0: 3, 1: 4}, 3)


@pytest.mark.parametrize("name", ["records.npy", "codes.npy", "ids.npy", MANIFEST])
@pytest.mark.parametrize("how", ["flip", "cut", "gone"])
def test_a_damaged_snapshot_falls_back_to_the_one_before_and_then_to_the_topic(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, how: str
) -> None:
    store, paths = saved_twice(tmp_path)
    damage(paths[1] / name, how)
    restored = store.load_latest()
    assert restored is not None and restored.offsets == {0: 2, 1: 4}
    assert "snapshot passed over" in caplog.text
    damage(paths[0] / name, how)
    assert store.load_latest() is None


def damage(path: Path, how: str) -> None:
    if how == "gone":
        path.unlink()
        return
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data if how == "flip" else data[: len(data) // 2])


@pytest.mark.parametrize(
    "changed", [{"log_id": "other"}, {"model_version": OTHER}, {"dimension": 9}]
)
def test_a_snapshot_of_another_topic_or_model_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, changed: dict[str, Any]
) -> None:
    saved_twice(tmp_path)
    assert snapshots(tmp_path, **changed).load_latest() is None
    assert "is foreign" in caplog.text


def test_a_snapshot_older_than_the_topics_memory_of_takedowns_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = saved_twice(tmp_path)
    late = time.time() + 91 * 86400
    monkeypatch.setattr("stream.search.snapshot.time.time", lambda: late)
    assert store.load_latest() is None
    assert "days old" in caplog.text


def test_a_full_disk_costs_the_new_snapshot_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, paths = saved_twice(tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(SnapshotError, match="No space left"):
        store.save(new_view(), {0: 9, 1: 9})
    assert sorted(path for path in tmp_path.iterdir() if path.is_dir()) == paths


def test_while_another_process_writes_nothing_is_written(tmp_path: Path) -> None:
    store, _ = saved_twice(tmp_path)
    with (tmp_path / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert store.save(new_view(), {0: 50}) is None


def test_vectors_of_a_snapshot_that_is_dropped_can_still_be_searched(tmp_path: Path) -> None:
    store, paths = saved_twice(tmp_path)
    restored = store.load_latest()
    assert restored is not None
    shutil.rmtree(paths[1])
    assert len(found(restored.view, vector_of(1), 5)) == 3
    assert not os.path.exists(paths[1])


def source(value: bytes | None, key: bytes | None = b"v") -> Source:
    return Source("video.embedded", 2, 7, 0, value, key)


def test_a_message_without_value_takes_the_video_of_its_key_down() -> None:
    made = new_view()
    search_step(made, source(event("v", 1).to_bytes()))
    assert made.search(vector_of(1)[None], 1)[0][0].place == Place(2, 7)
    search_step(made, source(None))
    assert len(made) == 0


@pytest.mark.parametrize(
    ("value", "key", "words"),
    [
        (b"{}", b"v", "video_id"),
        (b"words", b"v", "JSON"),
        (event("v").to_bytes(), b"w", "expected the video_id"),
        (event("v").to_bytes(), None, "expected the video_id"),
        (None, None, "no value"),
        (orjson.dumps(orjson.loads(event("v").to_bytes()) | {"vector": [1.0]}), b"v", "dimension"),
    ],
)
def test_what_is_no_embedding_changes_nothing_and_is_named(
    value: bytes | None, key: bytes | None, words: str
) -> None:
    made = new_view()
    with pytest.raises(BadEventError, match=words):
        search_step(made, source(value, key))
    assert len(made) == 0


class Words:
    """A text encoder that knows a few words."""

    model_version, dimension, most_tokens = OWN, DIMENSION, 8

    def embed(self, texts: Any) -> NDArray[np.float32]:
        """By their lengths."""
        return np.stack([vector_of(len(text)) for text in texts])

    def tokens(self, text: str) -> int:
        """Its words."""
        if not text.split():
            raise ValueError("a text without a word")
        return len(text.split())

    def known_share(self, text: str) -> float:
        """Of its words."""
        words = text.split()
        return sum(word in ("two", "dogs", "狗") for word in words) / len(words)


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        ("two dogs", []),
        ("狗", []),
        ("dogs " * 2000, ["2000 tokens"]),
        ("สวัสดี", ["none of the query's words"]),
        ("two a b c", ["only 25%"]),
        ("x " * 50, ["50 tokens", "none of"]),
    ],
)
def test_what_is_doubtful_about_a_query_is_said(text: str, warnings: list[str]) -> None:
    query = text_query(Words(), text)
    assert query.vector.shape == (1, DIMENSION)
    assert len(query.warnings) == len(warnings)
    assert all(part in said for part, said in zip(warnings, query.warnings, strict=True))


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "empty"), ("  \n\t", "empty"), ("\u3000", "empty"), ("\udcff", "UTF-8")],
)
def test_what_is_no_text_is_refused(text: str, words: str) -> None:
    with pytest.raises(QueryError, match=words):
        text_query(Words(), text)
