"""The company's OpenID provider: what it says of itself, its keys, and whom it vouches for.

What it says of itself is kept for an hour, and its keys until one is missing. Everything it is
asked during a sign-in has one time limit, and one that doesn't answer is left alone for a moment.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx2
from authlib.common.urls import add_params_to_uri
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel, ValidationError

from stream.console.oidc_settings import OidcSettings, is_safe
from stream.console.web.signin.attempt import Attempt
from stream.errors import SettingsError, brief

log = logging.getLogger(__name__)

WELL_KNOWN = "/.well-known/openid-configuration"
KEPT_SECONDS = 3600.0  # what the provider says of itself; set by hand
ALONE_SECONDS = 5.0  # for which one that didn't answer isn't asked again; set by hand
ABOUT_SHARE = 0.8  # of the time for all: who waits no longer than that can say who didn't answer
LEEWAY_SECONDS = 60  # that its clock may be ahead of ours or behind; set by hand
MAX_BYTES = 2**20  # of an answer: a large company's keys are some 10 KB
# Those of a key pair alone: a token that is signed by nothing, or by a text which is known to
# more than the provider, vouches for nobody.
ALGORITHMS = tuple(f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512))
AUTH_METHODS = ("client_secret_basic", "client_secret_post")


class ProviderAwayError(Exception):
    """It can't be reached, or doesn't answer in time."""


class ProviderError(Exception):
    """Its answer can't be used; the text says why, for operators."""


class NotVouchedError(Exception):
    """It vouches for nobody; the text says why, for operators."""


class _About(BaseModel):
    """What a provider says of itself, as far as it is needed."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = AUTH_METHODS[:1]


@dataclass
class _Kept:
    about: _About
    until: float


class Provider:
    """Signs people in by the code flow, with PKCE, state and nonce."""

    def __init__(self, settings: OidcSettings, clock: Callable[[], float] = time.monotonic) -> None:
        """Ask nothing yet.

        Args:
            settings: with an issuer.
            clock: the time in seconds, for tests.

        Raises:
            SettingsError: the file of the client's secret can't be read.
        """
        self._settings, self._clock = settings, clock
        self._kept: _Kept | None = None
        self._keys: KeySet | None = None
        self._asking = asyncio.Lock()
        self._alone_until = float("-inf")
        self._secret()  # that it can't be read should be told at the start

    @property
    def issuer(self) -> str:
        """As the settings name it."""
        assert self._settings.oidc_issuer is not None
        return self._settings.oidc_issuer

    @property
    def can_sign_out(self) -> bool:
        """Whether it is known to have a page for that."""
        return self._kept is not None and self._kept.about.end_session_endpoint is not None

    async def sign_in_url(self, attempt: Attempt, back_to: str) -> str:
        """Where somebody signs in, to come back with a code.

        Raises:
            ProviderAwayError: it doesn't answer.
            ProviderError: its answer can't be used.
        """
        async with self._in_time():
            about = await self._about()
            async with self._client(about, back_to) as client:
                url, _ = client.create_authorization_url(
                    about.authorization_endpoint,
                    state=attempt.state,
                    code_verifier=attempt.verifier,
                    nonce=attempt.nonce,
                )
        return str(url)

    async def sign_out_url(self, back_to: str) -> str | None:
        """Where somebody signs out of the company's account; None where it has no such page.

        Raises:
            ProviderAwayError: it doesn't answer.
            ProviderError: its answer can't be used.
        """
        async with self._in_time():
            end = (await self._about()).end_session_endpoint
        told = {
            "client_id": self._settings.oidc_client_id,
            "post_logout_redirect_uri": back_to,
        }
        return None if end is None else str(add_params_to_uri(end, [*told.items()]))

    async def claims(self, code: str, attempt: Attempt, back_to: str) -> Mapping[str, Any]:
        """What it says of whoever came back with a code.

        Raises:
            ProviderAwayError: it doesn't answer.
            ProviderError: its answer can't be used.
            NotVouchedError: it refuses the code, or its token isn't for this sign-in.
        """
        async with self._in_time():
            about = await self._about()
            async with self._client(about, back_to) as client:
                try:
                    token = await client.fetch_token(
                        about.token_endpoint,
                        grant_type="authorization_code",
                        code=code,
                        code_verifier=attempt.verifier,
                    )
                except OAuthError as error:
                    raise NotVouchedError(f"the code was refused: {error.error}") from error
                id_token, access_token = token.get("id_token"), token.get("access_token")
                if not isinstance(id_token, str):
                    raise ProviderError("the token endpoint gave no id_token")
                found = await self._verified(about, client, id_token, access_token, attempt.nonce)
                if self._is_thin(found) and about.userinfo_endpoint and access_token:
                    found = await self._with_userinfo(about, client, access_token, found)
        return found

    async def _verified(
        self,
        about: _About,
        client: AsyncOAuth2Client,
        id_token: str,
        access_token: str | None,
        nonce: str,
    ) -> dict[str, Any]:
        """The claims of a token that this provider made, for us, for this sign-in, just now."""
        try:
            try:
                keys = self._keys or await self._fetched_keys(about, client)
                token = jwt.decode(id_token, keys, algorithms=ALGORITHMS)
            except (InvalidKeyIdError, BadSignatureError):
                # Its keys change from time to time. A token of whose key it knows nothing costs one
                # question, and comes from its own token endpoint.
                keys = await self._fetched_keys(about, client)
                token = jwt.decode(id_token, keys, algorithms=ALGORITHMS)
            client_id = self._settings.oidc_client_id
            claims = CodeIDToken(
                token.claims,
                token.header,
                options={
                    "iss": {"essential": True, "value": self.issuer},
                    "aud": {"essential": True, "value": client_id},
                    "sub": {"essential": True},
                    "nonce": {"essential": True, "value": nonce},
                },
                params={"nonce": nonce, "client_id": client_id, "access_token": access_token},
            )
            claims.validate(leeway=LEEWAY_SECONDS)
        except (JoseError, ValueError) as error:
            told = f"the id_token is no good: {type(error).__name__}: {brief(error, 200)}"
            raise NotVouchedError(told) from error
        return dict(claims)

    def _is_thin(self, claims: Mapping[str, Any]) -> bool:
        """Whether something is missing that some providers tell on request alone."""
        wanted = {self._settings.oidc_name_claim, self._settings.oidc_role_claim}
        return any(value_of(claims, name) is None for name in wanted)

    async def _with_userinfo(
        self,
        about: _About,
        client: AsyncOAuth2Client,
        access_token: str,
        claims: dict[str, Any],
    ) -> dict[str, Any]:
        assert about.userinfo_endpoint is not None
        more = await self._got(
            client, about.userinfo_endpoint, {"Authorization": f"Bearer {access_token}"}
        )
        if more.get("sub") != claims["sub"]:
            raise NotVouchedError("userinfo is about somebody else than the id_token")
        return {**more, **claims}  # what is signed outweighs

    async def _about(self) -> _About:
        """What it says of itself, an hour old at most; older while it is away."""
        async with self._asking:  # of many who sign in at once, one asks
            kept, now = self._kept, self._clock()
            if kept is not None and now < kept.until:
                return kept.about
            try:
                found = await self._asked_about(now)
            except ProviderAwayError:
                if now >= self._alone_until:
                    self._alone_until = self._clock() + ALONE_SECONDS
                if kept is None:
                    raise
                return kept.about
            self._kept = _Kept(_checked(found, self.issuer), now + KEPT_SECONDS)
            return self._kept.about

    async def _asked_about(self, now: float) -> dict[str, Any]:
        if now < self._alone_until:
            raise ProviderAwayError("it didn't answer a moment ago")
        seconds = ABOUT_SHARE * self._settings.oidc_timeout_seconds
        async with self._in_time(seconds), self._client() as client:
            return await self._got(client, self.issuer.rstrip("/") + WELL_KNOWN)

    async def _fetched_keys(self, about: _About, client: AsyncOAuth2Client) -> KeySet:
        found: Any = await self._got(client, about.jwks_uri)
        try:
            self._keys = KeySet.import_key_set(found)
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise ProviderError(f"{about.jwks_uri}: no keys: {brief(error, 200)}") from error
        return self._keys

    async def _got(
        self, client: AsyncOAuth2Client, url: str, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """The JSON object at a URL."""
        own = {"Accept": "application/json", **(headers or {})}
        # Without the client's own way to sign in: these are for everybody, or bring a token.
        async with client.stream("GET", url, headers=own, withhold_token=True) as answer:
            if answer.status_code >= 500 or answer.status_code == 429:
                raise ProviderAwayError(f"{url} answered {answer.status_code}")
            if answer.status_code != 200:
                raise ProviderError(f"{url} answered {answer.status_code}, expected 200")
            body = b""
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > MAX_BYTES:
                    raise ProviderError(f"{url} answered more than {MAX_BYTES} bytes")
        found = httpx2.Response(200, content=body).json()
        if not isinstance(found, dict):
            raise ProviderError(f"{url}: expected a JSON object")
        return found

    def _client(self, about: _About | None = None, back_to: str | None = None) -> AsyncOAuth2Client:
        own, secret = self._settings, self._secret()
        methods = () if about is None else about.token_endpoint_auth_methods_supported
        known = next((each for each in AUTH_METHODS if each in methods), AUTH_METHODS[0])
        return AsyncOAuth2Client(
            own.oidc_client_id,
            secret,
            token_endpoint_auth_method=known if secret else "none",
            scope=" ".join(own.oidc_scopes),
            redirect_uri=back_to,
            code_challenge_method="S256",
            verify=_trusted(),
            timeout=own.oidc_timeout_seconds,
            follow_redirects=False,  # a code or a secret goes where the provider said, or nowhere
            trust_env=False,
        )

    def _secret(self) -> str | None:
        """Read each time, as it may be renewed."""
        file, given = self._settings.oidc_client_secret_file, self._settings.oidc_client_secret
        if file is None:
            return None if given is None else given.get_secret_value()
        try:
            return file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"console.oidc_client_secret_file = {str(file)!r} can't be read ({error}): name a "
                "file that holds the secret alone"
            ) from error

    @asynccontextmanager
    async def _in_time(self, seconds: float | None = None) -> AsyncIterator[None]:
        """The time limit, and one kind of error for all ways not to answer."""
        try:
            async with asyncio.timeout(seconds or self._settings.oidc_timeout_seconds):
                yield
        except TimeoutError as error:
            raise ProviderAwayError("it doesn't answer in time") from error
        except httpx2.HTTPStatusError as error:
            raise ProviderAwayError(f"it answered {error.response.status_code}") from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise ProviderAwayError(f"{type(error).__name__}: {brief(error, 200)}") from error
        except (ValueError, TypeError) as error:  # no JSON, or other JSON than is expected
            raise ProviderError(brief(error, 200)) from error


@cache
def _trusted() -> ssl.SSLContext:
    """The authorities that this machine trusts: a company may have one of its own."""
    return ssl.create_default_context()


def _checked(found: dict[str, Any], issuer: str) -> _About:
    try:
        about = _About.model_validate(found)
    except ValidationError as error:
        raise ProviderError(f"what {issuer} says of itself: {brief(error, 200)}") from error
    if about.issuer != issuer:
        raise ProviderError(f"it calls itself {about.issuer!r}, console.oidc_issuer = {issuer!r}")
    for url in (about.authorization_endpoint, about.token_endpoint, about.jwks_uri,
                about.userinfo_endpoint, about.end_session_endpoint):  # fmt: skip
        if url is not None and not is_safe(url):
            raise ProviderError(f"it names {url!r}, expected https://…")
    return about


def value_of(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or through objects by the dots in it; None where there is none."""
    if name in claims:
        return claims[name]
    head, dot, rest = name.partition(".")
    inner = claims.get(head) if dot else None
    return value_of(inner, rest) if isinstance(inner, Mapping) else None
