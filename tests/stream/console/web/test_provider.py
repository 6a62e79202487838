"""What the console takes from a provider: tokens, keys, what it says of itself; and one away."""

import asyncio
import base64
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from stream.console.settings import ConsoleSettings
from stream.console.web.signin import provider
from stream.console.web.signin.provider import Provider
from stream.errors import SettingsError
from tests.stream.console.web import company as companies
from tests.stream.console.web.company import CLIENT_ID, CLIENT_SECRET, Claims, Company, changed
from tests.stream.console.web.office import Office, settings_of
from tests.stream.console.web.site import ORIGIN, Site

pytestmark = pytest.mark.asyncio(loop_scope="module")


def unsigned(company: Company, claims: Claims) -> str:
    def part(value: Mapping[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none'})}.{part(claims)}."


def by_secret(company: Company, claims: Claims) -> str:
    key = OctKey.import_key(CLIENT_SECRET)
    return jwt.encode({"alg": "HS256", "kid": company.key.kid}, claims, key, algorithms=["HS256"])


def by_another_key(company: Company, claims: Claims) -> str:
    key = companies.new_key()
    return jwt.encode({"alg": "ES256", "kid": company.key.kid}, claims, key, algorithms=["ES256"])


def cut(company: Company, claims: Claims) -> str:
    return companies.signed(company, claims)[:-4]


NOW = int(time.time())


@pytest.mark.parametrize(
    ("claims", "sign"),
    [
        (changed(nonce="another"), None), (changed(nonce=None), None),
        (changed(aud="another client"), None), (changed(aud=None), None),
        (changed(aud=[CLIENT_ID, "another"], azp="another"), None),
        (changed(aud=[CLIENT_ID, "another"]), None),
        (changed(exp=NOW - 120), None), (changed(exp=None), None), (changed(exp=True), None),
        (changed(iat=NOW + 3600), None), (changed(nbf=NOW + 3600), None),
        (changed(iss="https://accounts.evil.example"), None), (changed(iss=None), None),
        (changed(sub=""), None), (changed(sub=None), None), (changed(sub=7), None),
        (changed(at_hash="another token's"), None),
        (changed(), unsigned), (changed(), by_secret), (changed(), by_another_key),
        (changed(), cut),
    ],
)  # fmt: skip
async def test_a_token_that_was_not_made_for_this_sign_in_is_refused(
    office: Office,
    claims: Callable[[Claims], Claims],
    sign: Callable[[Company, Claims], str] | None,
) -> None:
    office.company.claims, office.company.sign = claims, sign
    client = office.site.client()
    answer = await office.sign_in(client)
    assert answer.status_code == 403 and "was refused" in answer.text
    assert "samesource_session" not in client.cookies
    assert (await client.get("/queue")).status_code == 303


async def test_a_token_for_several_that_was_asked_for_by_us_is_good(office: Office) -> None:
    soon = int(time.time()) + 60  # now, and not when this file was read
    office.company.claims = changed(aud=[CLIENT_ID, "another"], azp=CLIENT_ID, exp=soon)
    assert (await office.sign_in()).headers.get("location") == "/queue"


async def test_what_the_token_leaves_out_is_asked_for(office: Office) -> None:
    office.company.user = {"sub": "00u9"}
    office.company.more = {"email": "thin@copies.example", "groups": ["chiefs"]}
    client = office.site.client()
    assert (await office.sign_in(client)).status_code == 303
    assert "thin@copies.example · admin" in (await client.get("/queue")).text
    office.company.more["sub"] = "somebody else"
    assert (await office.sign_in()).status_code == 403


async def test_keys_that_have_changed_are_read_again(office: Office) -> None:
    for _ in range(2):
        assert (await office.sign_in()).status_code == 303
    assert office.company.asked["/keys"] == 1
    assert office.company.asked["/.well-known/openid-configuration"] == 1
    office.company.key = companies.new_key()
    assert (await office.sign_in()).status_code == 303
    assert office.company.asked["/keys"] == 2


async def test_what_the_provider_says_of_itself_is_read_again_after_an_hour(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = [0.0]
    made = Provider(office.site.console.settings.console, lambda: 3600 * hours[0])
    monkeypatch.setattr(office.site.console, "provider", made)
    for hour, asked in ((0.0, 1), (0.9, 1), (1.1, 2)):
        hours[0] = hour
        assert (await office.sign_in()).status_code == 303
        assert office.company.asked["/.well-known/openid-configuration"] == asked


@pytest.mark.timed
@pytest.mark.parametrize("how", ["gone", "silent", "broken"])
async def test_a_provider_that_is_away_is_told_on_the_sign_in_page(
    site: Site, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    company, seconds = Company(), [0.0]
    async with companies.running(company):
        settings = settings_of(company)
        made = Provider(settings, lambda: seconds[0])
        monkeypatch.setattr(site.console, "provider", made)
        office = Office(site, company)
        company.waits = 60.0 if how == "silent" else 0.0
        company.about = {"issuer": 7} if how == "broken" else {}
        if how != "gone":
            began = time.monotonic()
            with monkeypatch.context() as hurried:
                if how == "silent":  # who answers needn't be quick
                    short = settings_of(company, oidc_timeout_seconds=0.5)
                    hurried.setattr(made, "_settings", short)
                answer = await site.client().get("/signin/account?next=/library")
            assert time.monotonic() - began < 5
    if how == "gone":
        answer = await site.client().get("/signin/account?next=/library")
    assert answer.status_code == 503
    said = "isn't set up rightly" if how == "broken" else "can't be reached"
    assert said in answer.text.replace("&#39;", "'")
    # The other ways in are there as ever, and lead where this one would have.
    assert 'name="token"' in answer.text and 'value="/library"' in answer.text
    assert (await (await site.browser()).get("/queue")).status_code == 200
    assert (await site.client().get("/signin")).status_code == 200
    company.waits, company.about = 0.0, {}
    monkeypatch.setattr(site.console, "settings", with_console(site, settings))
    async with companies.running(company):
        seconds[0] += 6  # it is left alone for five
        assert (await office.sign_in()).status_code == 303


def with_console(site: Site, console: ConsoleSettings) -> Any:
    return site.settings.model_copy(update={"console": console})


async def test_one_that_did_not_answer_is_left_alone_for_a_moment(office: Office) -> None:
    office.company.hangs_up = True
    made = Provider(settings_of(office.company), lambda: 0.0)

    async def ask() -> None:
        with pytest.raises(provider.ProviderAwayError):
            await made.sign_out_url(ORIGIN)

    await asyncio.gather(*(ask() for _ in range(20)))
    await ask()
    assert office.company.asked["/.well-known/openid-configuration"] == 1


async def test_one_that_is_away_for_a_while_is_taken_as_it_was() -> None:
    company, seconds = Company(), [0.0]
    async with companies.running(company):
        made = Provider(settings_of(company), lambda: seconds[0])
        told = await made.sign_out_url(ORIGIN)
        assert told is not None and made.can_sign_out
    seconds[0] += 2 * 3600
    assert await made.sign_out_url(ORIGIN) == told


@pytest.mark.parametrize(
    "about",
    [
        {"issuer": "https://accounts.evil.example"},
        {"token_endpoint": "http://accounts.evil.example/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": None},
    ],
)
async def test_a_provider_that_says_what_it_should_not_is_not_used(
    office: Office, about: Claims
) -> None:
    office.company.about = about
    answer = await office.site.client().get("/signin/account")
    assert answer.status_code == 503 and "location" not in answer.headers
    assert "set up rightly" in answer.text


async def test_the_secret_may_be_in_a_file_that_is_renewed(
    office: Office, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secret"
    fields = {"oidc_client_secret": None, "oidc_client_secret_file": file}
    settings = settings_of(office.company, **fields)
    with pytest.raises(SettingsError, match="oidc_client_secret_file"):
        Provider(settings)
    file.write_text("an old one")
    monkeypatch.setattr(office.site.console, "provider", Provider(settings))
    assert (await office.sign_in()).status_code == 403
    file.write_text(f"{CLIENT_SECRET}\n")
    assert (await office.sign_in()).status_code == 303
