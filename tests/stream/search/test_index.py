"""Lists of codes: they find what an exhaustive search finds, while vectors come and go."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stream.search import index, rows, view
from stream.search.rows import VectorRows
from stream.search.settings import SearchSettings
from stream.search.table import Place
from stream.search.view import SearchView
from tests.stream.search_views import DIMENSION, OWN, event, found, new_view, snapshots, vector_of


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
