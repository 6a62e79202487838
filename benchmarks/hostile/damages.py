"""Ways to damage a video's bytes; serves `benchmarks.mutated_videos`."""

import struct
from collections.abc import Callable
from random import Random

# In place of a size or a count: ends of signed and unsigned numbers, where sums overflow.
LIES = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFF)

Mutation = Callable[[bytearray, Random, list[bytes]], bytearray]


def _flipped(data: bytearray, random: Random, others: list[bytes]) -> bytearray:
    end = random.choice((64, 1024, len(data)))
    for _ in range(random.choice((1, 4, 32, 256))):
        data[random.randrange(min(end, len(data)))] ^= 1 << random.randrange(8)
    return data


def _overwritten(data: bytearray, random: Random, others: list[bytes]) -> bytearray:
    start = random.randrange(len(data))
    length = min(random.choice((4, 64, 1024, 16384)), len(data) - start)
    fill = random.choice((bytes(length), b"\xff" * length, random.randbytes(length)))
    data[start : start + length] = fill
    return data


def _lying(data: bytearray, random: Random, others: list[bytes]) -> bytearray:
    end = random.choice((64, 1024, len(data)))
    for _ in range(random.choice((1, 2, 8))):
        at = random.randrange(max(1, min(end, len(data)) - 4))
        number = random.choice((*LIES, random.getrandbits(32)))
        data[at : at + 4] = struct.pack(random.choice(("<I", ">I")), number)
    return data


def _box_lying(data: bytearray, random: Random, others: list[bytes]) -> bytearray:
    """A number in a box of MP4, where times, sizes and counts lie."""
    names = (
        b"tkhd",
        b"mvhd",
        b"mdhd",
        b"stts",
        b"stsz",
        b"stco",
        b"stsc",
        b"ctts",
        b"elst",
        b"trun",
    )
    found = [name for name in names if name in data]
    if not found:
        return _lying(data, random, others)
    at = data.index(random.choice(found)) + 4 + 4 * random.randrange(8)
    data[at : at + 4] = struct.pack(">I", random.choice((*LIES, random.getrandbits(32))))
    return data


def _cut_short(data: bytearray, random: Random, others: list[bytes]) -> bytearray:
    at = random.randrange(len(data))
    return data[:at] if random.random() < 0.7 else data[at:]


def _without_range(data: bytearray, random: Random, others: list[bytes]) -> bytearray:
    start = random.randrange(len(data))
    del data[start : start + random.choice((1, 16, 512, 8192))]
    return data


def _doubled(data: bytearray, random: Random, others: list[bytes]) -> bytearray:
    start = random.randrange(len(data))
    part = data[start : start + random.choice((16, 512, 8192))]
    data[start:start] = part * random.choice((1, 3, 50))
    return data


def _spliced(data: bytearray, random: Random, others: list[bytes]) -> bytearray:
    other, at = random.choice(others), random.randrange(len(data))
    start = random.randrange(len(other))
    return data[:at] + other[start : start + random.choice((64, 2048, len(other)))] + data[at:]


def _badly_named(data: bytearray, random: Random, others: list[bytes]) -> bytearray:
    """Text in a header that is no text in any encoding."""
    for word in (b"isom", b"Lavf", b"Lavc", b"VideoHandler", b"und", b"matroska", b"ENCODER"):
        at = data.find(word)
        if at >= 0:
            data[at : at + len(word)] = random.randbytes(len(word))
    return data


MUTATIONS: list[Mutation] = [
    _flipped,
    _overwritten,
    _lying,
    _box_lying,
    _cut_short,
    _without_range,
    _doubled,
    _spliced,
    _badly_named,
]
