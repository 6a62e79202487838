"""Exclusions of a policy as people write them: `REFERENCE:START-END`, in seconds."""

from typing import Any

from stream.contract.events import Exclusion
from stream.errors import SettingsError
from stream.texts import Text


def exclusion_of(text: str) -> dict[str, Any]:
    """The fields of an exclusion that somebody wrote; a reference's id may have colons in it.

    Raises:
        SettingsError: it isn't written so.
    """
    reference_id, _, span = text.rpartition(":")
    start, _, end = span.partition("-")
    try:
        if not reference_id:
            raise ValueError
        return {
            "reference_id": reference_id,
            "start_seconds": float(start),
            "end_seconds": float(end),
        }
    except ValueError as error:
        raise SettingsError(
            Text("{text}: expected REFERENCE:START-END in seconds, such as film:0-90", text=text)
        ) from error


def written(exclusion: Exclusion) -> str:
    """The inverse of `exclusion_of`."""
    start, end = exclusion.start_seconds, exclusion.end_seconds
    # `g` alone keeps six digits, too few for fractions of a long video's seconds.
    return f"{exclusion.reference_id}:{start:.12g}-{end:.12g}"
