"""`text_search` asks different questions, of a view that is what reading the topic would give."""

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks.text.questions import LANGUAGES, questions
from benchmarks.text.view import (
    build,
    centres,
    made_table,
    number_of,
    place_of,
    snapshots,
    stored,
    video_id,
)
from benchmarks.text_search import K, latency, measure, recall, table_of
from stream.contract.events import VideoEmbedded
from stream.fingerprint.settings import TextVideoSettings
from stream.search.rows import VectorRows
from stream.search.settings import SearchSettings
from stream.search.table import Place
from stream.search.view import Hit, SearchView
from stream.settings import load_settings
from tests.stream.text_video_pair import DIMENSION, VERSION, make_pair

VIDEOS = 2000


def unit(
    count: int, dimension: int, seed: int
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    rows = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    made: np.ndarray[tuple[int, int], np.dtype[np.float32]]
    made = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return made


def test_a_small_view_is_measured_and_an_exact_one_finds_all(tmp_path: Path) -> None:
    pair = TextVideoSettings(path=make_pair(tmp_path / "pair"))
    report = measure(load_settings(text_video=pair), [VIDEOS], 40, None)
    assert (report["model_version"], report["dimension"]) == (VERSION, DIMENSION)
    [figures] = report["sizes"]
    assert (figures["videos"], figures["index"]) == (VIDEOS, "exact")
    assert figures["recall_at_10"] == 1.0
    for name in ("whole", "encode", "encode_en", "encode_zh", "search"):
        assert 0 < figures[f"{name}_ms"]["p50"] <= figures[f"{name}_ms"]["p99"]
    assert figures["whole_ms"]["p50"] >= figures["encode_ms"]["p50"]
    for name in ("resident_bytes", "anonymous_bytes", "disk_bytes", "restore_seconds"):
        assert figures[name] > 0
    console = Console(width=250)
    with console.capture() as capture:
        console.print(table_of(report))
    assert "2,000" in capture.get() and "1.000" in capture.get()


def test_a_view_with_lists_finds_nearly_all(tmp_path: Path) -> None:
    settings = SearchSettings(snapshot_folder=tmp_path, exact_rows=1000, probes=16)
    asked = unit(20, 32, 1)
    built = build(settings, "pair-1", centres(TextVideoSettings(), asked, None), VIDEOS, asked)
    assert built.lists > 0 and built.build_seconds > 0
    restored = snapshots(settings, "pair-1", 32).load_latest()
    assert restored is not None
    assert restored.view.state.index.listed < len(restored.view) == VIDEOS  # some still wait
    assert recall(restored.view.search(asked, K), built.exact) > 0.9


def test_moments_are_found_as_the_exact_search_finds_them(tmp_path: Path) -> None:
    settings = SearchSettings(snapshot_folder=tmp_path, exact_rows=100_000)
    asked = unit(20, 32, 1)
    alike = centres(TextVideoSettings(), asked, None)
    built = build(settings, "pair-1", alike, VIDEOS, asked, moments=3)
    restored = snapshots(settings, "pair-1", 32).load_latest()
    assert restored is not None and len(restored.view) == VIDEOS
    assert len(restored.view.state.rows) == 4 * VIDEOS
    hits = restored.view.search(asked, K)
    assert recall(hits, built.exact) > 0.97
    assert any(hit.seconds is not None for found in hits for hit in found)


def test_a_view_that_is_made_in_bulk_equals_one_that_read_every_message() -> None:
    settings, vectors = SearchSettings(), unit(300, 16, 2)
    read = SearchView(settings, "pair-1", 16)
    for number, vector in enumerate(vectors):
        event = VideoEmbedded(
            video_id=video_id(number), model_version="pair-1", dimension=16,
            vector=vector.tolist(), duration_seconds=60.0,
        )  # fmt: skip
        read.add(event, place_of(number))
    bulk = made_table(300).arrays()
    for name, array in read.state.table.arrays().items():
        np.testing.assert_array_equal(array, bulk[name], name)
    rows = VectorRows.of(*stored(vectors), np.full(300, np.nan, np.float32))
    np.testing.assert_allclose(rows.span(0, 300), read.state.rows.span(0, 300)[:, :-1], atol=1e-6)


def test_bulk_codes_are_those_of_appending() -> None:
    vectors, one_by_one = unit(500, 24, 3), VectorRows(24)
    for vector in vectors:
        one_by_one.append(vector)
    [(codes, scales, _)] = one_by_one.parts()
    np.testing.assert_array_equal(stored(vectors)[0], codes)
    np.testing.assert_array_equal(stored(vectors)[1], scales)


def test_no_question_comes_twice_and_languages_take_turns() -> None:
    asked = questions(1000, None)
    assert len({question.text for question in asked}) == 1000
    assert [question.language for question in asked[:4]] == [*LANGUAGES, *LANGUAGES]
    assert all(question.text.isascii() == (question.language == "en") for question in asked)
    with pytest.raises(ValueError, match="at most 1000"):
        questions(1001, None)


def test_captions_are_asked_where_there_are_some(tmp_path: Path) -> None:
    file = tmp_path / "captions" / "flickr8k-val.jsonl"
    file.parent.mkdir()
    file.write_text(
        '{"image": "a", "en": ["one", "two"], "zh": ["一", "二"]}\n'
        '{"image": "b", "en": ["three", "one"], "zh": ["三"]}\n'
    )
    assert [each.text for each in questions(6, tmp_path)] == [
        "one",
        "一",
        "three",
        "三",
        "two",
        "二",
    ]


def test_recall_and_latency_are_what_they_say() -> None:
    hits = [Hit(video_id(number), 1.0, 1.0, Place(0, 0)) for number in (1, 2, 3)]
    assert recall([hits], np.array([[1, 3, 5, 7]])) == 0.5
    assert number_of(video_id(12)) == 12
    assert latency([0.001] * 99 + [0.1]) == {"p50": 1.0, "p99": pytest.approx(1.99)}
