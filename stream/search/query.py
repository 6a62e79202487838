"""A question in words to a vector, with what should be said about it. Serves search."""

import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from models.text_video.serve import TextEncoder
from stream.errors import QueryError
from stream.search.rows import Floats
from stream.texts import Text

FEW_KNOWN = 0.5  # of a query's words: below, its vector says more of what the model guesses
# How much of what shall not be there is taken off what shall. On 1,000 photos that the shipped
# pair learned from, 47 % of the first ten hits are right at 0, 81 % at 0.5, 88 % here and 92 % at
# 1, where both count the same: what is wanted should count more.
UNWANTED = 0.8
WITHOUT = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?P<wanted>.+?)[\s,]+(?:without|with no|but no)\s+(?:any\s+)?(?P<unwanted>.+)",
        r"没有(?P<unwanted>.+?)的(?P<wanted>.+)",
        r"(?P<wanted>.+?)[\s,，]*(?<!有)(?:没有|不要)(?P<unwanted>[^的]+)",  # noqa: RUF001
    )
)


class Parts(NamedTuple):
    """What a question asks for, and what shall not be there; empty if nothing is said of that."""

    wanted: str
    unwanted: str


@dataclass(frozen=True)
class TextQuery:
    """A question that can be searched for.

    Attributes:
        vector: (1, D) float32, a unit row.
        warnings: why the answers may not be what was asked for, as sentences.
    """

    vector: Floats
    warnings: tuple[str, ...]


def text_query(encoder: TextEncoder, text: str) -> TextQuery:
    """Embed a question; what it wants to be without is taken off.

    A text tower reads "without people" as a text about people: the vectors of both parts are
    found apart, and their difference asked with.

    Raises:
        QueryError: there is not one word in it, or it is no Unicode.
    """
    try:
        text.encode()
        tokens, known = encoder.tokens(text), encoder.known_share(text)
        vector = _vector(encoder, text)
    # A `ValueError` too, so it is asked for first.
    except UnicodeEncodeError as error:
        raise QueryError(Text("the query is no UTF-8: check the terminal's encoding")) from error
    except ValueError as error:
        raise QueryError(
            Text(
                "the query is empty: write what the video shows, such as "
                "`two dogs running on grass`"
            )
        ) from error
    warnings, model = list[str](), encoder.model_version
    if tokens > encoder.max_tokens:
        warnings.append(
            Text(
                "the query has {tokens} tokens; {model} reads the first {most}",
                tokens=tokens,
                model=model,
                most=encoder.max_tokens,
            )
        )
    if known == 0:
        warnings.append(
            Text(
                "{model} knows none of the query's words: misspelt ones may be guessed; in a "
                "language that it never saw, the results mean nothing",
                model=model,
            )
        )
    elif known < FEW_KNOWN:
        warnings.append(
            Text(
                "{model} knows only {share} of the query's words: the results may mean little",
                model=model,
                share=f"{known:.0%}",
            )
        )
    return TextQuery(vector, tuple(warnings))


def parts_of(text: str) -> Parts:
    """Tell what is wanted from what isn't: `beach without people`, `没有人的海滩`."""
    for pattern in WITHOUT:
        if (found := pattern.fullmatch(text.strip())) is not None:
            return Parts(found["wanted"], found["unwanted"])
    return Parts(text, "")


def _vector(encoder: TextEncoder, text: str) -> Floats:
    wanted, unwanted = parts_of(text)
    if not unwanted:
        return encoder.embed([text])
    try:
        both = encoder.embed([wanted, unwanted])
    except ValueError:  # one part is no text, such as `, without !`
        return encoder.embed([text])
    apart = both[:1] - UNWANTED * both[1:]
    unit: Floats = (apart / np.linalg.norm(apart, axis=1, keepdims=True)).astype(np.float32)
    return unit
