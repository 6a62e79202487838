"""Which account gets in, and in which role, by its claims and the settings."""

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from stream.console.web.pages import account as pages
from stream.console.web.signin import account
from stream.console.web.signin.account import NotWelcomeError, account_of
from tests.stream.console.web.company import ANNA, CLIENT_SECRET, Claims, Company, changed
from tests.stream.console.web.office import settings_of


@pytest.mark.parametrize(
    ("fields", "claims", "words"),
    [
        ({}, {"email": None}, account.NO_NAME),
        ({}, {"email": "a\nb"}, account.NO_NAME),
        ({}, {"email": ["a"]}, account.NO_NAME),
        ({}, {"email_verified": False}, account.NOT_VERIFIED),
        ({}, {"groups": ["others"]}, account.NO_ROLE),
        ({}, {"groups": None}, account.NO_ROLE),
        ({}, {"groups": ["leagues"]}, account.NO_OWNERS),
        ({}, {"groups": ["leagues"], "owner_ids": [*map(str, range(51))]}, account.TOO_MANY_OWNERS),
        ({"oidc_domains": ["other.example"]}, {}, account.OTHER_DOMAIN),
        ({"oidc_domains": ["copies.example"]}, {"email": "a@evil.copies.example"},
         account.OTHER_DOMAIN),
        ({"oidc_domains": ["copies.example"]}, {"email": "a@copies.example@evil.example"},
         account.OTHER_DOMAIN),
        ({"oidc_domains": ["copies.example"]}, {"email_verified": None}, account.NOT_VERIFIED),
        ({"oidc_groups": ["staff"]}, {}, account.OTHER_GROUP),
    ],
)  # fmt: skip
def test_an_account_that_may_not_sign_in_is_told_why(
    fields: dict[str, Any], claims: Claims, words: str
) -> None:
    settings = settings_of(Company(port=1), **fields)
    with pytest.raises(NotWelcomeError, match=words):
        account_of(changed(**claims)(dict(ANNA)), settings)
    assert words in pages.TEXTS


@pytest.mark.parametrize(
    ("fields", "claims", "role"),
    [
        ({}, {}, "reviewer"),
        ({}, {"groups": "chiefs"}, "admin"),
        ({}, {"groups": ["leagues", "reviewers", "chiefs", 7]}, "admin"),
        ({}, {"email_verified": None}, "reviewer"),
        ({"oidc_default_role": "viewer"}, {"groups": []}, "viewer"),
        ({"oidc_domains": ["@Copies.Example"]}, {}, "reviewer"),
        ({"oidc_domains": ["copies.example"]}, {"email_verified": "true"}, "reviewer"),
        ({"oidc_groups": ["reviewers"]}, {}, "reviewer"),
        ({"oidc_role_claim": "realm_access.roles"}, {"realm_access": {"roles": ["chiefs"]}},
         "admin"),
        ({"oidc_role_claim": "https://copies.example/roles"},
         {"https://copies.example/roles": ["chiefs"]}, "admin"),
    ],
)  # fmt: skip
def test_roles_follow_from_the_claims(fields: dict[str, Any], claims: Claims, role: str) -> None:
    settings = settings_of(Company(port=1), **fields)
    assert account_of(changed(**claims)(dict(ANNA)), settings).role == role


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"oidc_issuer": "http://accounts.example"}, "expected https"),
        ({"oidc_issuer": "accounts.example"}, "expected https"),
        ({"oidc_client_id": None}, "oidc_client_id"),
        ({"oidc_client_secret_file": "secret"}, "keep one of the two"),
        ({"oidc_roles": {}}, "nobody would get in"),
        ({"oidc_roles": {"a": "boss"}}, "viewer"),
        ({"oidc_scopes": ["email"]}, "openid"),
        ({"oidc_default_role": "holder"}, "viewer"),
        ({"host": "0.0.0.0"}, "public_url"),
    ],
)
def test_settings_that_can_not_work_are_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        settings_of(Company(port=1), **fields)


def test_the_secret_is_shown_nowhere() -> None:
    settings = settings_of(Company(port=1))
    assert isinstance(settings.oidc_client_secret, SecretStr)
    assert CLIENT_SECRET not in repr(settings) + str(settings.model_dump(mode="json"))
