"""Where a page ended, as text that a client gives back. Serves `queries.py` and `desk.py`."""

import base64
import binascii
import hashlib
from typing import Any

import orjson

from stream.errors import QueryError
from stream.texts import Text

LONGEST = 4096  # characters: ids of 512 fit, and nobody makes us parse more


def written(of: str, *values: Any) -> str:
    """A cursor of a list.

    Args:
        of: the list, with everything that makes another one of it: order and filter.
        *values: JSON.
    """
    data = orjson.dumps([_digest(of), *values])
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def read(cursor: str, of: str, *kinds: type) -> list[Any]:
    """The inverse of `written`.

    Args:
        cursor: as a client gave it.
        of: as it was written.
        *kinds: of the values.

    Raises:
        QueryError: it isn't a cursor of this list.
    """
    try:
        if len(cursor) > LONGEST:
            raise ValueError
        data = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        digest, *found = orjson.loads(data)
        values: list[Any] = found
    except (ValueError, TypeError, binascii.Error):
        digest, values = None, list[Any]()
    fits = len(values) == len(kinds) and all(
        type(value) is kind for value, kind in zip(values, kinds, strict=True)
    )
    # Larger ones no database takes, and whoever made them up would get a 500.
    numbers = (value for value in values if type(value) is int)
    if digest != _digest(of) or not fits or any(abs(number) >= 2**63 for number in numbers):
        raise QueryError(
            Text(
                "cursor {cursor} isn't of this list: give back `next` of the page before, with the "
                "same order and filter",
                cursor=repr(cursor[:40]),
            )
        )
    return values


def _digest(of: str) -> str:
    # Against mistakes, not forgers: a made-up place shows nothing that the filter leaves out.
    return hashlib.blake2b(of.encode(), digest_size=6).hexdigest()
