"""A small OpenID provider on the loopback: discovery, keys, authorization code with PKCE, userinfo.

Serves the tests of signing in with the company's account. Whoever comes is signed in at once, as
`user` says; the other attributes make it do what no provider should.
"""

import asyncio
import base64
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import ECKey, Key, KeySet

CLIENT_ID, CLIENT_SECRET = "console", "a secret of the client: +/%"
ANNA: Mapping[str, Any] = {
    "sub": "00u1", "email": "anna@copies.example", "email_verified": True, "groups": ["reviewers"],
}  # fmt: skip
Claims = dict[str, Any]


def new_key() -> ECKey:
    """To sign with, under an id of its own."""
    return ECKey.generate_key("P-256", {"kid": secrets.token_hex(4), "alg": "ES256", "use": "sig"})


@dataclass
class Company:
    """The provider.

    Attributes:
        user: claims of whoever signs in; `sub` and those that the id token carries.
        more: that userinfo tells alone.
        about: changes what it says of itself.
        claims: changes an id token's claims before it is signed.
        sign: signs them.
        asked: how often each path was asked for.
        waits: before each answer, in seconds.
        hangs_up: instead of answering.
    """

    port: int = 0
    user: Mapping[str, Any] = field(default_factory=lambda: ANNA)
    more: Claims = field(default_factory=dict)
    about: Claims = field(default_factory=dict)
    claims: Callable[[Claims], Claims] = lambda claims: claims
    key: Key = field(default_factory=new_key)
    sign: Callable[["Company", Claims], str] | None = None
    asked: dict[str, int] = field(default_factory=dict)
    waits: float = 0.0
    hangs_up: bool = False
    _codes: dict[str, Mapping[str, str]] = field(default_factory=dict)
    _access: set[str] = field(default_factory=set)

    @property
    def issuer(self) -> str:
        """As it calls itself."""
        return f"http://127.0.0.1:{self.port}"

    def app(self) -> web.Application:
        """Its pages."""
        made = web.Application(middlewares=[self._counted])
        made.router.add_get("/.well-known/openid-configuration", self._about)
        made.router.add_get("/keys", self._keys)
        made.router.add_get("/authorize", self._authorize)
        made.router.add_post("/token", self._token)
        made.router.add_get("/userinfo", self._userinfo)
        made.router.add_get("/out", self._out)
        return made

    @web.middleware
    async def _counted(
        self, request: web.Request, handler: Callable[[web.Request], Any]
    ) -> web.StreamResponse:
        self.asked[request.path] = self.asked.get(request.path, 0) + 1
        if self.hangs_up and request.transport is not None:
            request.transport.close()
        await asyncio.sleep(self.waits)
        answered = await handler(request)
        assert isinstance(answered, web.StreamResponse)
        return answered

    async def _about(self, request: web.Request) -> web.Response:
        paths = {
            "authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys",
            "userinfo_endpoint": "userinfo", "end_session_endpoint": "out",
        }  # fmt: skip
        found = {name: f"{self.issuer}/{path}" for name, path in paths.items()}
        return web.json_response({"issuer": self.issuer, **found, **self.about})

    async def _keys(self, request: web.Request) -> web.Response:
        return web.json_response(KeySet([self.key]).as_dict(private=False))

    async def _authorize(self, request: web.Request) -> web.Response:
        asked = dict(request.query)
        expected = {
            "response_type": "code",
            "client_id": CLIENT_ID,
            "code_challenge_method": "S256",
        }
        assert {name: asked.get(name) for name in expected} == expected, asked
        assert "openid" in asked["scope"].split(), asked
        code = secrets.token_urlsafe(8)
        self._codes[code] = asked
        back = urlencode({"code": code, "state": asked["state"], "iss": self.issuer})
        raise web.HTTPFound(f"{asked['redirect_uri']}?{back}")

    async def _token(self, request: web.Request) -> web.Response:
        form: Mapping[str, Any] = await request.post()
        code = self._codes.pop(str(form.get("code")), None)  # good for once
        if not _is_client(request.headers.get("Authorization", "")):
            return web.json_response({"error": "invalid_client"}, status=401)
        challenge = create_s256_code_challenge(str(form.get("code_verifier")))
        if (
            code is None
            or form.get("grant_type") != "authorization_code"
            or form.get("redirect_uri") != code["redirect_uri"]
            or challenge != code["code_challenge"]
        ):
            return web.json_response({"error": "invalid_grant"}, status=400)
        now, access = int(time.time()), secrets.token_urlsafe(8)
        self._access.add(access)
        claims = {
            "iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300,
            "nonce": code["nonce"], **self.user,
        }  # fmt: skip
        sign = self.sign or signed
        given = {"access_token": access, "token_type": "Bearer", "expires_in": 300}
        return web.json_response(given | {"id_token": sign(self, self.claims(claims))})

    async def _userinfo(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self._access:
            return web.json_response({"error": "invalid_token"}, status=401)
        return web.json_response({**self.user, **self.more})

    async def _out(self, request: web.Request) -> web.Response:
        # With an icon, or browsers ask for one that isn't there.
        page = '<!doctype html><link rel="icon" href="data:,"><p>signed out'
        return web.Response(text=page, content_type="text/html")


def signed(company: Company, claims: Claims) -> str:
    """An id token as it should be."""
    header = {"alg": "ES256", "kid": company.key.kid}
    return jwt.encode(header, claims, company.key, algorithms=["ES256"])


def changed(**fields: Any) -> Callable[[Claims], Claims]:
    """Claims with others in them; None leaves one out."""

    def change(claims: Claims) -> Claims:
        return {name: v for name, v in (claims | fields).items() if v is not None}

    return change


def _is_client(authorization: str) -> bool:
    """Whether these are the client's own words, each as a form writes it (RFC 6749, 2.3.1)."""
    kind, _, coded = authorization.partition(" ")
    return kind == "Basic" and base64.b64decode(coded).decode() in (
        f"{CLIENT_ID}:{CLIENT_SECRET}",
        urlencode({CLIENT_ID: CLIENT_SECRET}).replace("=", ":", 1),
    )


@asynccontextmanager
async def running(company: Company) -> AsyncIterator[None]:
    """It answers for the time of the block; on the port of the last time, if it had one."""
    runner = web.AppRunner(company.app(), shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", company.port, reuse_address=True)
        await site.start()
        company.port = runner.addresses[0][1]
        yield
    finally:
        await runner.cleanup()
