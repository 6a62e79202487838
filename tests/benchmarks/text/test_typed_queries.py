"""The queries that people would type: who answers them, and what is counted."""

import numpy as np
import pytest

from benchmarks.text import typed_queries
from benchmarks.text.caption_ceiling import ranks
from benchmarks.text.typed_queries import Query, figures_of, make_queries, misspelled
from models.text_video.captions import Photo


def photo(number: int, *english: str) -> Photo:
    return Photo(f"p{number}", {"en": list(english)}, number + 1)


PHOTOS = [
    photo(0, "A black dog runs on the beach .", "A black and wet dog", "A man with a dog"),
    photo(1, "Two dogs on the beach", "two brown dogs", "Dogs by the water"),
    photo(2, "A man on the beach", "The man swims", "A red car"),
    photo(3, "A dog", "A cat", "A cow"),
]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> dict[str, Query]:
    monkeypatch.setattr(typed_queries, "MIN_RIGHT", 1)
    return {query.text: query for query in make_queries(PHOTOS)}


def test_two_captions_must_say_all_of_it(made: dict[str, Query]) -> None:
    assert made["dog"].right.tolist() == [True, True, False, False]
    assert made["狗"].right.tolist() == made["dog"].right.tolist()
    assert made["black dog"].right.tolist() == [True, False, False, False]
    assert made["two dogs"].right.tolist() == [False, True, False, False]
    assert "cat" not in made  # one caption of the photo's three


def test_without_people_is_where_no_caption_has_any(made: dict[str, Query]) -> None:
    assert made["dog without people"].right.tolist() == [False, True, False, False]


def test_an_error_exchanges_two_letters_that_differ() -> None:
    assert misspelled("guitar") == "gutiar"
    assert misspelled("soccer") == "scocer"


def test_of_ten_hits_as_many_as_there_are_can_be_right() -> None:
    right = np.zeros(20, np.bool_)
    right[[0, 1]] = True
    hit, missed = np.zeros(20, np.float32), np.zeros(20, np.float32)
    hit[[0, 1]] = 1
    missed[2:] = 1
    found = figures_of([Query("k", "a", right), Query("k", "b", right)], np.stack([hit, missed]))
    [row] = found
    assert (row.kind, row.queries, row.first_right, row.precision) == ("k", 2, 50, 50)
    assert row.chance == 50  # ten of twenty hits, of two right ones


def test_a_caption_is_not_its_own_answer() -> None:
    rows = np.eye(4, dtype=np.float32)
    rows[1] = rows[0]  # two captions of photo 0 say the same, those of photo 1 don't
    owners = np.array([0, 0, 1, 1])
    assert ranks(rows, rows, owners, same=True).tolist() == [0, 0, 0, 0]
    assert ranks(rows, rows, owners[::-1].copy(), same=True).tolist() == [0, 0, 0, 0]
    apart = np.array([0, 1, 0, 1])
    assert ranks(rows, rows, apart, same=True).tolist() == [1, 1, 0, 0]
