"""What the claims of a company's account make of a person: name, role, whose references."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stream.console.oidc_settings import OidcSettings
from stream.console.store.desk import Role
from stream.console.store.sign_ins import MAX_OWNERS
from stream.console.web.signin.provider import value_of
from stream.console.web.signin.rights import RANKS

LONGEST_NAME = 512  # as the contract bounds a reviewer's name
NO_NAME = "Your account has no name that the console knows: ask an operator."
NOT_VERIFIED = "Your e-mail address isn't verified: verify it at your company's account first."
OTHER_DOMAIN = "Accounts of your e-mail domain may not sign in here."
OTHER_GROUP = "Your account isn't in a group that may sign in here: ask an operator."
NO_ROLE = "Your account has no role in the console: ask an operator."
NO_OWNERS = "Your account has the role of a rights holder, but no owner ids: ask an operator."

TOO_MANY_OWNERS = f"Your account has more than {MAX_OWNERS} owner ids: ask an operator."


class NotWelcomeError(Exception):
    """An account that may not sign in.

    Attributes:
        name: of the person, as far as it is known.
    """

    def __init__(self, told: str, name: str | None = None) -> None:
        super().__init__(told)
        self.name = name


@dataclass(frozen=True)
class Account:
    """Who signs in."""

    name: str
    role: Role
    owner_ids: tuple[str, ...]


def account_of(claims: Mapping[str, Any], settings: OidcSettings) -> Account:
    """The person that a provider vouches for.

    Raises:
        NotWelcomeError: they may not sign in; the text says why, for them.
    """
    verified = claims.get("email_verified")
    # Some providers send it as text. One that says nothing vouches for its addresses as a whole.
    is_verified = verified is True or str(verified).lower() == "true"
    if settings.oidc_name_claim == "email" and verified is not None and not is_verified:
        raise NotWelcomeError(NOT_VERIFIED)
    name = value_of(claims, settings.oidc_name_claim)
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= LONGEST_NAME:
        raise NotWelcomeError(NO_NAME)
    if settings.oidc_domains:
        domain = str(claims.get("email") or "").lower().rpartition("@")[2]
        if domain not in settings.oidc_domains:
            raise NotWelcomeError(OTHER_DOMAIN, name)
        # Here silence isn't enough: at some providers people write any address themselves.
        if not is_verified:
            raise NotWelcomeError(NOT_VERIFIED, name)
    values = texts_of(value_of(claims, settings.oidc_role_claim))
    if settings.oidc_groups and not {*settings.oidc_groups} & {*values}:
        raise NotWelcomeError(OTHER_GROUP, name)
    role = _role(values, settings)
    if role is None:
        raise NotWelcomeError(NO_ROLE, name)
    owners = texts_of(value_of(claims, settings.oidc_owner_claim)) if role == "holder" else ()
    if role == "holder" and not owners:
        raise NotWelcomeError(NO_OWNERS, name)
    if len(owners) > MAX_OWNERS:
        raise NotWelcomeError(TOO_MANY_OWNERS, name)
    return Account(name, role, owners)


def _role(values: tuple[str, ...], settings: OidcSettings) -> Role | None:
    given: list[Role] = [
        settings.oidc_roles[each] for each in values if each in settings.oidc_roles
    ]
    return max(given, key=lambda role: RANKS[role], default=settings.oidc_default_role)


def texts_of(value: Any) -> tuple[str, ...]:
    """The texts of a claim: one, or a list of them."""
    found = value if isinstance(value, list) else [value]
    return tuple(dict.fromkeys(each for each in found if isinstance(each, str) and each))
