"""Nobody gets past without a session or a token: in front of every route, known or not.

It also refuses forms of other sites, names that aren't ours, and bodies without end.
"""

import asyncio
import re
from collections import OrderedDict
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stream.console.store.desk import Person
from stream.console.store.sign_ins import hash_of
from stream.console.web.console import Console
from stream.console.web.file_form import FileForm, has_file_form
from stream.console.web.problems import (
    DATABASE_ERRORS,
    Problem,
    is_api,
    on_database_error,
    problem_response,
)
from stream.console.web.signin import csrf
from stream.console.web.signin.kept_forms import is_of_our_page, kept_form
from stream.texts import Text
from stream.traces import TRACE_HEADER, passed_on

SAFE = ("GET", "HEAD", "OPTIONS")
OPEN = frozenset(
    {"/health/live", "/health/ready", "/signin", "/preferences", "/api/v1/openapi.json"}
)
OPEN_BELOW = ("/static/", "/signin/")
DEAR_FORMS = ("/library/like", "/match", "/policies/edit")  # fetched, decoded or judged by it
TAKES_FILES = ("/library/like", "/match", "/api/v1/matches")  # which read them as they come
MAX_BODY_BYTES = 2**20  # of a form or of JSON; an upload on its topic has no more either
BODY_SECONDS = 60.0  # for such a body to come; set by hand
MAX_FIELDS = 2000  # several times the alerts that one form judges; set by hand
MAX_WELCOME = 10_000  # tokens that are known to be good; set by hand
HOST = re.compile(r"(\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[^\[\]:@/?#\s]+))(:\d*)?")
FORM = "application/x-www-form-urlencoded"
COOKIE = "samesource_session"
TOO_MANY = Text("too many requests within a minute: see console.requests_per_minute")
TOO_MANY_FORMS = Text("too many such questions within a minute: ask again soon")
TOO_MANY_FAILED = Text("too many failed sign-ins: wait a minute")


def cookie_name(behind_tls: bool) -> str:
    """Of the session; the prefix makes browsers refuse one that came without TLS."""
    return f"__Host-{COOKIE}" if behind_tls else COOKIE


@dataclass(frozen=True)
class SignedIn:
    """Who asks.

    Attributes:
        person: by session or token.
        secret: of the session's cookie; None for a token.
        counted_as: names the session or token; no secret is kept for a minute that need not be.
    """

    person: Person
    secret: str | None
    counted_as: str

    @property
    def form_token(self) -> str:
        """What every form of the session carries."""
        return csrf.form_token(self.secret or "")


class Gate:
    """Lets through who may.

    In the request's state are `signed_in` and a form's `fields`; with a file, they are those before
    it, and `file_form` is read on by the route.
    """

    def __init__(self, app: ASGIApp, console: Console) -> None:
        self._app, self._console = app, console
        own = console.settings.console
        self._cookie, self._names = cookie_name(own.is_behind_tls), own.host_names
        self._welcome: OrderedDict[str, None] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # no route speaks anything else
        answer = await self._refusal(scope, receive)
        if isinstance(answer, Response):
            await answer(scope, receive, send)
        else:
            # What the request puts on Kafka goes on in the trace that it came with.
            with passed_on(Headers(scope=scope).get(TRACE_HEADER)):
                await self._app(scope, answer, send)

    async def _refusal(self, scope: Scope, receive: Receive) -> Response | Receive:
        """Why not; or where the body is read from, by whoever comes next."""
        request, path = Request(scope), scope["path"]
        headers = Headers(scope=scope)
        # A site may point a name of its own at this machine, and would be of one origin with us.
        if self._names and _host_name(headers.get("host", "")) not in self._names:
            return _refused(
                request, 421, Text("this is no name of the console: see console.public_url")
            )
        unsafe = scope["method"] not in SAFE
        # Strangers too: no other site is to sign a browser in, as somebody whom it chose.
        if unsafe and csrf.from_elsewhere(headers):
            return _refused(request, 403, Text("another site sent this request"))
        is_open = path in OPEN or path.startswith(OPEN_BELOW)
        address = request.client.host if request.client else "?"
        try:
            signed_in = await self._signed_in(request)
        except DATABASE_ERRORS as error:
            # Here, as the application's own answer to it stands behind this.
            return await on_database_error(request, error)
        if signed_in is None and not is_open:
            return await self._stranger(request, receive, address)
        scope.setdefault("state", {})["signed_in"] = signed_in
        wait = None if signed_in is None else self._wait_seconds(request, signed_in)
        if wait is not None:
            told = TOO_MANY if is_api(path) else TOO_MANY_FORMS
            return _refused(request, 429, told, {"Retry-After": str(wait)})
        if not unsafe:
            return receive
        # Read here, as the form's token is in it; and after strangers have been sent away.
        try:
            fields, again = await self._body(request, receive)
        except Problem as error:
            return _refused(request, error.status_code, error.detail)
        scope["state"]["fields"] = fields
        # Only for cookies, which a browser sends whoever asks it to; it adds no token by itself.
        if signed_in is not None and signed_in.secret is not None:
            given = headers.get(csrf.HEADER) or next(iter(fields.get(csrf.FIELD, [])), None)
            if not csrf.is_ours(signed_in.secret, given):
                if is_of_our_page(request) and not is_api(path) and not is_open:
                    return kept_form(request, 403, fields)
                return _refused(
                    request,
                    403,
                    Text("the form has no token of this session: open the page again"),
                )
        return again

    async def _body(
        self, request: Request, receive: Receive
    ) -> tuple[dict[str, list[str]], Receive]:
        """The fields of a form, and where the body is read from by whoever comes next.

        Raises:
            Problem: it can't be read, is too long, or comes too slowly.
        """
        try:
            async with asyncio.timeout(BODY_SECONDS):
                if request.url.path in TAKES_FILES and has_file_form(request.headers):
                    most = self._console.settings.fetch.max_bytes
                    form = FileForm(request.headers, receive, most)
                    await form.to_file()
                    request.state.file_form = form
                    return form.fields, receive
                body = await _read(receive)
        except TimeoutError as error:
            raise Problem(408, "the body came too slowly") from error
        if body is None:
            raise Problem(413, Text("the body has more than {most} bytes", most=MAX_BODY_BYTES))
        fields = _fields(request.headers, body)
        if fields is None:
            raise Problem(400, "the form can't be read")
        return fields, _again(body, receive)

    def _wait_seconds(self, request: Request, signed_in: SignedIn) -> int | None:
        """After how long somebody may ask again; None for now.

        Pages are people's, and free, but for forms that cost much.
        """
        if is_api(request.url.path):
            return self._console.requests.wait_seconds(signed_in.counted_as)
        if request.method not in SAFE and request.url.path in DEAR_FORMS:
            return self._console.dear_forms.wait_seconds(signed_in.counted_as)
        return None

    async def _signed_in(self, request: Request) -> SignedIn | None:
        """By token, on the API alone; else by cookie."""
        given = request.headers.get("authorization")
        if given is not None:
            kind, _, secret = given.partition(" ")
            if kind.lower() != "bearer" or not is_api(request.url.path):
                return None
            return await self._by_token(request, secret.strip())
        cookie = request.cookies.get(self._cookie)
        if not cookie:
            return None
        person = await self._console.desk.session(cookie, self._console.clock())
        return None if person is None else SignedIn(person, cookie, hash_of(cookie))

    async def _by_token(self, request: Request, secret: str) -> SignedIn | None:
        """A guesser's tries are refused unseen; tokens that were good before stay welcome."""
        address = request.client.host if request.client else "?"
        known = hash_of(secret)
        if self._console.attempts.too_many(address) and known not in self._welcome:
            return None
        person = await self._console.desk.token(secret, self._console.clock())
        if person is None:
            return None
        self._welcome[known] = None
        if len(self._welcome) > MAX_WELCOME:
            self._welcome.popitem(last=False)
        return SignedIn(person, None, known)

    async def _stranger(self, request: Request, receive: Receive, address: str) -> Response:
        """Machines are told to bring a token, people where to sign in."""
        attempts = self._console.attempts
        if "authorization" in request.headers:
            if attempts.too_many(address):
                return problem_response(request, 429, TOO_MANY_FAILED, {"Retry-After": "60"})
            attempts.failed(address)
        unsafe = request.method not in SAFE
        if unsafe and not is_api(request.url.path) and is_of_our_page(request):
            if request.url.path == "/signout":  # they are out
                return RedirectResponse("/signin", 303)
            try:
                # A file is not read for strangers.
                has_file = has_file_form(request.headers)
                fields = {} if has_file else (await self._body(request, receive))[0]
            except Problem as error:
                return _refused(request, error.status_code, error.detail)
            return kept_form(request, 401, fields)
        if is_api(request.url.path) or unsafe:
            told = Text("sign in: send a token as `Authorization: Bearer …`")
            return problem_response(request, 401, told, {"WWW-Authenticate": "Bearer"})
        signin = f"/signin?next={quote(_page_of(request), safe='')}"
        if request.headers.get("hx-request"):  # a part of a page, where no sign-in belongs
            return Response(status_code=401, headers={"HX-Redirect": signin})
        return RedirectResponse(signin, 303)


def _page_of(request: Request) -> str:
    """The page that somebody looks at: of a part of one, that which asks for it."""
    # Path and query alone: the header is whatever was sent, a URL of another site too.
    try:
        url = urlsplit(request.headers.get("hx-current-url") or str(request.url))
    except ValueError:
        return "/"
    return (url.path or "/") + (f"?{url.query}" if url.query else "")


def _refused(
    request: Request, status: int, detail: str, headers: dict[str, str] | None = None
) -> Response:
    """For a machine, or a person, as they ask."""
    if is_api(request.url.path):
        return problem_response(request, status, detail, headers)
    from stream.console.web.pages.render import render_problem

    return render_problem(request, status, detail, headers or {})


def _host_name(host: str) -> str:
    """The name in a Host header, without port and brackets; empty where it is no such header."""
    found = HOST.fullmatch(host.lower())
    return "" if found is None else found["address"] or found["name"]


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None where it is too long."""
    parts, length = list[bytes](), 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b"".join(parts)  # the client is gone; nobody will read the answer
        parts.append(message.get("body", b""))
        length += len(parts[-1])
        if length > MAX_BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read once more, then what the client says."""
    given = False

    async def read() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return read


def _fields(headers: Headers, body: bytes) -> dict[str, list[str]] | None:
    """The fields of a form, none of anything else; None of a form that can't be read."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        return {}
    try:
        return parse_qs(
            body.decode(),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        return None
