"""A query in words: what is doubtful about it is said, what is no text is refused."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stream.errors import QueryError
from stream.search.query import parts_of, text_query
from tests.stream.search_views import DIMENSION, OWN, vector_of


class Words:
    """A text encoder that knows a few words."""

    model_version, dimension, max_tokens = OWN, DIMENSION, 8

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


@pytest.mark.parametrize(
    ("text", "wanted", "unwanted"),
    [
        ("beach without people", "beach", "people"),
        ("A street, without any cars", "A street", "cars"),
        ("a dog with no leash", "a dog", "leash"),
        ("没有人的海滩", "海滩", "人"),
        ("海滩，没有人", "海滩", "人"),  # noqa: RUF001
        ("雪山 不要滑雪者", "雪山", "滑雪者"),
        ("two dogs running", "two dogs running", ""),
        ("withoutabox", "withoutabox", ""),
        ("without people", "without people", ""),
        ("没有人", "没有人", ""),
        ("有没有狗", "有没有狗", ""),  # asks whether there is one
    ],
)
def test_what_is_wanted_is_told_from_what_is_not(text: str, wanted: str, unwanted: str) -> None:
    assert parts_of(text) == (wanted, unwanted)


class Directions(Words):
    """Wanted, unwanted and everything else point in directions of their own."""

    def embed(self, texts: Any) -> NDArray[np.float32]:
        """By the words."""
        for text in texts:
            self.tokens(text)
        places = {"beach": 0, "people": 1}
        return np.eye(DIMENSION, dtype=np.float32)[[places.get(text, 2) for text in texts]]


def test_what_is_unwanted_is_taken_off() -> None:
    vector = text_query(Directions(), "beach without people").vector[0]
    assert vector @ vector == pytest.approx(1)
    assert vector[0] > 0.7 and vector[1] < -0.5
    assert text_query(Directions(), "people on a beach").vector[0, 2] == 1
    assert text_query(Directions(), "\u3000没有people").vector[0, 2] == 1  # nothing is wanted
