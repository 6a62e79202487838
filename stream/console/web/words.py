"""The words of the pages in the languages that there are: English in the code, others beside it.

`text/LANGUAGE.po` holds a translation of each text, that of English what the codes of errors mean;
it is read as it is, so nothing is compiled.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from babel.messages.pofile import read_po

from stream.texts import Text

FOLDER = Path(__file__).parent / "text"
ENGLISH = "en"
NAMES = {"en": "English", "zh": "中文"}


@dataclass(frozen=True)
class Words:
    """The texts of one language.

    Attributes:
        language: its tag, `zh`.
    """

    language: str
    _texts: dict[str, str] = field(default_factory=dict)

    def __call__(self, english: str, **values: object) -> str:
        """A text in this language, with its `{names}` filled in; in English if there is none."""
        if isinstance(english, Text):
            return self(english.english, **english.values)
        text = self._texts.get(english) or english
        if not values:
            return text
        said = {
            name: self(each) if isinstance(each, Text) else each for name, each in values.items()
        }
        return text.format(**said)


@cache
def words_of(language: str) -> Words:
    """The words of a language; English ones for a language without a catalogue."""
    file = FOLDER / f"{language}.po"
    if language not in NAMES or not file.is_file():
        return Words(ENGLISH)
    with file.open("rb") as lines:
        catalogue = read_po(lines, locale=language)
    return Words(language, {str(each.id): str(each.string) for each in catalogue if each.id})


def chosen_language(cookie: str | None, accepted: str | None, offered: Sequence[str]) -> str:
    """The language that somebody chose, else the one that the browser likes best.

    Args:
        cookie: what was chosen on the page.
        accepted: the header `Accept-Language`.
        offered: by the settings, the first for everybody else.
    """
    if cookie in offered:
        return str(cookie)
    for _, _, tag in sorted(_weighed(accepted or "")):
        if (language := tag.partition("-")[0]) in offered:
            return language
    return offered[0]


def _weighed(accepted: str) -> list[tuple[float, int, str]]:
    """Tags of a header by falling weight, then in order."""
    found = []
    for place, part in enumerate(accepted.split(",")[:20]):
        tag, _, weight = part.strip().partition(";q=")
        try:
            found.append((-float(weight or 1), place, tag.strip().lower()))
        except ValueError:
            continue
    return found
