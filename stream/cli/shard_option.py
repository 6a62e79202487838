"""The option `--shard i/S`, which names a shard and how many there are."""

from stream.errors import SettingsError
from stream.settings import Settings


def with_shard(settings: Settings, text: str) -> tuple[Settings, list[int]]:
    """Settings and shard number of `i/S`.

    Raises:
        SettingsError: not `i/S` with 0 ≤ i < S.
    """
    number, _, total = text.partition("/")
    shards = total or str(settings.library.shards)
    # `int` alone would also take `-1`, ` 1` and `1_0`.
    if not (number.isdecimal() and shards.isdecimal() and int(number) < int(shards)):
        raise SettingsError(f"--shard {text}: expected i/S with 0 ≤ i < S, such as 0/2")
    library = settings.library.model_copy(update={"shards": int(shards)})
    return settings.model_copy(update={"library": library}), [int(number)]


def new_shard(text: str, shards: int) -> int:
    """The number of `i/S`, one of so many shards that there shall be.

    Raises:
        SettingsError: not `i/S` with 0 ≤ i < S, or another S.
    """
    number, _, total = text.partition("/")
    if not (number.isdecimal() and total == str(shards) and int(number) < shards):
        raise SettingsError(
            f"--shard {text}: expected i/S with 0 ≤ i < S = {shards}, such as 0/{shards}"
        )
    return int(number)
