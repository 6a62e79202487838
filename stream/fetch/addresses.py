"""Keeps requests away from inside networks: which hosts and addresses may be talked to.

Names are resolved here and only checked addresses are given to the connection, so that nothing
can change between the check and the use; every redirect passes the same way.
"""

import ipaddress
import socket

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from stream.errors import ForbiddenUriError
from stream.fetch.settings import FetchSettings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
TRANSLATED = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: IPv4 behind an IPv6 gateway
# What of IPv6 the internet has at all. Python counts as global what embeds IPv4 in other ways, what
# networks translate for themselves (RFC 8215), and sites' own addresses of old.
INTERNET = ipaddress.ip_network("2000::/3")
INSIDE = tuple(
    ipaddress.ip_network(each)
    for each in (
        "192.0.0.0/24",  # protocols' own, and a metadata service of Oracle's cloud
        "168.63.129.16/32",  # what each machine in Azure's cloud asks for its set-up
    )
)


def is_public(address: Address) -> bool:
    """Whether an address is on the public internet, also when it wraps an IPv4 one."""
    inner = _wrapped(address)
    if inner is not None:
        return is_public(inner)
    if address.version == 6 and address not in INTERNET:
        return False
    # Python counts multicast as global, and no web server has such an address.
    known = address.is_global and not address.is_multicast
    return known and not any(address in each for each in INSIDE)


def _wrapped(address: Address) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    # Python calls all of these global, and a gateway may well lead to 10.0.0.1 by one.
    if address in TRANSLATED:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    # Teredo names its server, then the client: who would be talked to is the second.
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]


def check_url(url: URL, settings: FetchSettings) -> None:
    """Refuse a scheme, host or literal address that is not allowed.

    Raises:
        ForbiddenUriError: names what was refused and the setting that would allow it.
    """
    host = url.host or ""
    # The settings alone would let `file` and `s3` pass, which mean nothing to a web client.
    if url.scheme not in settings.schemes or url.scheme not in ("http", "https"):
        raise ForbiddenUriError(
            f"scheme {url.scheme!r} of {host} is not allowed here: fetch.schemes = "
            f"{', '.join(settings.schemes)}"
        )
    if settings.hosts and not _named(host, settings):
        raise ForbiddenUriError(
            f"host {host!r} is not among fetch.hosts = {', '.join(settings.hosts)}: add it there "
            "(SAMESOURCE_FETCH__HOSTS)"
        )
    # aiohttp doesn't ask the resolver about an address that stands in the URL: it is checked here.
    try:
        address = ipaddress.ip_address(host.split("%")[0])
    # A name, not an address: `CheckedResolver` looks at what it stands for.
    except ValueError:
        return
    if not _allowed(address, host, settings):
        raise private_address(host)


def private_address(host: str) -> ForbiddenUriError:
    """The error of a host inside our networks."""
    return ForbiddenUriError(
        f"host {host!r} has a private, loopback, link-local or reserved address: name it in "
        "fetch.hosts (SAMESOURCE_FETCH__HOSTS) to allow it"
    )


def _allowed(address: Address, host: str, settings: FetchSettings) -> bool:
    return settings.private_addresses or _named(host, settings) or is_public(address)


def _named(host: str, settings: FetchSettings) -> bool:
    return host.lower() in {known.lower() for known in settings.hosts}


class CheckedResolver(AbstractResolver):
    """Resolves names to addresses that may be talked to."""

    def __init__(self, settings: FetchSettings) -> None:
        self._settings = settings
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The allowed addresses of a host.

        Raises:
            ForbiddenUriError: it has none but private ones.
        """
        found = await self._resolver.resolve(host, port, family)
        # One public address is enough: a private one beside it is never connected to.
        allowed = [
            result
            for result in found
            if _allowed(ipaddress.ip_address(result["host"].split("%")[0]), host, self._settings)
        ]
        # An empty answer is no refusal: aiohttp says of it that the host can't be found.
        if found and not allowed:
            raise private_address(host)
        return allowed

    async def close(self) -> None:
        """Close the resolver beneath."""
        await self._resolver.close()
