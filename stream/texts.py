"""Texts that are said in English, and remember how they were put together.

So whoever shows them, as the console does, can say them in another language.
"""

import re
from collections.abc import Iterable
from typing import Self


class Text(str):
    """An English text with its `{names}` filled in.

    Attributes:
        english: the text before that.
        values: by name; one that is a `Text` too can be said in another language with it.
    """

    english: str
    values: dict[str, object]

    def __new__(cls, english: str, **values: object) -> Self:
        """Fill in."""
        made = super().__new__(cls, english.format(**values) if values else english)
        made.english, made.values = english, values
        return made


def percent(sure: float) -> int:
    """How sure something is, in [0, 1], in percent: 100 only of what is certain."""
    return 100 if sure >= 1 else min(round(100 * sure), 99)


def read_text(said: str, known: Iterable[str]) -> str:
    """The `Text` that something was said by, of which only the words were kept.

    Args:
        said: the words.
        known: English texts with `{names}`, each of them once.

    Returns:
        The same words, without a way to translate them where they are of none of these.
    """
    for english in known:
        parts = re.split(r"\{(\w+)\}", english)
        pattern = "".join(
            f"(?P<{part}>.+?)" if place % 2 else re.escape(part) for place, part in enumerate(parts)
        )
        if (found := re.fullmatch(pattern, said, re.DOTALL)) is not None:
            return Text(english, **found.groupdict())
    return said


def text_of(error: BaseException) -> str:
    """What an error says: a `Text` where it was raised with one."""
    return next((each for each in error.args if isinstance(each, Text)), str(error))
