"""Requests that no browser sends: each is refused quietly, and none makes a header or a link."""

import asyncio
import logging
from datetime import datetime

import httpx2
import pytest

from stream.console.web.signin import gate
from tests.stream.console.web.office import Office
from tests.stream.console.web.site import Site

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOST = "Host: 127.0.0.1"
NOTHING_SENT = "Content-Length: 0"
BROKEN = {
    "a page's address": (401, "GET /queue", (HOST, "HX-Request: 1", "HX-Current-URL: http://[")),
    "an origin": (403, "POST /signin", (HOST, NOTHING_SENT, "Origin: http://[")),
    "an origin without a scheme": (403, "POST /signin", (HOST, NOTHING_SENT, "Origin: 127.0.0.1")),
    "no host": (400, "GET /queue", ()),
    "half a host": (421, "GET /queue", ("Host: [",)),
    "a host with a name before it": (421, "GET /queue", ("Host: 127.0.0.1:@evil.example",)),
    "another before brackets": (421, "GET /queue", ("Host: [::1]@evil.example",)),
    "a path in the host": (421, "GET /queue", ("Host: localhost:/evil.example",)),
    "two hosts": (400, "GET /queue", (HOST, "Host: evil.example")),
    "a forwarded host": (303, "GET /queue", (HOST, "X-Forwarded-Host: evil.example")),
    "a host in the path": (303, "GET http://evil.example/queue", (HOST,)),
    "a session": (303, "GET /queue", (HOST, "Cookie: samesource_session=\xe9\xff")),
    "a token": (401, "GET /api/v1/alerts", (HOST, "Authorization: Bearer \xe9\xff")),
    "languages": (200, "GET /signin", (HOST, "Accept-Language: \xe9;q=x, en;q=nan, zh;q=inf")),
    "cookies": (200, "GET /signin", (HOST, 'Cookie: lang="\\351"; theme=<>; keys=\xff')),
    "ranges": (416, "GET /static/console.css", (HOST, "Range: bytes=99999999-")),
    "NUL in a path": (303, "GET /queue%00%0d%0aX-Made-Up:%201", (HOST,)),
    "letters of no text": (303, "GET /alerts/%ff%fe", (HOST,)),
    "a method": (401, "TRACE /queue", (HOST,)),
    "a form": (403, "POST /signin", (HOST, NOTHING_SENT, "Content-Type: text/html; charset=\xff")),
}  # fmt: skip
"""By what is broken: the status, and the request."""


async def raw(site: Site, sent: bytes) -> bytes:
    """What a server answers to bytes that no client library would send."""
    port = int(site.worker.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    await writer.drain()
    async with asyncio.timeout(30):
        answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize("name", BROKEN)
async def test_what_is_broken_is_refused_quietly(
    site: Site, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    status, line, headers = BROKEN[name]
    lines = (f"{line} HTTP/1.1", *headers, "Connection: close", "", "")
    answer = await raw(site, "\r\n".join(lines).encode("latin-1"))
    head = answer.partition(b"\r\n\r\n")[0].decode()  # ASCII alone, or it raises
    assert head.split(" ")[1] == str(status), head
    for line in head.splitlines():
        assert not line.lower().startswith("x-made-up"), head
        if line.startswith(("location:", "hx-redirect:")):
            assert line.partition(": ")[2].startswith("/signin?next=%2F"), line
    # Strangers write no tracebacks into the log.
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    "head",
    ["POST /signin HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded",
     "POST /match HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x"],
)  # fmt: skip
async def test_a_body_that_comes_too_slowly_is_not_waited_for(
    site: Site, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    monkeypatch.setattr(gate, "BODY_SECONDS", 0.3)
    cookie = (
        f"Cookie: samesource_session={(await site.browser()).client.cookies['samesource_session']}"
    )
    answer = await raw(
        site, f"{head}\r\n{HOST}\r\n{cookie}\r\nContent-Length: 1000\r\n\r\n--".encode()
    )
    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_whose_host_it_is_is_said_by_no_request(office: Office) -> None:
    """The way back from the company's account names the console, or there is none."""
    for headers in ({"Host": "evil.example"}, {"Host": "127.0.0.1:@evil.example"},
                    {"Host": "127.0.0.1", "X-Forwarded-Host": "evil.example",
                     "Forwarded": "host=evil.example", "X-Forwarded-Proto": "https"}):  # fmt: skip
        async with office.site.client(**headers) as client:
            answer = await client.get("/signin/account")
        assert "evil" not in answer.headers.get("location", ""), headers
        assert answer.status_code in (303, 421)


@pytest.mark.parametrize("way", ["link", "token"])
async def test_a_session_that_somebody_else_chose_is_not_taken_over(site: Site, way: str) -> None:
    chosen = "A" * 43
    client = site.client(Cookie=f"samesource_session={chosen}")
    if way == "link":
        path = (site.worker.sign_in_link() or "").removeprefix(site.worker.url)
        answer = await client.get(path)
    else:
        token = await token_of(site, site.console.clock())
        answer = await client.post("/signin", data={"token": token})
    assert answer.status_code == 303
    assert answer.cookies["samesource_session"] != chosen
    thief = site.client(Cookie=f"samesource_session={chosen}")
    assert (await thief.get("/queue")).status_code == 303


async def token_of(site: Site, now: datetime) -> str:
    """A person's."""
    secret, _ = await site.console.desk.make_token("bea", "viewer", ["pages"], [], "t", now, 60)
    return secret


TARGETS = (
    "//evil.example", "///evil.example", "/\\evil.example", "/\t/evil.example", "\t//evil.example",
    "https:evil.example", "https:///evil.example", "/\u2028/evil.example", "javascript:alert(1)",
    "@evil.example", ".evil.example", "/\x00/evil.example", " //evil.example",
)  # fmt: skip


@pytest.mark.parametrize("target", TARGETS, ids=ascii)
async def test_signing_in_leads_nowhere_else(site: Site, target: str) -> None:
    token = await token_of(site, site.console.clock())
    answer = await site.client().post("/signin", data={"token": token, "next": target})
    led = httpx2.URL("http://127.0.0.1/signin").join(answer.headers["location"])
    assert (led.host, led.path) == ("127.0.0.1", "/queue")
    page = await site.client().get("/signin", params={"next": target})
    assert 'name="next" value="/queue"' in page.text
