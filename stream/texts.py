"""Texts that are said in English, and remember how they were put together.

So whoever shows them, as the console does, can say them in another language.
"""

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


def text_of(error: BaseException) -> str:
    """What an error says: a `Text` where it was raised with one."""
    return next((each for each in error.args if isinstance(each, Text)), str(error))
