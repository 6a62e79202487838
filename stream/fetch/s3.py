"""Videos in S3 and stores that speak its protocol: read in ranges by s3fs."""

import errno
import functools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aiohttp
import fsspec
from aiobotocore.session import AioSession  # type: ignore[import-untyped]
from botocore.exceptions import (  # type: ignore[import-untyped]
    BotoCoreError,
    NoCredentialsError,
)

from stream.errors import ForbiddenUriError, NotFoundError
from stream.fetch.copy import DiskError, LimitedFile, TransientError
from stream.fetch.parts import (
    ByteRange,
    NoRangesError,
    Part,
    UnsatisfiableError,
    part_of,
    version_of,
)
from stream.fetch.settings import FetchSettings

CHUNK_BYTES = 2**20  # written at a time: 32 downloads hold 32 MiB
RANGE_BYTES = 64 * 2**20  # asked for at a time: a request lasts seconds, and there are few of them


async def copy_s3(uri: str, file: LimitedFile, settings: FetchSettings) -> None:
    """Write an object to a file.

    Raises:
        TooLargeError: more bytes than the file takes.
        DiskError: the file can't be written.
        Exception: as `_store`.
    """
    async with _store(uri, settings) as (system, bucket, key):
        with _told(bucket, key):
            await _copy(system, bucket, key, file)


@asynccontextmanager
async def part_s3(uri: str, settings: FetchSettings, asked: ByteRange) -> AsyncIterator[Part]:
    """A range of an object.

    Raises:
        NoRangesError: the store sends no ranges, or of what can't be known.
        UnsatisfiableError: the object has none of the bytes.
        Exception: as `_store`.
    """
    async with _store(uri, settings, _described()) as (system, bucket, key):
        with _told(bucket, key):
            answer = await _range(system, bucket, key, asked)
        async with answer["Body"] as body:

            async def read(count: int) -> bytes:
                with _told(bucket, key):
                    data: bytes = await body.read(count)
                    return data

            yield part_of(asked, answer.get("ContentRange"), *_validators(answer), read)


@asynccontextmanager
async def _store(
    uri: str, settings: FetchSettings, session: AioSession | None = None
) -> AsyncIterator[tuple[Any, str, str]]:
    """The client of s3fs, and the names of bucket and object.

    Raises:
        ForbiddenUriError: the bucket is not among `buckets`, or the store refuses.
        NotFoundError: no such object.
        TransientError: worth another try.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if settings.buckets and bucket not in settings.buckets:
        raise ForbiddenUriError(
            f"bucket {bucket!r} is not among fetch.buckets = {', '.join(settings.buckets)}: add "
            "it there (SAMESOURCE_FETCH__BUCKETS)"
        )
    if not bucket or not key:
        raise NotFoundError(f"{uri!r} names no object: write s3://bucket/key")
    # fsspec caches instances, and one belongs to the event loop that made it: each fetch has its
    # own.
    system = fsspec.filesystem(
        "s3",
        asynchronous=True,
        skip_instance_cache=True,
        anon=settings.s3_anonymous,
        endpoint_url=settings.s3_endpoint_url,
        session=session,
    )
    client = await system.set_session()
    try:
        yield system, bucket, key
    finally:
        await client.close()


@functools.cache
def _described() -> AioSession:
    """Keeps the description of the protocol, which takes 0.1 s to read: a seek mustn't."""
    return AioSession()


@contextmanager
def _told(bucket: str, key: str) -> Iterator[None]:
    """What s3fs raises, as errors of ours."""
    try:
        yield
    except (FileNotFoundError, IsADirectoryError) as error:
        raise NotFoundError(f"no object {key!r} in the bucket {bucket!r}") from error
    except (PermissionError, NoCredentialsError) as error:
        raise ForbiddenUriError(
            f"the store refuses {key!r} in the bucket {bucket!r}: check the worker's credentials"
        ) from error
    # It is an `OSError` too, and must not be taken for the store's failure.
    except DiskError:
        raise
    # s3fs makes an `OSError` of what a store answers, but not of how a connection fails.
    except (OSError, BotoCoreError, aiohttp.ClientError) as error:
        raise TransientError(f"the bucket {bucket!r} can't be read: {type(error).__name__}") from (
            error
        )


async def _copy(system: Any, bucket: str, key: str, file: LimitedFile) -> None:
    found = await system._info(f"{bucket}/{key}")
    if found["type"] != "file":
        raise IsADirectoryError(key)
    size = int(found["size"])
    file.version = version_of(size, *_validators(found))
    file.expect(size)
    for start in range(0, size, RANGE_BYTES):
        end = min(start + RANGE_BYTES, size)
        async with (await _get(system, bucket, key, ByteRange(start, end - 1)))["Body"] as body:
            while chunk := await body.read(CHUNK_BYTES):
                file.write(chunk)
        # A connection that ends early reads as the end of the body, without an error.
        if file.written != end:
            raise TransientError(f"the object ends at {file.written} of {size} bytes")


async def _range(system: Any, bucket: str, key: str, asked: ByteRange) -> dict[str, Any]:
    try:
        return await _get(system, bucket, key, asked)
    except OSError as error:
        # So s3fs tells of many things, a range beyond the object among them.
        if error.errno != errno.EINVAL:
            raise
        size = int((await system._info(f"{bucket}/{key}"))["size"])
        if size == 0:
            raise NoRangesError("no bytes") from error
        if asked.span(size) is None:
            raise UnsatisfiableError(size) from error
        raise


async def _get(system: Any, bucket: str, key: str, asked: ByteRange) -> dict[str, Any]:
    # Below s3fs's public `_get_file`, which opens the target itself, where no limit could be put.
    answer: dict[str, Any] = await system._call_s3(
        "get_object", Bucket=bucket, Key=key, Range=str(asked)
    )
    return answer


def _validators(answer: dict[str, Any]) -> tuple[str | None, str | None]:
    etag, modified = answer.get("ETag"), answer.get("LastModified")
    return etag, None if modified is None else str(modified)
