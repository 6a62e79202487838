"""Videos on web servers: streamed by aiohttp over connections that are checked."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

import aiohttp
from aiohttp import ClientResponse

from stream.errors import ForbiddenUriError, NotFoundError
from stream.fetch.addresses import CheckedResolver, check_url
from stream.fetch.copy import LimitedFile, TransientError
from stream.fetch.parts import ByteRange, NoRangesError, Part, part_of, version_of
from stream.fetch.settings import FetchSettings
from stream.fetch.web_address import WebAddress

CHUNK_BYTES = 2**20  # written at a time: 32 downloads hold 32 MiB
FORBIDDEN = (401, 403, 407, 451)  # whatever is tried again
PASSING = (408, 425, 429)  # of the 4xx, those that ask for another try
REDIRECTS = (301, 302, 303, 307, 308)  # 300 is none: it leaves the choice to people
UNCODED = ("", "identity", "aws-chunked")  # the last, S3 says of what once came to it in pieces
MAX_REDIRECTS = 10  # content networks take two or three; a loop is left after ten


async def copy_http(uri: str, file: LimitedFile, settings: FetchSettings) -> None:
    """Write the body of a web resource to a file.

    Raises:
        TooLargeError: more bytes than the file takes.
        Exception: as `_answer`.
    """
    async with _answer(uri, settings) as response:
        # Not any 2xx: 204 has no body, and 206 would be a part that nobody asked for.
        if response.status != 200:
            raise _refused(response)
        size = response.content_length
        if size is not None:
            file.version = version_of(size, *_validators(response))
        file.expect(size)
        with _told(response.url.host):
            async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                file.write(chunk)


@asynccontextmanager
async def part_http(uri: str, settings: FetchSettings, asked: ByteRange) -> AsyncIterator[Part]:
    """A range of the body of a web resource.

    Raises:
        NoRangesError: the server sends no ranges, or of what can't be known.
        UnsatisfiableError: the body has none of the bytes.
        Exception: as `_answer`.
    """
    async with _answer(uri, settings, {"Range": str(asked)}) as response:
        if response.status not in (200, 206, 416):
            raise _refused(response)
        # A coded body, which nobody asked for, would be a range of other bytes than the video's.
        coding = response.headers.get("Content-Encoding", "").lower()
        if response.status == 200 or coding not in UNCODED:
            raise NoRangesError(f"{response.url.host} sends the whole alone")

        async def read(count: int) -> bytes:
            with _told(response.url.host):
                return await response.content.read(count)

        content_range = response.headers.get("Content-Range")
        yield part_of(asked, content_range, *_validators(response), read)


@asynccontextmanager
async def _answer(
    uri: str, settings: FetchSettings, headers: Mapping[str, str] | None = None
) -> AsyncIterator[ClientResponse]:
    """What a web server answers, redirects followed; whatever its status.

    The request target is the URI's, byte for byte, and so is that of a redirect.

    Raises:
        ForbiddenUriError: scheme, host or address is not allowed, or the server refuses.
        NotFoundError: the server has nothing there.
        TransientError: worth another try.
    """
    address = WebAddress(uri)
    async with _session(settings) as session:
        for _ in range(MAX_REDIRECTS + 1):
            check_url(address.url, settings)
            with _told(address.host):
                # Redirects are followed by hand: each hop is checked like the first address, and
                # its target stays as the server wrote it.
                response = await session.get(address.url, headers=headers, allow_redirects=False)
            async with response:
                location = _redirect(response)
                if location is None:
                    yield response
                    return
            address = address.redirected(location)
    raise NotFoundError(f"more than {MAX_REDIRECTS} redirects, the last to {address.host}")


@contextmanager
def _told(host: str | None) -> Iterator[None]:
    """What the client raises, as errors of ours."""
    try:
        yield
    except aiohttp.InvalidURL as error:
        raise NotFoundError(f"{host} is not a usable web address") from error
    except (aiohttp.ClientError, ConnectionError) as error:
        raise TransientError(f"{host} can't be read: {_reason(error)}") from error


def _redirect(response: ClientResponse) -> str | None:
    """Where it leads; None where the body is here, or a refusal."""
    if response.status in REDIRECTS:
        return response.headers.get("Location")
    return None


def _validators(response: ClientResponse) -> tuple[str | None, str | None]:
    return response.headers.get("ETag"), response.headers.get("Last-Modified")


def _session(settings: FetchSettings) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        # No cache of names, no connection kept: what was checked is what is connected to, each
        # time.
        connector=aiohttp.TCPConnector(
            resolver=CheckedResolver(settings), use_dns_cache=False, force_close=True
        ),
        # Unpacked bodies would escape `Content-Length` and could grow a thousandfold.
        headers={"Accept-Encoding": "identity"},
        # `fetch` bounds the whole and `paced` the rate; aiohttp's default would cut a longer
        # setting.
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.timeout_seconds),
    )


def _refused(response: ClientResponse) -> Exception:
    host, answer = response.url.host, f"{response.status} {response.reason or ''}".strip()
    if response.status in FORBIDDEN:
        return ForbiddenUriError(f"{host} refuses access ({answer})")
    if response.status >= 500 or response.status in PASSING:
        return TransientError(f"{host} answers {answer}")
    return NotFoundError(f"{host} has no video there ({answer})")


# Never the error's own text, where a URL may stand with its password or signature.
def _reason(error: Exception) -> str:
    """What went wrong, without the address and the credentials in it."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return (
        cause.strerror or type(cause).__name__
        if isinstance(cause, OSError)
        else (type(error).__name__)
    )
