"""Reads the recipes of all training runs: tables of TOML as the dataclasses that they fill.

A key or a value that doesn't belong there is an error that names the file and the key.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from models.errors import RecipeError

Recipe = TypeVar("Recipe")

STRICT = ConfigDict(strict=True, allow_inf_nan=False)


def read_recipe_file(path: Path, kind: type[Recipe]) -> Recipe:
    """Read a recipe; keys that it leaves out keep their defaults.

    Args:
        path: TOML, a table for each dataclass within.
        kind: a dataclass, its fields annotated.

    Raises:
        RecipeError: no such file, no TOML, or what `fill` raises.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"no recipe at {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is no TOML: {error}") from error
    return fill(kind, table, path)


def fill(kind: type[Recipe], table: Mapping[str, Any], file: Path, prefix: str = "") -> Recipe:
    """A dataclass of a table's values, checked by its annotations; lists become tuples.

    Args:
        kind: the dataclass.
        table: of TOML or of a checkpoint.
        file: where it is from, for messages.
        prefix: of its keys there, such as `network.`.

    Raises:
        RecipeError: an unknown key, a value of another type or out of bounds, or values that
            the dataclass refuses together.
    """
    hints = get_type_hints(kind, include_extras=True)
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    values = {}
    for name, value in table.items():
        if name not in known:
            raise RecipeError(
                f"{file}: unknown key {prefix}{name}, expected one of {', '.join(known)}"
            )
        values[name] = _value(hints[name], value, file, prefix + name)
    try:
        return kind(**values)
    except ValueError as error:
        place = f" [{prefix[:-1]}]" if prefix else ""
        raise RecipeError(f"{file}:{place} {error}") from error


def _value(hint: Any, value: Any, file: Path, key: str) -> Any:
    """A table as a dataclass, anything else as its annotation wants it."""
    if is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise RecipeError(f"{file}: {key} = {value!r}, expected a table")
        return fill(hint, value, file, f"{key}.")
    try:
        # By way of JSON, whose lists are tuples even where all else is strict.
        checked = TypeAdapter(hint, config=STRICT).validate_json(json.dumps(value, default=str))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join([key, *map(str, first["loc"])])
        said = first["msg"].replace("Input should be", "expected").replace("an object", "a table")
        raise RecipeError(f"{file}: {place} = {first['input']!r}, {said}") from error
    return checked
