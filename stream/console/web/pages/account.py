"""Signing in with the company's account: to its provider, back with a code, and out of it."""

import logging

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from stream.console.web.bounds import Address
from stream.console.web.console import Console, Here
from stream.console.web.pages.render import local, words_for
from stream.console.web.pages.signin import address_of, begin, sign_in_page
from stream.console.web.problems import Problem
from stream.console.web.signin import account, attempt
from stream.console.web.signin.account import NotWelcomeError, account_of
from stream.console.web.signin.attempt import Attempt
from stream.console.web.signin.gate import TOO_MANY_FAILED
from stream.console.web.signin.provider import (
    NotVouchedError,
    Provider,
    ProviderAwayError,
    ProviderError,
)
from stream.errors import brief

log = logging.getLogger(__name__)

router = APIRouter(prefix="/signin/account", include_in_schema=False)
BACK = "/signin/account/back"
AWAY = "Your company's sign-in can't be reached: try again soon, or sign in another way."
WRONG = "Your company's sign-in isn't set up rightly: an operator finds the reason in the log."
STALE = "This sign-in wasn't begun in this browser, or is too old: begin again."
REFUSED = "Your company's sign-in was refused: begin again, or ask an operator."
CANCELLED = "You haven't signed in at your company's account."
TEXTS = (
    AWAY, WRONG, STALE, REFUSED, CANCELLED, account.NO_NAME, account.NOT_VERIFIED,
    account.OTHER_DOMAIN, account.OTHER_GROUP, account.NO_ROLE, account.NO_OWNERS,
    account.TOO_MANY_OWNERS,
)  # fmt: skip
"""What people are told on the sign-in page."""
RETRY = {"Retry-After": "5"}


@router.get("")
async def go(request: Request, console: Here, next: Address = None) -> Response:
    """Send somebody to the provider."""
    provider, back = _provider(console), local(next)
    begun = Attempt.begun(back)
    try:
        url = await provider.sign_in_url(begun, _origin(request, console) + BACK)
    except (ProviderAwayError, ProviderError) as error:
        return _failed(request, error, back)
    answer = RedirectResponse(url, 303)
    tls = console.settings.console.is_behind_tls
    # Not `strict`: the provider's page is what leads back.
    answer.set_cookie(
        _cookie(tls), begun.cookie, max_age=attempt.KEPT_SECONDS, secure=tls, httponly=True,
        samesite="lax", path="/",
    )  # fmt: skip
    return answer


@router.get("/back")
async def back(
    request: Request,
    console: Here,
    state: Address = None,
    code: Address = None,
    error: Address = None,
    iss: Address = None,
) -> Response:
    """Somebody comes back from the provider."""
    provider, tls = _provider(console), console.settings.console.is_behind_tls
    address = address_of(request)
    if console.attempts.too_many(address):
        raise Problem(429, TOO_MANY_FAILED, {"Retry-After": "60"})
    begun = Attempt.of_cookie(request.cookies.get(_cookie(tls)))
    if begun is None or not begun.is_of(state):
        # The cookie stays: somebody else's address isn't to end a sign-in that is under way.
        console.attempts.failed(address)
        return sign_in_page(request, "/queue", words_for(request)(STALE), 403)
    answer = await _ended(request, console, provider, begun, code, error, iss)
    answer.delete_cookie(_cookie(tls), secure=tls, httponly=True, samesite="lax")
    return answer


@router.get("/out")
async def out(request: Request, console: Here) -> Response:
    """To where somebody signs out of the company's account; here they are out already."""
    provider = _provider(console)
    try:
        url = await provider.sign_out_url(f"{_origin(request, console)}/signin")
    except (ProviderAwayError, ProviderError) as error:
        return _failed(request, error, "/queue")
    return RedirectResponse(url or "/signin", 303)


async def _ended(
    request: Request,
    console: Console,
    provider: Provider,
    begun: Attempt,
    code: str | None,
    error: str | None,
    iss: str | None,
) -> Response:
    """A session, or why there is none."""
    t, back, desk = words_for(request), local(begun.back), console.desk
    try:
        if error is not None or code is None:
            raise NotVouchedError(f"the provider says {brief(error or 'nothing', 100)!r}")
        if iss is not None and iss != provider.issuer:
            raise NotVouchedError(f"the answer is of {brief(iss, 100)!r}")
        claims = await provider.claims(code, begun, _origin(request, console) + BACK)
        found = account_of(claims, console.settings.console)
    except (ProviderAwayError, ProviderError) as failure:
        return _failed(request, failure, back)
    except NotVouchedError as failure:
        console.attempts.failed(address_of(request))
        log.warning("a sign-in by the company's account was refused: %s", failure)
        told = CANCELLED if error == "access_denied" else REFUSED
        return sign_in_page(request, back, t(told), 403)
    except NotWelcomeError as failure:
        log.warning("%s may not sign in: %s", brief(failure.name or "an account", 200), failure)
        if failure.name is not None:
            # Whatever they were before: what the company says now holds everywhere.
            await desk.end_sessions_of(failure.name)
        return sign_in_page(request, back, t(str(failure)), 403)
    await desk.end_other_roles_of(found.name, found.role, found.owner_ids)
    seconds, detail = console.settings.console.session_seconds, _detail(provider, claims["sub"])
    own = (found.name, found.role, found.owner_ids)
    return await begin(request, console, *own, console.clock(), seconds, back, detail)


def _detail(provider: Provider, subject: str) -> dict[str, str]:
    """For the audit log: names change hands, and this doesn't."""
    return {"issuer": provider.issuer, "subject": subject}


def _failed(request: Request, error: Exception, back: str) -> Response:
    """The sign-in page: the other ways to sign in go on."""
    away = isinstance(error, ProviderAwayError)
    log.warning("the company's sign-in %s: %s", "is away" if away else "can't be used", error)
    told = words_for(request)(AWAY if away else WRONG)
    return sign_in_page(request, back, told, 503, headers=RETRY if away else {})


def _provider(console: Console) -> Provider:
    if console.provider is None:
        raise Problem(404, "no company's account is set up here: see console.oidc_issuer")
    return console.provider


def _origin(request: Request, console: Console) -> str:
    """Where this console is, as the provider knows it."""
    # The header is one of the loopback's names there: the gate lets no other through.
    return console.settings.console.public_url or f"http://{request.headers['host']}"


def _cookie(tls: bool) -> str:
    return f"__Host-{attempt.COOKIE}" if tls else attempt.COOKIE
