"""A query in words: what is doubtful about it is said, what is no text is refused."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stream.errors import QueryError
from stream.search.query import text_query
from tests.stream.search_views import DIMENSION, OWN, vector_of


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
