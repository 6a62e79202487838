"""What can't be unpacked is messages that can't be read: a bomb, a header's name without UTF-8."""

import contextlib
import gc
import gzip
import tracemalloc
from typing import Any

import aiokafka.codec
import aiokafka.consumer.fetcher
import cramjam
import pytest
from aiokafka import TopicPartition
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from stream.agents.batches import (
    MAX_BYTES,
    SafePartitionRecords,
    install,
    unpack_gzip,
    unpack_lz4,
    unpack_snappy,
    unpack_zstd,
)
from stream.contract.events import parse_json
from stream.errors import BadEventError

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


@pytest.fixture(autouse=True)
def installed() -> None:
    install()


def batch(codec: str, *values: bytes, header: str = "name", base_offset: int = 0) -> bytes:
    """A batch of records as a broker sends it."""
    builder = DefaultRecordBatchBuilder(2, CODECS[codec], 0, -1, -1, 0, 100_000_000)
    for number, value in enumerate(values):
        headers = [(header if number == 1 else "name", b"x")]
        builder.append(number, 1000, b"k", value, headers)
    data = bytearray(builder.build())
    data[:8] = base_offset.to_bytes(8, "big")
    return bytes(data)


def read(data: bytes) -> list[Any]:
    records = SafePartitionRecords(
        TopicPartition("t", 0), MemoryRecords(data), None, 0, None, None, False, 0
    )
    return [*records]


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_is_unpacked_as_before(codec: str) -> None:
    found = read(batch(codec, b"one" * 1000, b"two", b"three"))
    assert [record.value for record in found] == [b"one" * 1000, b"two", b"three"]
    assert [record.offset for record in found] == [0, 1, 2]
    assert found[0].headers == (("name", b"x"),)


def test_records_behind_a_headers_name_that_is_no_text_are_bad_events() -> None:
    damaged = batch("none", b"one", b"two", b"three", header="WXYZ").replace(b"WXYZ", b"\xff\xfe()")
    found = read(damaged + batch("none", b"next", base_offset=3))
    assert [record.offset for record in found] == [0, 1, 2, 3]
    assert (found[0].value, found[3].value) == (b"one", b"next")
    for unread in found[1:3]:
        assert (unread.key, unread.value[:20]) == (None, b"can't be unpacked: U")
        with pytest.raises(BadEventError):
            parse_json(unread.value)


BOMBS = {
    "gzip": (unpack_gzip, lambda data: gzip.compress(data, 1)),
    "zstd": (unpack_zstd, lambda data: bytes(cramjam.zstd.compress(data))),
    "lz4": (unpack_lz4, aiokafka.codec.lz4_encode),
    "snappy": (unpack_snappy, lambda data: bytes(cramjam.snappy.compress_raw(data))),
}


@pytest.mark.parametrize("codec", BOMBS)
def test_a_bomb_is_refused_at_the_limit_and_what_is_below_is_not(codec: str) -> None:
    unpack, pack = BOMBS[codec]
    assert len(unpack(pack(bytes(40_000_000)))) == 40_000_000
    bomb = pack(bytes(MAX_BYTES + 1))
    assert len(bomb) < 7_000_000
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=f"more than {MAX_BYTES} bytes of {codec}"):
            unpack(bomb)
        assert tracemalloc.get_traced_memory()[1] < 2.1 * MAX_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("codec", BOMBS)
def test_what_was_unpacked_or_not_is_held_by_no_error(codec: str) -> None:
    """In a cycle, a large batch would stay until Python looks for garbage."""
    unpack, pack = BOMBS[codec]
    large = pack(bytes(2_000_000))
    gc.collect()
    gc.disable()
    try:
        assert len(unpack(large)) == 2_000_000
        with contextlib.suppress(ValueError):
            unpack(b"no batch of any codec")
        errors = (cramjam.DecompressionError, ValueError)
        assert not [one for one in gc.get_objects() if isinstance(one, errors)]
    finally:
        gc.enable()


def test_a_bomb_in_a_batch_is_one_bad_event_and_the_next_batch_is_read() -> None:
    bomb = bytearray(batch("zstd", b"x" * 2000))
    packed = bytes(cramjam.zstd.compress(bytes(2 * MAX_BYTES)))
    bomb = bomb[:61] + packed
    bomb[8:12] = (len(bomb) - 12).to_bytes(4, "big")
    found = read(bytes(bomb) + batch("zstd", b"next", base_offset=1))
    assert [record.offset for record in found] == [0, 1]
    assert found[0].value.startswith(b"can't be unpacked: ")
    assert found[1].value == b"next"


def in_blocks(*blocks: bytes) -> bytes:
    sized = [len(block).to_bytes(4, "big") + block for block in blocks]
    return bytes(aiokafka.codec.snappy_encode(b"")[:16]) + b"".join(sized)


def test_blocks_of_snappy_are_put_together_up_to_the_limit() -> None:
    text = bytes(range(256)) * 1000
    assert unpack_snappy(aiokafka.codec.snappy_encode(text)) == text
    block = bytes(cramjam.snappy.compress_raw(bytes(MAX_BYTES // 4)))
    assert len(unpack_snappy(in_blocks(*[block] * 4))) == MAX_BYTES
    with pytest.raises(ValueError, match="bytes of snappy"):
        unpack_snappy(in_blocks(*[block] * 4, bytes(cramjam.snappy.compress_raw(b"x"))))


@pytest.mark.parametrize("claimed", [b"\xff\xff\xff\xff\x0f", b"\xff" * 20, b"\x05", b""])
def test_what_claims_another_length_is_no_snappy(claimed: bytes) -> None:
    for data in (claimed, in_blocks(claimed), in_blocks(claimed)[:-1]):
        with pytest.raises(ValueError, match="snappy"):
            unpack_snappy(data)


@pytest.mark.parametrize(("codec", "number"), [("none", 0), ("gzip", 1), ("snappy", 2), ("lz4", 3)])
def test_batches_of_the_old_format_are_read(codec: str, number: int) -> None:
    builder = LegacyRecordBatchBuilder(1, number, 100_000)
    for offset, value in enumerate((b"one" * 100, b"two")):
        builder.append(offset, 1000, b"k", value)
    found = read(bytes(builder.build()))
    assert [(record.offset, record.value) for record in found] == [(0, b"one" * 100), (1, b"two")]
