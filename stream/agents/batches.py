"""aiokafka's reader made safe: a batch that can't be unpacked is messages that can't be read.

As it comes, aiokafka 0.14 ends its fetcher, or asks for the same batch for ever, where a header's
name is no UTF-8; and it unpacks whatever length a few bytes claim. A broker checks neither.
"""

import logging
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import aiokafka.consumer.fetcher
import aiokafka.record._crecords.default_records as unpacking
import aiokafka.record._crecords.legacy_records as unpacking_legacy
import cramjam

from stream.errors import brief

log = logging.getLogger(__name__)

MAX_BYTES = 128 * 2**20  # of a batch, unpacked; four messages of the largest kind
ROOMS = (2**20, 16 * 2**20, MAX_BYTES)
"""Bytes that unpacking is given, the next where the one before is too small: most batches fit the
first, and a batch that claims to be huge costs nothing until it is."""
XERIAL, XERIAL_BYTES = b"\x82SNAPPY\0", 16  # before blocks of snappy, as Java clients write them


@dataclass(frozen=True)
class Unreadable:
    """Stands in the place of a record; its value is no event."""

    offset: int
    value: bytes
    timestamp: int = 0
    timestamp_type: int = 0
    key: bytes | None = None
    checksum: int | None = None
    headers: tuple[Any, ...] = ()


class SafeBatch:
    """A batch whose records are all there, those that can't be unpacked as `Unreadable`."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        # A batch of the format before Kafka 0.11 doesn't say where it begins.
        next_offset = getattr(self._batch, "base_offset", self._batch.next_offset - 1)
        try:
            for record in self._batch:
                next_offset = record.offset + 1
                yield record
        except Exception as error:
            said = brief(f"{type(error).__name__}: {error}")
            log.warning("a batch can't be unpacked from offset %d on: %s", next_offset, said)
            # One for each that is missing: the position then passes the batch, and each is told of.
            for offset in range(next_offset, self._batch.next_offset):
                yield Unreadable(offset, f"can't be unpacked: {said}".encode())


class SafeBatches:
    """What a fetch brought of one partition; a damaged batch comes as bad events."""

    def __init__(self, records: Any) -> None:
        self._records = records

    def has_next(self) -> bool:
        """Whether there is another batch."""
        return bool(self._records.has_next())

    def next_batch(self) -> SafeBatch:
        """The next batch; what is wrong with it shows when its records are read."""
        return SafeBatch(self._records.next_batch())


class SafePartitionRecords(aiokafka.consumer.fetcher.PartitionRecords):  # type: ignore[misc]
    """As aiokafka's, but that no batch can end the consumer."""

    def __init__(self, tp: Any, records: Any, *arguments: Any, **more: Any) -> None:
        super().__init__(tp, SafeBatches(records), *arguments, **more)


def unpack_gzip(data: Any) -> bytes:
    """At most `MAX_BYTES`; one or more members.

    Raises:
        ValueError: it is longer, or no gzip.
    """
    found, rest = bytearray(), bytes(data)
    while rest:
        member = zlib.decompressobj(wbits=31)
        try:
            # One byte more than may be: it shows what is too long, and 0 would be no limit at all.
            found += member.decompress(rest, MAX_BYTES + 1 - len(found))
        except zlib.error as error:
            raise ValueError(f"no gzip: {error}") from error
        if len(found) > MAX_BYTES or not member.eof:
            raise ValueError(f"more than {MAX_BYTES} bytes of gzip, or cut off")
        rest = member.unused_data
    return bytes(found)


def _within(unpack_into: Callable[[Any, Any], int], name: str) -> Callable[[Any], bytes]:
    def unpack(data: Any) -> bytes:
        problem = ""
        for room in ROOMS:
            found = bytearray(room)
            try:
                return bytes(memoryview(found)[: unpack_into(bytes(data), found)])
            except cramjam.DecompressionError as error:
                problem = str(error)  # the error itself would hold this frame, and it the batch
        raise ValueError(f"more than {MAX_BYTES} bytes of {name}, or none: {problem}")

    return unpack


unpack_zstd = _within(cramjam.zstd.decompress_into, "zstd")
unpack_lz4 = _within(cramjam.lz4.decompress_into, "lz4")


def unpack_snappy(data: Any) -> bytes:
    """At most `MAX_BYTES`, bare or in blocks; what a block claims is looked at before it is taken.

    Raises:
        ValueError: it is longer, or no snappy.
    """
    found = bytearray()
    try:
        for block in _snappy_blocks(bytes(data)):
            if len(found) + cramjam.snappy.decompress_raw_len(block) > MAX_BYTES:
                raise ValueError(f"more than {MAX_BYTES} bytes of snappy")
            found += memoryview(cramjam.snappy.decompress_raw(block))
    except cramjam.DecompressionError as error:
        raise ValueError(f"no snappy: {error}") from error
    return bytes(found)


def _snappy_blocks(data: bytes) -> Iterator[bytes]:
    if not data.startswith(XERIAL):
        yield data
        return
    start = XERIAL_BYTES
    while start < len(data):
        size = int.from_bytes(data[start : start + 4], "big")
        yield data[start + 4 : start + 4 + size]
        start += 4 + size


def install() -> None:
    """Let every aiokafka consumer of this process read through these."""
    aiokafka.consumer.fetcher.PartitionRecords = SafePartitionRecords
    unpacking.zstd_decode = unpack_zstd
    for module in (unpacking, unpacking_legacy):
        module.gzip_decode = unpack_gzip
        module.snappy_decode = unpack_snappy
        module.lz4_decode = unpack_lz4
