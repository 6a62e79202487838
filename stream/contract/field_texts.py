"""What is wrong with the fields of an event or a request, so that it can be said in any language.

Serves the events of the contract and the console; the words are pydantic's.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from stream.errors import MAX_LETTERS, brief
from stream.texts import Text, text_of

MOST_SAID = 20  # problems of an event that can be said in other languages; set by hand
FIELD_TEXTS: dict[str, tuple[Text, ...]] = {
    "missing": (Text("Field required"),),
    "extra_forbidden": (Text("Extra inputs are not permitted"),),
    "json_invalid": (Text("JSON decode error"),),
    "finite_number": (Text("Input should be a finite number"),),
    "bool_type": (Text("Input should be a valid boolean"),),
    "bool_parsing": (Text("Input should be a valid boolean, unable to interpret input"),),
    "dict_type": (Text("Input should be a valid dictionary"),),
    "model_attributes_type": (
        Text("Input should be a valid dictionary or object to extract fields from"),
    ),
    "int_type": (Text("Input should be a valid integer"),),
    "int_from_float": (
        Text("Input should be a valid integer, got a number with a fractional part"),
    ),
    "int_parsing": (Text("Input should be a valid integer, unable to parse string as an integer"),),
    "list_type": (Text("Input should be a valid list"),),
    "float_type": (Text("Input should be a valid number"),),
    "float_parsing": (Text("Input should be a valid number, unable to parse string as a number"),),
    "string_type": (Text("Input should be a valid string"),),
    "greater_than": (Text("Input should be greater than {gt}"),),
    "greater_than_equal": (Text("Input should be greater than or equal to {ge}"),),
    "less_than": (Text("Input should be less than {lt}"),),
    "less_than_equal": (Text("Input should be less than or equal to {le}"),),
    "literal_error": (Text("Input should be {expected}"),),
    "timezone_aware": (Text("Input should have timezone info"),),
    "too_short": (
        Text("List should have at least {min_length} item after validation, not {actual_length}"),
    ),
    "too_long": (
        Text("List should have at most {max_length} items after validation, not {actual_length}"),
    ),
    "string_too_short": (
        Text("String should have at least {min_length} character"),
        Text("String should have at least {min_length} characters"),
    ),
    "string_too_long": (Text("String should have at most {max_length} characters"),),
    "value_error": (Text("Value error, {error}"),),
}
"""What pydantic says most often, by its names for it."""


def field_problem(problem: Mapping[str, Any]) -> str:
    """What is wrong with a field, as pydantic says it; a `Text` where it is one of `FIELD_TEXTS`.

    Args:
        problem: of `ValidationError.errors`, with its context.
    """
    said: str = problem["msg"]
    for each in FIELD_TEXTS.get(problem["type"], ()):
        values = {name: _shown(value) for name, value in problem.get("ctx", {}).items()}
        with suppress(KeyError):  # a validator of ours may use the same name
            if (told := Text(each.english, **values)) == said:
                return told
    return said


def _shown(value: object) -> object:
    """A value as pydantic writes it into its texts."""
    if isinstance(value, Exception):
        return text_of(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def problems_of(event: str, problems: Sequence[Mapping[str, Any]]) -> str:
    """What is wrong with an event, field by field; cut where it is long.

    Args:
        event: its name.
        problems: as `ValidationError.errors` gives them, with their contexts.
    """
    fields = [".".join(map(str, each["loc"])) or "event" for each in problems]
    whole = "; ".join(
        f"{field}: {each['msg']}" for field, each in zip(fields, problems, strict=True)
    )
    whole = f"{event}: {whole}"
    if len(problems) > MOST_SAID or len(whole) > MAX_LETTERS:
        return brief(whole)
    told: Text | None = None
    for field, each in zip(fields, problems, strict=True):
        one = Text("{field}: {problem}", field=field, problem=field_problem(each))
        told = one if told is None else Text("{first}; {next}", first=told, next=one)
    return Text("{event}: {problem}", event=event, problem=told)
