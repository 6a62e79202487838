"""A web address and the request target in it, byte for byte; serves `stream.fetch.http`.

Signed URLs are signed as they are written: `%2F` and `/` are two things to a server that compares.
Libraries of URLs like to tidy up, so the target is cut out here and kept from them.
"""

import re
import string
from typing import Self
from urllib.parse import quote, urljoin

from yarl import URL

from stream.errors import ForbiddenUriError, NotFoundError

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
WEB_ADDRESS = re.compile(r"(https?)://([^/?#]*)([^#]*)", re.IGNORECASE)
PRINTABLE = "".join(set(string.printable) - set(string.whitespace))
LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")  # as in `100%.mp4`, which servers refuse


class WebAddress:
    """Where one request goes.

    Attributes:
        url: for the client, which sends `target` as it stands.
        target: path and query, as they are sent.
    """

    def __init__(self, address: str) -> None:
        """Read an address.

        Raises:
            NotFoundError: it is none; the text holds nothing of it, for it may hold a password.
        """
        found = WEB_ADDRESS.match(address)
        if found is None:
            raise _unusable()
        scheme, authority, rest = found.groups()
        self._origin = f"{scheme.lower()}://{authority}"
        self.target = _quoted(rest if rest.startswith("/") else f"/{rest}")
        try:
            self.url = _untouched(URL(self._origin), self.target)
        except ValueError:
            # The cause would show the address in a traceback, with a password perhaps.
            raise _unusable() from None
        if not self.url.host:
            raise _unusable()

    @property
    def host(self) -> str:
        """The host's name, to be shown."""
        return self.url.host or ""

    def redirected(self, location: str) -> Self:
        """The address that a `Location` header names.

        Raises:
            ForbiddenUriError: it leaves the web.
            NotFoundError: it is no address.
        """
        if named := SCHEME.match(location):
            if named[0].lower() not in ("http:", "https:"):
                raise ForbiddenUriError(
                    f"{self.host} redirects to scheme {named[0][:-1]!r}: a redirect may lead to "
                    "http and https alone"
                )
            return type(self)(location)
        if location.startswith("//"):
            return type(self)(self._origin.partition("//")[0] + location)
        if location.startswith("/"):
            return type(self)(self._origin + location)
        # A host without a port or brackets, so that nothing is made of it.
        return type(self)(
            self._origin + urljoin(f"http://h{self.target}", location)[len("http://h") :]
        )


def _quoted(target: str) -> str:
    """As it stands; what was never quoted is, and never what was."""
    if all(each in PRINTABLE for each in target):
        return target
    # aiohttp reads headers so: bytes of a `Location` that aren't UTF-8 go out as they came.
    return quote(LONE_PERCENT.sub("%25", target), safe=PRINTABLE, errors="surrogateescape")


def _untouched(origin: URL, target: str) -> URL:
    path, mark, query = target.partition("?")
    if mark and not query:
        path = target  # a question mark with nothing behind it would be left out
    return URL.build(
        scheme=origin.scheme,
        authority=origin.raw_authority,
        path=path,
        query_string=query,
        encoded=True,
    )


def _unusable() -> NotFoundError:
    return NotFoundError("not a usable web address: write https://host/path")
