"""Signing in and out: by a one-time link, or by a token that may open pages.

By the company's account: `account.py`.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from stream.console.store.desk import Role
from stream.console.web.bounds import Address, PathId, Word
from stream.console.web.console import Console, Here, console_of
from stream.console.web.pages.forms import Form
from stream.console.web.pages.render import local, render, words_for
from stream.console.web.problems import Problem
from stream.console.web.signin.gate import TOO_MANY_FAILED, cookie_name
from stream.console.web.signin.rights import signed_in

router = APIRouter(include_in_schema=False)
PREFERENCES = {"lang": ("en", "zh"), "theme": ("auto", "light", "dark"), "keys": ("on", "off")}
YEAR_SECONDS = 365 * 86400


@router.get("/signin")
async def page(request: Request, next: Address = None, said: Word = "") -> Response:
    """How to sign in."""
    return sign_in_page(request, local(next), out=said == "out")


@router.post("/signin")
async def with_token(request: Request, console: Here, form: Form) -> Response:
    """Sign in with a token that may open pages."""
    back = local(form.get("next"))
    address = address_of(request)
    # Before the token is looked at: further guesses aren't even answered with yes or no.
    if console.attempts.too_many(address):
        raise Problem(429, TOO_MANY_FAILED, {"Retry-After": "60"})
    now = console.clock()
    person = await console.desk.token(form.get("token") or "", now)
    if person is None or "pages" not in (person.scopes or ()):
        console.attempts.failed(address)
        t = words_for(request)
        return sign_in_page(request, back, t("No such token, or it may not open pages."), 403)
    # No longer than the token: it would outlive its end in the session.
    seconds = min(
        console.settings.console.session_seconds, (person.expires_at - now).total_seconds()
    )
    own = (person.name, person.role, person.owner_ids)
    # Nor any further: the session's cookie is taken by the API as well.
    return await begin(request, console, *own, now, seconds, back, scopes=person.scopes)


@router.get("/signin/{secret}")
async def with_link(request: Request, secret: PathId, console: Here) -> Response:
    """Sign in with a one-time link."""
    address = address_of(request)
    if console.attempts.too_many(address):
        raise Problem(429, TOO_MANY_FAILED, {"Retry-After": "60"})
    name = console.links.use(secret)
    if name is None:
        console.attempts.failed(address)
        t = words_for(request)
        said = t("This link was used already, or is too old. Ask for a new one.")
        return sign_in_page(request, "/queue", said, 403)
    seconds = console.settings.console.session_seconds
    return await begin(request, console, name, "admin", (), console.clock(), seconds, "/queue")


@router.post("/signout")
async def sign_out(request: Request, console: Here) -> Response:
    """End the session, here and in the database."""
    found = signed_in(request)
    if found.secret is not None:
        await console.desk.end_session(found.secret)
    target = "/signin" if console.provider is None else "/signin?said=out"
    answer = RedirectResponse(target, 303)
    tls = console.settings.console.is_behind_tls
    answer.delete_cookie(cookie_name(tls), secure=tls, httponly=True, samesite="lax")
    return answer


@router.post("/preferences")
async def prefer(console: Here, form: Form) -> Response:
    """Language, theme and single keys, for this browser."""
    answer = RedirectResponse(local(form.get("back")), 303)
    for name, known in PREFERENCES.items():
        if (value := form.get(name)) in known:
            answer.set_cookie(
                name,
                str(value),
                max_age=YEAR_SECONDS,
                secure=console.settings.console.is_behind_tls,
                httponly=True,
                samesite="lax",
            )
    return answer


async def begin(
    request: Request,
    console: Console,
    name: str,
    role: Role,
    owner_ids: tuple[str, ...],
    now: datetime,
    seconds: float,
    back: str,
    detail: Mapping[str, Any] = MappingProxyType({}),
    scopes: tuple[str, ...] | None = None,
) -> Response:
    """Sign somebody in, by a new session: the one that the browser had before is over."""
    tls = console.settings.console.is_behind_tls
    told = {"role": role, **detail}
    async with console.desk.together():
        if (old := request.cookies.get(cookie_name(tls))) is not None:
            await console.desk.end_session(old)
        secret = await console.desk.begin_session(name, role, owner_ids, now, seconds, scopes)
        await console.desk.note(name, "sign in", f"session of {name}", now, detail=told)
    answer = RedirectResponse(back, 303)
    # Not `strict`: a link to an alert, in a message, would lead to the sign-in page.
    answer.set_cookie(
        cookie_name(tls),
        secret,
        max_age=int(seconds),
        secure=tls,
        httponly=True,
        samesite="lax",
        path="/",
    )
    return answer


def sign_in_page(
    request: Request,
    back: str,
    problem: str | None = None,
    status: int = 200,
    *,
    out: bool = False,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Response:
    """The ways to sign in, with what went wrong; after a sign-out, the way out of the company's."""
    provider = console_of(request).provider
    return render(
        request,
        "signin.html",
        status=status,
        headers=headers,
        next=back,
        problem=problem,
        has_account=provider is not None,
        out=out and provider is not None and provider.can_sign_out,
    )


def address_of(request: Request) -> str:
    """Whose attempts are counted together."""
    return request.client.host if request.client else "?"
