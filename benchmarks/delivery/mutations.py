"""Seeded damage to well-formed events: bytes, types, depth, size, keys and headers.

Serves `mutated_events`.
"""

import json
import random
from collections.abc import Callable
from typing import Any, NamedTuple

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
# Of one text, or of a whole value: within the 32 MiB that the largest topics take. Set by hand.
LARGE_BYTES = 12_000_000
# In place of a field's value: other types, the ends of integers and floats, text that is odd to
# Python, Kafka or JSON.
ODD_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 2**63, 2**64 - 1, -(2**63), 1e308, 0.5, "", "\u0000", "٣", "\U0001f600",
    "x" * 600, [], {}, [[]], [{}], {"": None}, [None] * 50, "2026-01-01T00:00:00", "-3", [1, 2, 3],
)  # fmt: skip
# Bytes that are no JSON, though some parsers take them, and numbers too long to be read.
ODD_TEXTS = (
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9" * 30, b"9" * 5000, b"01", b"+1", b".5",
    b'"\\ud83d"', b'"\xff\xfe"', b"'x'", b"undefined", b"\xef\xbb\xbf1",
)  # fmt: skip
# Of the header that counts attempts: what `int()` takes and a careful reader doesn't.
ODD_ATTEMPTS: tuple[bytes | None, ...] = (
    None, b"", b"9" * 25, b"9" * 5000, b"-3", b"1.5", "٣".encode(), b"\xff", b"7", b"000002",
)  # fmt: skip
REPEATED = (b"a", b"[", b"\xff", b'"', b" ", b"\x00", b"1")
# No key, none worth the name, no UTF-8, a long one.
ODD_KEYS: tuple[bytes | None, ...] = (None, b"", b"\xff\xfe\xc3\x28", b"k" * 5000, b"\x00")


class Mutated(NamedTuple):
    """A message to write.

    Attributes:
        kinds: what was done to it.
    """

    value: bytes | None
    key: bytes | None
    headers: list[tuple[str, bytes | None]]
    codec: str
    kinds: tuple[str, ...]


class Mutations:
    """An endless source of damaged messages; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        """Begin."""
        self._random = random.Random(seed)

    def mutated(self, fields: dict[str, Any], key: bytes) -> Mutated:
        """A well-formed event with one to three kinds of damage.

        Args:
            fields: of the event.
            key: that it should have.
        """
        choose, kinds = self._random, []
        if choose.random() < 0.5:
            for _ in range(choose.randint(1, 3)):
                change = choose.choice(FIELD_CHANGES)
                fields = change(choose, fields)
                kinds.append(change.__name__.strip("_"))
        value: bytes | None = json.dumps(fields).encode()
        if not kinds or choose.random() < 0.2:
            damage = choose.choice(BYTE_CHANGES)
            value = damage(choose, value or b"")
            kinds.append(damage.__name__.strip("_"))
        said_key: bytes | None = key
        if choose.random() < 0.05:
            said_key = choose.choice(ODD_KEYS)
            kinds.append("key")
        if choose.random() < 0.02:
            value = choose.choice((None, b""))
            kinds.append("no value")
        headers: list[tuple[str, bytes | None]] = []
        if choose.random() < 0.1:
            headers.append(("samesource-attempts", choose.choice(ODD_ATTEMPTS)))
            headers += [("trash", choose.choice(ODD_ATTEMPTS))] * choose.randint(0, 20)
            kinds.append("headers")
        codec = choose.choice(CODECS)
        if len(value or b"") > 500_000:
            codec = choose.choice(("gzip", "zstd"))
        return Mutated(value, said_key, headers, codec, tuple(kinds))

    def large(self, fields: dict[str, Any], key: bytes) -> Mutated:
        """An event of the largest kind: a long field, or one character again and again."""
        choose = self._random
        if choose.random() < 0.3:
            value = choose.choice(REPEATED) * LARGE_BYTES
        else:
            field = choose.choice([*fields, "more"])
            value = json.dumps({**fields, field: choose.choice("ab") * LARGE_BYTES}).encode()
        return Mutated(value, key, [], choose.choice(("gzip", "zstd")), ("large",))


def _paths(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(node, dict):
        for name, child in node.items():
            found += _paths(child, (*path, name))
    elif isinstance(node, list):
        for number, child in enumerate(node[:5]):
            found += _paths(child, (*path, number))
    return found


def _with(fields: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(fields))
    node: Any = copy
    for name in path[:-1]:
        node = node[name]
    node[path[-1]] = value
    return copy


def _another_type(choose: random.Random, fields: dict[str, Any]) -> dict[str, Any]:
    return _with(fields, choose.choice(_paths(fields)), choose.choice(ODD_VALUES))


def _absent(choose: random.Random, fields: dict[str, Any]) -> dict[str, Any]:
    gone = choose.choice([*fields])
    return {name: value for name, value in fields.items() if name != gone} or {"": 0}


def _unknown(choose: random.Random, fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "unknown " * choose.randint(1, 50): choose.choice(ODD_VALUES)}


def _version(choose: random.Random, fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "schema_version": choose.choice((0, 2, -1, True, "1", 1.0, None, 2**70))}


def _exchanged(choose: random.Random, fields: dict[str, Any]) -> dict[str, Any]:
    one, other = choose.choice([*fields]), choose.choice([*fields])
    return {**fields, one: fields[other], other: fields[one]}


def _deep(choose: random.Random, fields: dict[str, Any]) -> dict[str, Any]:
    node: Any = choose.choice(ODD_VALUES)
    for _ in range(choose.choice((10, 250, 254, 256, 400))):
        node = [node] if choose.random() < 0.5 else {"x": node}
    return {**fields, choose.choice([*fields, "more"]): node}


def _long(choose: random.Random, fields: dict[str, Any]) -> dict[str, Any]:
    length = choose.choice((512, 513, 9000, 100_000))
    return {**fields, choose.choice([*fields, "more"]): choose.choice("ab") * length}


def _many(choose: random.Random, fields: dict[str, Any]) -> dict[str, Any]:
    name, count = choose.choice([*fields]), choose.choice((10, 1000, 50_000))
    return {**fields, name: [choose.choice(ODD_VALUES)] * (count if count < 50_000 else 20_000)}


FIELD_CHANGES: tuple[Callable[[random.Random, dict[str, Any]], dict[str, Any]], ...] = (
    _another_type, _another_type, _absent, _unknown, _version, _exchanged, _deep, _long, _many,
)  # fmt: skip


def _flipped(choose: random.Random, value: bytes) -> bytes:
    data = bytearray(value)
    for _ in range(choose.choice((1, 1, 3, 30))):
        data[choose.randrange(len(data))] ^= 1 << choose.randrange(8)
    return bytes(data)


def _cut(choose: random.Random, value: bytes) -> bytes:
    return value[: choose.randrange(len(value))]


def _without(choose: random.Random, value: bytes) -> bytes:
    start = choose.randrange(len(value))
    return value[:start] + value[start + choose.choice((1, 5, 50)) :]


def _twice(choose: random.Random, value: bytes) -> bytes:
    start = choose.randrange(len(value))
    end = min(len(value), start + choose.choice((1, 10, 100, 1000)))
    return value[:end] + value[start:end] * choose.choice((1, 1, 100)) + value[end:]


def _odd_text(choose: random.Random, value: bytes) -> bytes:
    return value[:-1] + b',"odd":' + choose.choice(ODD_TEXTS) + b"}"


def _same_names(choose: random.Random, value: bytes) -> bytes:
    return value[:-1] + b"," + value[1:-1] * choose.choice((1, 3)) + b"}"


def _nested(choose: random.Random, value: bytes) -> bytes:
    depth = choose.choice((253, 255, 1000, 1023, 1024, 100_000))
    return value[:-1] + b',"more":' + b"[" * depth + b"]" * depth + b"}"


def _noise(choose: random.Random, value: bytes) -> bytes:
    return choose.randbytes(choose.choice((1, 100, 10_000)))


def _repeated(choose: random.Random, value: bytes) -> bytes:
    return choose.choice(REPEATED) * 100_000


def _wrapped(choose: random.Random, value: bytes) -> bytes:
    return choose.choice(
        (b"\x00\x00\x00\x00\x07" + value, b"\xef\xbb\xbf" + value, b"[" + value + b"]", b'"x"',
         value.decode().encode("utf-16"), value + value, b"\n" + value + b"\n", b"null", b"0")
    )  # fmt: skip


BYTE_CHANGES: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    _flipped, _flipped, _cut, _without, _twice, _odd_text, _same_names, _nested, _noise, _repeated,
    _wrapped,
)  # fmt: skip
