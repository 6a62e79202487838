"""Settings of signing in with the company's account (OpenID Connect); part of `[console]`."""

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
AccountRole = Literal["viewer", "reviewer", "admin", "holder"]


class OidcSettings(BaseModel):
    """The provider, and what its claims make of a person.

    Attributes:
        oidc_issuer: of the provider, as it writes it itself; without one nobody signs in this way.
        oidc_client_id: under which the provider knows the console.
        oidc_client_secret: the same; none of a public client.
        oidc_client_secret_file: a file that holds it instead.
        oidc_scopes: that are asked for.
        oidc_name_claim: what a person is called in verdicts and in the audit log.
        oidc_role_claim: where roles or groups stand; dots lead into objects.
        oidc_roles: which role a value of that claim gives; of several the one that may most.
        oidc_default_role: of whoever has none of these values; they are turned away without it.
        oidc_domains: of which the e-mail address must be, and be verified; any when empty.
        oidc_groups: of which `oidc_role_claim` must have one; any when empty.
        oidc_owner_claim: where a rights holder's owner ids stand.
        oidc_timeout_seconds: for all that the provider is asked during one sign-in.
    """

    oidc_issuer: str | None = None
    oidc_client_id: str | None = None
    oidc_client_secret: SecretStr | None = None
    oidc_client_secret_file: Path | None = None
    oidc_scopes: tuple[str, ...] = ("openid", "profile", "email")
    oidc_name_claim: str = Field(default="email", min_length=1)
    oidc_role_claim: str = Field(default="groups", min_length=1)
    oidc_roles: dict[str, AccountRole] = {}
    # A rights holder without owner ids would see nothing: no role for just anybody.
    oidc_default_role: Literal["viewer", "reviewer", "admin"] | None = None
    oidc_domains: tuple[str, ...] = ()
    oidc_groups: tuple[str, ...] = ()
    oidc_owner_claim: str = Field(default="owner_ids", min_length=1)
    oidc_timeout_seconds: float = Field(default=10.0, gt=0, le=60)  # set by hand

    @field_validator("oidc_issuer")
    @classmethod
    def _is_safe(cls, url: str | None) -> str | None:
        if url is not None and not is_safe(url):
            raise ValueError("expected https://…, or http://… on the loopback")
        return url

    @field_validator("oidc_scopes")
    @classmethod
    def _asks_who_it_is(cls, scopes: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in scopes:
            raise ValueError("expected openid among them: without it the provider names nobody")
        return scopes

    @field_validator("oidc_domains")
    @classmethod
    def _in_small_letters(cls, domains: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(domain.lower().removeprefix("@") for domain in domains)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.oidc_issuer is None:
            return self
        if not self.oidc_client_id:
            raise ValueError("oidc_issuer without oidc_client_id: the provider gives one out")
        if self.oidc_client_secret is not None and self.oidc_client_secret_file is not None:
            raise ValueError("oidc_client_secret and oidc_client_secret_file: keep one of the two")
        if not self.oidc_roles and self.oidc_default_role is None:
            raise ValueError(
                "oidc_issuer without oidc_roles and oidc_default_role: nobody would get in"
            )
        return self


def is_safe(url: str) -> bool:
    """Whether nobody on the way to a URL can read or change what is sent."""
    parts = urlsplit(url)
    on_loopback = parts.scheme == "http" and parts.hostname in LOOPBACK_NAMES
    return bool(parts.hostname) and (parts.scheme == "https" or on_loopback)
