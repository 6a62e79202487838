"""Sending webhooks, to a server on this machine: signed, again and again, and never elsewhere."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import orjson
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.resolver import ThreadedResolver
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from stream.console.settings import ConsoleSettings
from stream.console.store.database import Database
from stream.console.store.deliveries import DeliveryView
from stream.console.store.desk import Desk
from stream.console.store.outbox import KINDS
from stream.console.webhooks import sender as sender_module
from stream.console.webhooks.keys import signing_key
from stream.console.webhooks.post import checked
from stream.console.webhooks.sender import WebhookSender
from stream.errors import ForbiddenUriError, NotFoundError
from stream.metrics import WEBHOOKS, WebhookResult
from stream.times import now

pytestmark = pytest.mark.asyncio
LOCAL = "127.0.0.1"


@dataclass
class Receiver:
    """A server that answers as it is told, the last answer for ever; it keeps what came."""

    url: str
    answers: list[tuple[int, dict[str, str]]]
    got: list[tuple[Mapping[str, str], str]] = field(default_factory=list)
    asked: int = 0
    slow: asyncio.Event | None = None

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request."""
        self.asked += 1
        body = await request.text()
        if self.slow is not None:
            await self.slow.wait()
        self.got.append((request.headers, body))
        status, headers = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.Response(status=status, headers=headers)


@asynccontextmanager
async def receiver(
    *answers: int | tuple[int, dict[str, str]], slow: bool = False
) -> AsyncIterator[Receiver]:
    """A server on a port of its own."""
    each = [answer if isinstance(answer, tuple) else (answer, {}) for answer in answers]
    made = Receiver("", each or [(204, {})], slow=asyncio.Event() if slow else None)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, LOCAL, 0).start()
    made.url = f"http://{LOCAL}:{runner.addresses[0][1]}/hook?from=samesource"
    try:
        yield made
    finally:
        if made.slow is not None:
            made.slow.set()
        await runner.cleanup()


@dataclass
class Bench:
    """A database, a clock that only tests move on, and whoever sends."""

    settings: ConsoleSettings
    database: Database
    desk: Desk
    began: datetime = field(default_factory=now)
    later: timedelta = timedelta()

    def clock(self) -> datetime:
        """The time."""
        return self.began + self.later

    def key(self) -> Any:
        """The key of the secrets."""
        return signing_key(self.settings, make=False)

    async def endpoint(self, url: str) -> str:
        """A new one."""
        key = signing_key(self.settings, make=True)
        assert key is not None
        made = await self.desk.make_webhook(url, KINDS, None, None, key.key_id, "ann", now())
        return made.webhook_id

    async def put(self, webhook_id: str, kind: str = "alert.raised") -> str:
        """Something to be told; its id."""
        async with self.desk.together():  # or what sends may take it for a test before
            test = await self.desk.put_test(webhook_id, "ann", self.clock())
            if kind != "webhook.test":
                async with self.database.writing() as session:
                    connection = await session.connection()
                    await connection.exec_driver_sql(
                        f"UPDATE webhook_deliveries SET kind = '{kind}' "
                        f"WHERE message_id = '{test.message_id}'"
                    )
        return test.message_id

    async def became(
        self, webhook_id: str, message_id: str, is_so: Callable[[DeliveryView], bool]
    ) -> DeliveryView:
        """A delivery, when it has come to be so."""
        async with asyncio.timeout(20):
            while True:
                found = await self.desk.delivery(webhook_id, message_id)
                assert found is not None
                if found.run is None and is_so(found):
                    return found
                await asyncio.sleep(0.01)

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """While it sends."""
        sender = WebhookSender(self.settings, self.desk, self.key, self.clock)
        task = asyncio.create_task(sender.run())
        try:
            yield
            assert not task.done(), task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def settings_of(folder: Path, **fields: Any) -> ConsoleSettings:
    own = {"database_url": f"sqlite:///{folder}/console.db", "webhook_hosts": [LOCAL]}
    return ConsoleSettings.model_validate(own | fields)


@pytest_asyncio.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """One that looks often, and needn't wait long for an answer."""
    monkeypatch.setattr(sender_module, "LOOK_EVERY_SECONDS", 0.02)
    settings = settings_of(tmp_path, webhook_retry_seconds=[5, 300], webhook_timeout_seconds=5)
    database = await Database.open(settings)
    yield Bench(settings, database, Desk(database))
    await database.close()


async def test_it_arrives_signed_by_both_live_secrets(bench: Bench) -> None:
    key = bench.key
    async with receiver(200) as there, bench.sending():
        webhook_id = await bench.endpoint(there.url)
        await bench.desk.new_secret(webhook_id, key().key_id, now(), 3600)
        message_id = await bench.put(webhook_id)
        arrived = await bench.became(webhook_id, message_id, lambda one: one.state == "delivered")
    ((headers, body),) = there.got
    assert (arrived.last_status, arrived.attempts, headers["webhook-id"]) == (200, 1, message_id)
    for number in (1, 2):
        secret = key().secret(webhook_id, number)
        told = Webhook(secret).verify(body, dict(headers))
        assert told == orjson.loads(arrived.body)
    with pytest.raises(WebhookVerificationError):
        Webhook(key().secret(webhook_id, 3)).verify(body, dict(headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(key().secret(webhook_id, 1)).verify(body + " ", dict(headers))


async def test_what_fails_comes_again_under_the_same_id_until_it_is_a_dead_letter(
    bench: Bench,
) -> None:
    before = counted()
    async with receiver(500, 404, 302, 204) as there, bench.sending():
        webhook_id = await bench.endpoint(there.url)
        message_id = await bench.put(webhook_id)
        for attempt, (status, least, most) in enumerate(((500, 5, 6), (404, 300, 360)), 1):
            failed = await bench.became(
                webhook_id,
                message_id,
                lambda one, n=attempt: one.attempts == n,  # type: ignore[misc]
            )
            wait = (failed.next_at - bench.clock()).total_seconds()
            assert failed.state == "waiting" and failed.last_status == status
            assert least <= wait <= most
            bench.later += timedelta(seconds=wait + 1)
        dead = await bench.became(webhook_id, message_id, lambda one: one.state == "dead")
        assert (dead.attempts, dead.last_status) == (3, 302)
        assert dead.last_error == "it redirects, which is not followed"
        assert await bench.desk.replay_delivery(webhook_id, message_id, bench.clock()) == 1
        await bench.became(webhook_id, message_id, lambda one: one.state == "delivered")
    assert [headers["webhook-id"] for headers, _ in there.got] == [message_id] * 4
    assert len({headers["webhook-timestamp"] for headers, _ in there.got}) >= 3
    assert counted() - before == Counter(later=2, dead=1, delivered=1)


def counted() -> Counter[str]:
    """How often the metrics say that something came of a try."""
    return Counter(
        {name: int(WEBHOOKS.labels(name)._value.get()) for name in get_args(WebhookResult)}
    )


@pytest.mark.parametrize(
    ("status", "text", "seconds"),
    [(429, "3600", 3600), (503, "Thu, 01 Jan 2099 00:00:00 GMT", 86400), (500, "3600", 3600),
     (500, "soon", 5), (429, "1", 5), (500, "Thu, 01 Jan 1970 00:00:00 GMT", 5)],
)  # fmt: skip
async def test_a_server_that_asks_for_time_gets_it(
    bench: Bench, status: int, text: str, seconds: float
) -> None:
    async with receiver((status, {"Retry-After": text})) as there, bench.sending():
        webhook_id = await bench.endpoint(there.url)
        message_id = await bench.put(webhook_id)
        failed = await bench.became(webhook_id, message_id, lambda one: one.attempts == 1)
        assert seconds <= (failed.next_at - bench.clock()).total_seconds() <= max(seconds, 6)
        webhook = await bench.desk.webhook(webhook_id)
        assert webhook is not None
        # Of 429 and 503 the whole endpoint: what else waits for it comes no sooner.
        assert (webhook.paused_until is not None) == (status in (429, 503))


async def test_who_is_gone_is_told_nothing_more(bench: Bench) -> None:
    async with receiver(410) as there:
        webhook_id = await bench.endpoint(there.url)
        first = await bench.put(webhook_id)
        async with bench.sending():
            await bench.became(webhook_id, first, lambda one: one.state == "dead")
            second = await bench.put(webhook_id)
            await asyncio.sleep(0.2)
            waiting = await bench.desk.delivery(webhook_id, second)
            assert waiting is not None and waiting.attempts == 0
    webhook = await bench.desk.webhook(webhook_id)
    assert webhook is not None and webhook.disabled_why == "it answered 410 Gone"
    (line,) = (await bench.desk.audit(about=webhook_id)).items
    assert (line.person, line.action) == ("console", "disable webhook")
    assert there.asked == 1


async def test_a_test_event_is_tried_once_and_counts_as_no_failure(bench: Bench) -> None:
    before = counted()
    async with receiver(500) as there, bench.sending():
        webhook_id = await bench.endpoint(there.url)
        message_id = await bench.put(webhook_id, "webhook.test")
        dead = await bench.became(webhook_id, message_id, lambda one: one.state == "dead")
    assert (dead.attempts, orjson.loads(dead.body)["type"]) == (1, "webhook.test")
    assert counted() == before, "it would be an operator's alert"


async def test_a_slow_one_holds_nobody_up(bench: Bench) -> None:
    async with receiver(200, slow=True) as slow, receiver(200) as quick, bench.sending():
        first, second = await bench.endpoint(slow.url), await bench.endpoint(quick.url)
        waiting = [await bench.put(first) for _ in range(9)]
        async with asyncio.timeout(10):
            while slow.asked < 4:
                await asyncio.sleep(0.01)
        arrived = [await bench.put(second) for _ in range(6)]
        for message_id in arrived:
            await bench.became(second, message_id, lambda one: one.state == "delivered")
        assert slow.asked == bench.settings.webhook_concurrency_each == 4
        assert slow.slow is not None
        slow.slow.set()
        for message_id in waiting:
            await bench.became(first, message_id, lambda one: one.state == "delivered")


async def test_who_does_not_answer_is_a_failure(tmp_path: Path, bench: Bench) -> None:
    bench.settings = settings_of(tmp_path, webhook_timeout_seconds=0.2)
    with socket.socket() as taken:
        taken.bind((LOCAL, 0))
        port = taken.getsockname()[1]
        async with receiver(200, slow=True) as there, bench.sending():
            silent = await bench.endpoint(there.url)
            message_id = await bench.put(silent)
            failed = await bench.became(silent, message_id, lambda one: one.attempts == 1)
            assert (failed.last_status, failed.last_error) == (None, "no answer within 0.2 s")
            closed = await bench.endpoint(f"http://{LOCAL}:{port}/with-a-secret")
            message_id = await bench.put(closed)
            failed = await bench.became(closed, message_id, lambda one: one.attempts == 1)
            assert failed.last_status is None and "secret" not in str(failed.last_error)


async def test_without_its_key_nothing_is_sent_and_with_it_all(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    async with receiver(200) as there:
        webhook_id = await bench.endpoint(there.url)
        message_id = await bench.put(webhook_id)
        away = bench.settings.key_file.with_name("away.key")
        bench.settings.key_file.rename(away)
        async with bench.sending():
            await asyncio.sleep(0.2)
            away.rename(bench.settings.key_file)
            await bench.became(webhook_id, message_id, lambda one: one.state == "delivered")
    assert caplog.text.count("the key of its secrets isn't here") == 1
    assert there.asked == 1


NO_NAMES = ("2130706433", "127.1")
"""Other ways to write the loopback's address, that no web client of ours takes."""


async def test_it_is_sent_to_no_private_address_whatever_a_name_stands_for_now(
    tmp_path: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = ThreadedResolver.resolve

    async def rebound(self: Any, host: str, *rest: Any) -> Any:
        return await resolve(self, LOCAL if host.endswith(".example") else host, *rest)

    monkeypatch.setattr(ThreadedResolver, "resolve", rebound)
    bench.settings = settings_of(tmp_path, webhook_hosts=[])
    async with receiver(200) as there, bench.sending():
        port = there.url.split(":")[2].split("/")[0]
        names = ("rebound.example", LOCAL, "localhost", "0x7f000001", *NO_NAMES)
        for url in (*(f"https://{name}:{port}/" for name in names), there.url):
            webhook_id = await bench.endpoint(url)
            message_id = await bench.put(webhook_id)
            failed = await bench.became(webhook_id, message_id, lambda one: one.attempts == 1)
            assert failed.last_status is None
            told = "InvalidUrl" if url.split("/")[2].split(":")[0] in NO_NAMES else "private, loop"
            assert told in str(failed.last_error), url
    assert there.asked == 0


@pytest.mark.parametrize(
    "url",
    ["http://hooks.example/", "https://127.0.0.1/", "https://[::1]/", "https://10.0.0.1/",
     "https://169.254.169.254/latest", "https://[::ffff:10.0.0.1]/", "https://0.0.0.0/",
     "file:///etc/passwd", "ftp://hooks.example/", "https://ann:hidden@hooks.example/",
     "https://[fe80::1]/", "https://[64:ff9b::7f00:1]/", "https://[64:ff9b:1::7f00:1]/",
     "https://[::127.0.0.1]/", "https://[fd00::1]/", "https://[fec0::1]/", "https://[::]/",
     "https:///path", "hooks.example", "javascript:alert(1)", "https://a b/", ""],
)  # fmt: skip
async def test_an_address_that_may_not_be_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises((ForbiddenUriError, NotFoundError)) as refused:
        checked(url, ConsoleSettings())
    assert "hidden" not in str(refused.value)


async def test_a_host_that_is_named_may_be_private_and_others_may_not() -> None:
    own = ConsoleSettings.model_validate({"webhook_hosts": ["hooks.internal", "10.0.0.1"]})
    for url in ("http://hooks.internal:8080/a", "https://10.0.0.1/"):
        assert checked(url, own).url.host in own.webhook_hosts
    with pytest.raises(ForbiddenUriError, match="WEBHOOK_HOSTS"):
        checked("https://hooks.example/", own)


async def test_a_stop_lets_what_is_under_way_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "ENDING_SECONDS", 60.0)
    async with receiver(200, slow=True) as there:
        webhook_id = await bench.endpoint(there.url)
        message_id = await bench.put(webhook_id)
        async with bench.sending():
            while not there.asked:
                await asyncio.sleep(0.01)
            assert there.slow is not None
            asyncio.get_running_loop().call_later(0.2, there.slow.set)
        found = await bench.desk.delivery(webhook_id, message_id)
        assert found is not None and found.state == "delivered"


async def test_a_bug_ends_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(sender_module, "post", broken)
    webhook_id = await bench.endpoint("https://hooks.example/")
    await bench.put(webhook_id)
    sender = WebhookSender(bench.settings, bench.desk, bench.key, bench.clock)
    with pytest.raises(RuntimeError, match="a bug"):
        await asyncio.wait_for(sender.run(), 10)
