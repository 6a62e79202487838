"""Lists and codes: several find what one finds, and codes what lists find."""

import numpy as np
import pytest

from stream.index.inverted import Codebook, list_count
from stream.index.protocol import nearest_of


def test_the_best_of_several_searches_is_that_of_all() -> None:
    random = np.random.default_rng(0)
    rows = random.standard_normal((3000, 32)).astype(np.float32)
    codebook = Codebook.train(rows, len(rows))
    whole, parts = codebook.new_lists(), [codebook.new_lists() for _ in range(3)]
    serials = np.arange(3000)
    whole.add(rows, serials)
    for number, part in enumerate(parts):
        part.add(rows[number::3], serials[number::3])
    queries = rows[:20]
    expected = whole.search(queries, 15, 64, below=None)
    found = nearest_of([part.search(queries, 15, 64, below=None) for part in parts], 15)
    merged = codebook.new_lists()
    assert merged.merge(parts)
    again = merged.search(queries, 15, 64, below=None)
    for one in (found, again):  # the last places may be shared by equal estimates
        for ours, theirs in zip(one.serials.tolist(), expected.serials.tolist(), strict=True):
            assert len(set(ours) & set(theirs)) >= 14
    assert (len(merged), len(parts[0])) == (3000, 1000)
    earlier = whole.search(queries, 15, 64, below=1000)
    assert earlier.serials.max() < 1000
    assert list_count(3000) == 64


@pytest.mark.parametrize("below", [None, 0, 3, 700, 1197, 5000])
def test_codes_find_what_lists_find_when_all_are_looked_into(below: int | None) -> None:
    rows = np.random.default_rng(5).standard_normal((400, 32), np.float32)
    codebook = Codebook.train(rows, 400)
    lists, codes = codebook.new_lists(), codebook.new_codes()
    for start in (0, 7, 250):
        part = slice(start, {0: 7, 7: 250, 250: 400}[start])
        lists.add(rows[part], 3 * np.arange(400)[part])
        codes.add(rows[part], 3 * np.arange(400)[part])
    assert len(codes) == len(lists) == 400
    asked = np.random.default_rng(6).standard_normal((9, 32), np.float32)
    near = codes.search(asked, 50, 0, below=below)
    wanted = lists.search(asked, 50, codebook.lists, below=below)
    for ours, theirs in zip(near.serials, wanted.serials, strict=True):
        nearest = theirs[theirs >= 0]  # ordered; the last places may be ties
        assert set(nearest[:40]) <= set(ours[ours >= 0])
        assert below is None or (ours < below).all()


@pytest.mark.parametrize("sizes", [(256, 100), (256, 512), (100, 156, 40), (0, 256, 0)])
def test_lists_of_any_length_are_copied_whole_or_not_at_all(sizes: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    codebook = Codebook.train(random.standard_normal((200, 32)).astype(np.float32), 100)
    look_alike = random.standard_normal(32).astype(np.float32)  # all in one list
    parts, first = [], 0
    for size in sizes:
        noise = 1e-3 * random.standard_normal((size, 32)).astype(np.float32)
        parts.append(codebook.new_lists())
        parts[-1].add(look_alike + noise, first + np.arange(size))
        first += size
    merged = codebook.new_lists()
    if merged.merge(parts):
        found = merged.search(look_alike[None], first, 1, below=None)
        assert sorted(found.serials[0].tolist()) == list(range(first))
    else:
        assert sizes == (256, 512) and len(merged) == 0
