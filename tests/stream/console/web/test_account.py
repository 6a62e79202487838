"""Signing in with the company's account, at a provider that answers over HTTP as theirs do."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import OctKey
from pydantic import SecretStr, ValidationError

from stream.console.settings import ConsoleSettings
from stream.console.web.pages import account as pages
from stream.console.web.signin import account, provider
from stream.console.web.signin.account import NotWelcomeError, account_of
from stream.console.web.signin.limits import Attempts
from stream.console.web.signin.provider import Provider
from stream.errors import SettingsError
from tests.stream.console.web import company as companies
from tests.stream.console.web.company import ANNA, CLIENT_ID, CLIENT_SECRET, Claims, Company
from tests.stream.console.web.site import ORIGIN, Site, running_site

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROLES = {"reviewers": "reviewer", "chiefs": "admin", "leagues": "holder"}


@dataclass
class Office:
    """A console, and the provider that its settings name."""

    site: Site
    company: Company

    async def to_provider(self, client: httpx2.AsyncClient, next: str = "/queue") -> str:
        """Where the console sends somebody."""
        answer = await client.get("/signin/account", params={"next": next})
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    async def back(self, location: str) -> str:
        """Where the provider sends them: path and query."""
        async with httpx2.AsyncClient(trust_env=False) as browser:
            answer = await browser.get(location)
        assert answer.status_code == 302, answer.text
        url = str(answer.headers["location"])
        assert url.startswith(f"{ORIGIN}/signin/account/back?")
        return url.removeprefix(ORIGIN)

    async def sign_in(
        self, client: httpx2.AsyncClient | None = None, next: str = "/queue"
    ) -> httpx2.Response:
        """All of it."""
        browser = client or self.site.client()
        return await browser.get(await self.back(await self.to_provider(browser, next)))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A console; each test has a provider of its own."""
    async with running_site(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def office(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Office]:
    """A console that a provider of this test's own signs people in to."""
    company = Company()
    async with companies.running(company):
        settings = settings_of(company)
        whole = site.settings.model_copy(update={"console": settings})
        monkeypatch.setattr(site.console, "settings", whole)
        monkeypatch.setattr(site.console, "provider", Provider(settings))
        monkeypatch.setattr(site.console, "attempts", Attempts())
        yield Office(site, company)


def settings_of(company: Company, **fields: Any) -> ConsoleSettings:
    """Of a console that the provider knows."""
    return ConsoleSettings.model_validate({
        "oidc_issuer": company.issuer,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": CLIENT_SECRET,
        "oidc_roles": ROLES,
        "oidc_timeout_seconds": 5.0,
    } | fields)  # fmt: skip


async def test_an_account_signs_in_with_its_role(office: Office) -> None:
    client = office.site.client()
    page = await client.get("/signin?next=/queue?state=held")
    assert 'href="/signin/account?next=%2Fqueue%3Fstate%3Dheld"' in page.text
    answer = await office.sign_in(client, "/queue?state=held")
    assert answer.status_code == 303 and answer.headers["location"] == "/queue?state=held"
    assert "anna@copies.example · reviewer" in (await client.get("/queue")).text
    assert (await client.get("/audit")).status_code == 403
    (line, *_) = (await office.site.console.desk.audit("anna@copies.example")).items
    assert line.action == "sign in"
    assert line.detail == {"role": "reviewer", "issuer": office.company.issuer, "subject": "00u1"}


async def test_the_provider_is_told_no_more_than_it_needs(office: Office) -> None:
    one, two = [await office.to_provider(office.site.client()) for _ in range(2)]
    asked = parse_qs(urlsplit(one).query)
    assert asked.keys() == {
        "response_type", "client_id", "redirect_uri", "scope", "state", "nonce",
        "code_challenge", "code_challenge_method",
    }  # fmt: skip
    assert asked["redirect_uri"] == [f"{ORIGIN}/signin/account/back"]
    other = parse_qs(urlsplit(two).query)
    assert all(asked[name] != other[name] for name in ("state", "nonce", "code_challenge"))


async def test_the_cookie_of_a_sign_in_is_for_this_browser_alone(office: Office) -> None:
    answer = await office.site.client().get("/signin/account")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Max-Age=600" in cookie


def changed(**fields: Any) -> Callable[[Claims], Claims]:
    """Claims with others in them; None leaves one out."""

    def change(claims: Claims) -> Claims:
        return {name: v for name, v in (claims | fields).items() if v is not None}

    return change


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


async def test_a_code_is_good_for_once(office: Office) -> None:
    client, thief = office.site.client(), office.site.client()
    back = await office.back(await office.to_provider(client))
    thief.cookies.update(client.cookies)
    assert (await client.get(back)).status_code == 303
    assert "samesource_account" not in client.cookies
    # Even with the browser's cookie: the provider takes a code once.
    replayed = await thief.get(back)
    assert replayed.status_code == 403 and "was refused" in replayed.text
    again = await client.get(back)
    assert again.status_code == 403 and "begin again" in again.text


async def test_a_code_of_another_browser_signs_nobody_in(office: Office) -> None:
    attacker, victim = office.site.client(), office.site.client()
    back = await office.back(await office.to_provider(attacker))
    for before in (lambda: None, lambda: office.to_provider(victim)):
        if (begun := before()) is not None:
            await begun
        answer = await victim.get(back)
        assert answer.status_code == 403 and "begun in this browser" in answer.text.replace(
            "&#39;", "'"
        )
        assert "samesource_session" not in victim.cookies
    # What the victim has begun meanwhile goes on.
    assert (await office.sign_in(victim)).status_code == 303


async def test_a_code_with_another_sign_ins_state_is_refused(office: Office) -> None:
    """The verifier and the nonce are those of the sign-in that this browser began."""
    attacker, victim = office.site.client(), office.site.client()
    theirs = parse_qs(urlsplit(await office.back(await office.to_provider(attacker))).query)
    ours = parse_qs(urlsplit(await office.to_provider(victim)).query)
    mixed = {"code": theirs["code"][0], "state": ours["state"][0]}
    answer = await victim.get("/signin/account/back", params=mixed)
    assert answer.status_code == 403 and "samesource_session" not in victim.cookies


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"error": "access_denied"}, "haven't signed in"),
        ({"error": "<script>alert(1)</script>"}, "was refused"),
        ({}, "was refused"),
        ({"code": "made up"}, "was refused"),
        ({"code": "x", "iss": "https://accounts.evil.example"}, "was refused"),
    ],
)
async def test_an_answer_without_a_good_code_is_told(
    office: Office, query: dict[str, str], words: str
) -> None:
    client = office.site.client()
    state = parse_qs(urlsplit(await office.to_provider(client)).query)["state"][0]
    answer = await client.get("/signin/account/back", params=query | {"state": state})
    assert answer.status_code == 403 and words in answer.text.replace("&#39;", "'")
    assert "<script>alert" not in answer.text
    # Another issuer's code is never sent to ours.
    assert office.company.asked.get("/token", 0) == (query == {"code": "made up"})


@pytest.mark.parametrize("cookie", ["", "x", "bnVsbA==", "e30=", "W10=", "eyJzdGF0ZSI6IDF9"])
async def test_a_made_up_cookie_is_no_sign_in(office: Office, cookie: str) -> None:
    client = office.site.client(Cookie=f"samesource_account={cookie}")
    answer = await client.get("/signin/account/back?state=x&code=y")
    assert answer.status_code == 403


async def test_whoever_guesses_is_held_up(office: Office) -> None:
    for _ in range(20):
        answer = await office.site.client().get("/signin/account/back?state=x&code=y")
        assert answer.status_code == 403
    answer = await office.site.client().get("/signin/account/back?state=x&code=y")
    assert answer.status_code == 429 and answer.headers["retry-after"] == "60"


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
        settings = settings_of(company, oidc_timeout_seconds=0.5)
        monkeypatch.setattr(site.console, "provider", Provider(settings, lambda: seconds[0]))
        office = Office(site, company)
        company.waits = 60.0 if how == "silent" else 0.0
        company.about = {"issuer": 7} if how == "broken" else {}
        if how != "gone":
            began = time.monotonic()
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
    office.company.waits = 60.0
    made = Provider(settings_of(office.company, oidc_timeout_seconds=0.5), lambda: 0.0)

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


async def test_what_the_token_leaves_out_is_asked_for(office: Office) -> None:
    office.company.user = {"sub": "00u9"}
    office.company.more = {"email": "thin@copies.example", "groups": ["chiefs"]}
    client = office.site.client()
    assert (await office.sign_in(client)).status_code == 303
    assert "thin@copies.example · admin" in (await client.get("/queue")).text
    office.company.more["sub"] = "somebody else"
    assert (await office.sign_in()).status_code == 403


async def test_roles_are_those_of_the_last_sign_in_everywhere(office: Office) -> None:
    first, second, third = (office.site.client() for _ in range(3))
    office.company.user = {**ANNA, "email": "eve@copies.example", "groups": ["chiefs"]}
    await office.sign_in(first)
    assert (await first.get("/audit")).status_code == 200
    office.company.user = {**office.company.user, "groups": ["reviewers"]}
    await office.sign_in(second)
    assert (await second.get("/audit")).status_code == 403
    assert (await first.get("/audit")).status_code == 303  # signed out
    office.company.user = {**office.company.user, "groups": []}
    refused = await office.sign_in(third)
    assert refused.status_code == 403 and "no role" in refused.text
    assert (await second.get("/queue")).status_code == 303


async def test_a_sign_in_begins_a_new_session(office: Office) -> None:
    client = office.site.client()
    await office.sign_in(client)
    old = dict(client.cookies)
    await office.sign_in(client)
    assert client.cookies["samesource_session"] != old["samesource_session"]
    thief = office.site.client()
    thief.cookies.update(old)
    assert (await thief.get("/queue")).status_code == 303
    assert (await client.get("/queue")).status_code == 200


async def test_a_rights_holder_sees_what_the_claim_names(office: Office) -> None:
    mine = await office.site.alert(reference_owner_id="claimed league")
    others = await office.site.alert()
    office.company.user = {
        **ANNA, "email": "leo@league.example", "groups": ["leagues"],
        "owner_ids": ["claimed league"],
    }  # fmt: skip
    client = office.site.client()
    await office.sign_in(client)
    assert (await client.get(f"/alerts/{mine.alert_id}")).status_code == 200
    assert (await client.get(f"/alerts/{others.alert_id}")).status_code == 404


async def test_signing_out_leads_to_the_companys_sign_out(office: Office) -> None:
    client = office.site.client()
    await office.sign_in(client)
    page = (await client.get("/queue")).text
    token = page.partition('name="csrf" value="')[2][:64]
    answer = await client.post("/signout", data={"csrf": token})
    page = (await client.get(answer.headers["location"])).text
    assert 'href="/signin/account/out"' in page
    out = urlsplit((await client.get("/signin/account/out")).headers["location"])
    assert f"{out.scheme}://{out.netloc}{out.path}" == f"{office.company.issuer}/out"
    asked = parse_qs(out.query)
    assert asked == {"client_id": [CLIENT_ID], "post_logout_redirect_uri": [f"{ORIGIN}/signin"]}


async def test_the_way_back_leads_to_our_own_pages_only(office: Office) -> None:
    for target in ("https://evil.example/", "//evil.example", "/" + "x" * 5000):
        assert (await office.sign_in(next=target)).headers["location"] == "/queue"


async def test_a_page_of_a_console_without_a_provider_names_none(site: Site) -> None:
    assert "/signin/account" not in (await site.client().get("/signin")).text
    assert (await site.client().get("/signin/account")).status_code == 404


async def test_neither_codes_nor_secrets_are_in_the_log(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    office.company.claims = changed(nonce="another")
    client = office.site.client()
    back = await office.back(await office.to_provider(client))
    await client.get(back)
    told = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("stream"))
    assert "refused" in told
    for secret in (*parse_qs(urlsplit(back).query)["code"], CLIENT_SECRET, "another"):
        assert secret not in told


SETTINGS = settings_of(Company(port=1))


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
async def test_an_account_that_may_not_sign_in_is_told_why(
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
async def test_roles_follow_from_the_claims(
    fields: dict[str, Any], claims: Claims, role: str
) -> None:
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
async def test_settings_that_can_not_work_are_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        settings_of(Company(port=1), **fields)


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


async def test_the_secret_is_shown_nowhere() -> None:
    assert isinstance(SETTINGS.oidc_client_secret, SecretStr)
    assert CLIENT_SECRET not in repr(SETTINGS) + str(SETTINGS.model_dump(mode="json"))
