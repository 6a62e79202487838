"""Videos in S3 and stores that speak its protocol: read in ranges by s3fs."""

from typing import Any

import aiohttp
import fsspec
from botocore.exceptions import (  # type: ignore[import-untyped]
    BotoCoreError,
    NoCredentialsError,
)

from stream.errors import ForbiddenUriError, NotFoundError
from stream.fetch.copy import DiskError, LimitedFile, TransientError
from stream.fetch.settings import FetchSettings

CHUNK_BYTES = 2**20  # written at a time: 32 downloads hold 32 MiB
RANGE_BYTES = 64 * 2**20  # asked for at a time: a request lasts seconds, and there are few of them


async def copy_s3(uri: str, file: LimitedFile, settings: FetchSettings) -> None:
    """Write an object to a file.

    Raises:
        ForbiddenUriError: the bucket is not among `buckets`, or the store refuses.
        NotFoundError: no such object.
        TooLargeError: more bytes than the file takes.
        DiskError: the file can't be written.
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
    )
    session = await system.set_session()
    try:
        await _copy(system, f"{bucket}/{key}", file)
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
    finally:
        await session.close()


async def _copy(system: Any, path: str, file: LimitedFile) -> None:
    found = await system._info(path)
    if found["type"] != "file":
        raise IsADirectoryError(path)
    size = int(found["size"])
    file.expect(size)
    for start in range(0, size, RANGE_BYTES):
        end = min(start + RANGE_BYTES, size)
        await _copy_range(system, path, f"bytes={start}-{end - 1}", file)
        # A connection that ends early reads as the end of the body, without an error.
        if file.written != end:
            raise TransientError(f"the object ends at {file.written} of {size} bytes")


async def _copy_range(system: Any, path: str, header: str, file: LimitedFile) -> None:
    bucket, key, _ = system.split_path(path)
    # Below s3fs's public `_get_file`, which opens the target itself, where no limit could be put.
    answer = await system._call_s3("get_object", Bucket=bucket, Key=key, Range=header)
    async with answer["Body"] as body:
        while chunk := await body.read(CHUNK_BYTES):
            file.write(chunk)
