"""Videos on web servers: streamed by fsspec over connections that are checked."""

from typing import Any

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
from fsspec.callbacks import Callback
from fsspec.implementations.http import HTTPFileSystem
from yarl import URL

from stream.errors import ForbiddenUriError, NotFoundError
from stream.sources.addresses import CheckedResolver, check_url
from stream.sources.copy import LimitedFile, TransientError
from stream.sources.settings import FetchSettings

CHUNK_BYTES = 2**20
FORBIDDEN = (401, 403, 407, 451)
PASSING = (408, 425, 429)


async def copy_http(uri: str, file: LimitedFile, settings: FetchSettings) -> None:
    """Write the body of a web resource to a file.

    Raises:
        ForbiddenUriError: scheme, host or address is not allowed, or the server refuses.
        NotFoundError: the server has nothing there.
        TooLargeError: more bytes than the file takes.
        TransientError: worth another try.
    """
    url = _parsed(uri)
    check_url(url, settings)
    async with _session(settings) as session:

        async def client(**_: Any) -> aiohttp.ClientSession:
            return session

        system = HTTPFileSystem(asynchronous=True, skip_instance_cache=True, get_client=client)
        try:
            await system._get_file(
                url, file, chunk_size=CHUNK_BYTES, callback=_Announced(file), allow_redirects=True
            )
        except FileNotFoundError as error:
            raise NotFoundError(f"{url.host} has no video there (404)") from error
        except aiohttp.InvalidURL as error:
            raise NotFoundError(f"{url.host} is not a usable web address") from error
        except aiohttp.ClientResponseError as error:
            raise _refused(error, url) from error
        except (aiohttp.ClientError, ConnectionError) as error:
            raise TransientError(f"{url.host} can't be read: {_reason(error)}") from error


def _parsed(uri: str) -> URL:
    try:
        url = URL(uri)
        if url.host:
            return url
    except ValueError:
        pass
    raise NotFoundError("not a usable web address: write https://host/path")


def _session(settings: FetchSettings) -> aiohttp.ClientSession:
    async def checked(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        check_url(request.url, settings)
        return await handler(request)

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            resolver=CheckedResolver(settings), use_dns_cache=False, force_close=True
        ),
        middlewares=(checked,),  # runs for every redirect too
        headers={"Accept-Encoding": "identity"},
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.timeout_seconds),
    )


class _Announced(Callback):  # type: ignore[misc]
    """Refuses a body as soon as its length is announced."""

    def __init__(self, file: LimitedFile) -> None:
        super().__init__()
        self._file = file

    def set_size(self, size: int | None) -> None:
        self._file.expect(size)


def _refused(error: aiohttp.ClientResponseError, url: URL) -> Exception:
    if error.status in FORBIDDEN:
        return ForbiddenUriError(f"{url.host} refuses access ({error.status} {error.message})")
    if error.status >= 500 or error.status in PASSING:
        return TransientError(f"{url.host} answers {error.status} {error.message}")
    return NotFoundError(f"{url.host} gives no video: {error.status} {error.message}")


def _reason(error: Exception) -> str:
    """What went wrong, without the address and the credentials in it."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return (
        cause.strerror or type(cause).__name__
        if isinstance(cause, OSError)
        else (type(error).__name__)
    )
