"""One request to a webhook: signed, to an address that was checked, following nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import aiohttp
from standardwebhooks.webhooks import Webhook

from stream.console.settings import ConsoleSettings
from stream.errors import ForbiddenUriError, NotFoundError, brief
from stream.fetch.addresses import CheckedResolver, check_url
from stream.fetch.settings import FetchSettings
from stream.fetch.web_address import WebAddress
from stream.texts import Text

LONGEST_RETRY_AFTER = timedelta(days=1)  # a server that asks for more is asked again all the same
NO_ANSWER = "no answer within {seconds} s"
REDIRECTS = "it redirects, which is not followed"
ANSWERED = "it answered {status}"
NOT_ALLOWED = Text(
    "its host has a private, loopback, link-local or reserved address, or isn't among "
    "console.webhook_hosts; http is for those that are named there "
    "(SAMESOURCE_CONSOLE__WEBHOOK_HOSTS)"
)


@dataclass(frozen=True)
class Answer:
    """How a request went.

    Attributes:
        status: None where there was no answer, `error`.
        error: for people; without the address.
        retry_after: for which the server has asked.
    """

    status: int | None
    error: str = ""
    retry_after: timedelta | None = None

    @property
    def arrived(self) -> bool:
        """Whether the receiver has it."""
        return self.status is not None and 200 <= self.status < 300


def checked(url: str, settings: ConsoleSettings) -> WebAddress:
    """An address that may be a webhook's. A name is looked up only when something is sent.

    Raises:
        ForbiddenUriError: it may not be sent to, or has a password in it.
        NotFoundError: it is no web address.
    """
    address = WebAddress(url)
    if address.url.user is not None or address.url.password is not None:
        raise ForbiddenUriError(Text("it has a name or password in it, which pages would show"))
    if any(letter.isspace() for letter in url):
        raise NotFoundError(Text("it has a space in it: write %20"))
    try:
        check_url(address.url, _rules(settings))
    except ForbiddenUriError as error:
        raise ForbiddenUriError(NOT_ALLOWED) from error
    return address


async def post(
    session: aiohttp.ClientSession,
    url: str,
    *,
    settings: ConsoleSettings,
    secrets: Sequence[str],
    message_id: str,
    body: str,
    now: datetime,
) -> Answer:
    """Send a message; every failure is an answer.

    Args:
        session: of `webhook_session`.
        url: where to.
        settings: of the console.
        secrets: each signs.
        message_id: the same at every try.
        body: JSON.
        now: stands in the signature: receivers refuse what is old.
    """
    try:
        address = checked(url, settings)
        # Of several, the receiver takes the one that it knows.
        signatures = [Webhook(secret).sign(message_id, now, body) for secret in secrets]
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "samesource",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signatures),
        }
        async with session.post(
            # A redirect would lead past what the admin has named, and take the body with it.
            address.url, data=body.encode(), headers=headers, allow_redirects=False
        ) as response:  # fmt: skip
            # What it says beside the status is nothing for us: an inside server's page, perhaps.
            return _answer(response, now)
    except (ForbiddenUriError, NotFoundError) as error:
        return Answer(None, brief(error, 300))
    except TimeoutError:
        return Answer(None, NO_ANSWER.format(seconds=f"{settings.webhook_timeout_seconds:g}"))
    except aiohttp.ClientError as error:
        if isinstance(error.__cause__, ForbiddenUriError):
            return Answer(None, NOT_ALLOWED)
        return Answer(None, _reason(error))
    except (OSError, ValueError) as error:
        return Answer(None, _reason(error))


def webhook_session(settings: ConsoleSettings) -> aiohttp.ClientSession:
    """What webhooks are sent by: each name is looked up, checked and connected to, each time."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            resolver=CheckedResolver(_rules(settings)), use_dns_cache=False, force_close=True
        ),
        timeout=aiohttp.ClientTimeout(total=settings.webhook_timeout_seconds),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )


def _rules(settings: ConsoleSettings) -> FetchSettings:
    hosts = settings.webhook_hosts
    return FetchSettings(schemes=("http", "https") if hosts else ("https",), hosts=hosts)


def _answer(response: aiohttp.ClientResponse, now: datetime) -> Answer:
    status = response.status
    if 200 <= status < 300:
        return Answer(status)
    told = REDIRECTS if 300 <= status < 400 else ""
    return Answer(status, told, _retry_after(response.headers.get("Retry-After"), now))


def _retry_after(text: str | None, now: datetime) -> timedelta | None:
    """Seconds or a date, as RFC 9110 has it; None of anything else."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdecimal():
        # Before it is a time: a long number would be none.
        wait = timedelta(seconds=min(int(text[:10]), LONGEST_RETRY_AFTER.total_seconds()))
    else:
        try:
            until = parsedate_to_datetime(text)
        except ValueError:
            return None
        # `-0000` makes one without a zone.
        until = until if until.tzinfo is not None else until.replace(tzinfo=UTC)
        wait = until - now
    return min(max(wait, timedelta()), LONGEST_RETRY_AFTER)


def _reason(error: Exception) -> str:
    """What went wrong, without the address and what may be secret in it."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    known = isinstance(cause, OSError) and cause.strerror
    return str(known) if known else type(error).__name__
