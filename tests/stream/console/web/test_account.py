"""Signing in with the company's account, at a provider that answers over HTTP as theirs do."""

from urllib.parse import parse_qs, urlsplit

import pytest

from tests.stream.console.web.company import ANNA, CLIENT_ID, CLIENT_SECRET, changed
from tests.stream.console.web.office import Office
from tests.stream.console.web.site import ORIGIN, Site

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
