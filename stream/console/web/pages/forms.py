"""The fields of a form that the gate has read."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from stream.console.web.problems import Problem
from stream.texts import Text

MAX_LETTERS = 2000  # of a reason: a person writes a few lines


@dataclass(frozen=True)
class Fields:
    """What was filled in, by the name of the field."""

    _values: dict[str, list[str]]

    def all(self, name: str) -> list[str]:
        """All values of a field; none where it wasn't sent."""
        return self._values.get(name, [])

    def get(self, name: str) -> str | None:
        """The value of a field, without spaces around it; None where it is empty."""
        text = next(iter(self.all(name)), "").strip()
        if len(text) > MAX_LETTERS:
            raise Problem(
                422,
                Text(
                    "{name} has {number} characters, expected {most} at most",
                    name=name,
                    number=len(text),
                    most=MAX_LETTERS,
                ),
            )
        return text or None

    def number(self, name: str) -> float | None:
        """The number in a field; None where it is empty.

        Raises:
            Problem: it is none.
        """
        text = self.get(name)
        try:
            return None if text is None else float(text)
        except ValueError as error:
            raise Problem(
                422, Text("{name} = {text}: expected a number", name=name, text=repr(text))
            ) from error


async def _fields(request: Request) -> Fields:
    return Fields(request.state.fields)


Form = Annotated[Fields, Depends(_fields)]
