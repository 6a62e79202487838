"""Sends webhooks in the background: what is due, so many at a time, again where it didn't arrive.

Delivery contract: at least once, in no order. A receiver that answers 2xx within the time has it;
one that answers 410 is told nothing more. Everything else is tried again, days later at last,
then it is a dead letter.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

import aiohttp

from stream.console.settings import ConsoleSettings
from stream.console.store.database import is_away
from stream.console.store.deliveries import DeliveryView
from stream.console.store.desk import Desk
from stream.console.store.outbox import TEST
from stream.console.store.webhooks import WebhookView
from stream.console.webhooks.keys import SigningKey
from stream.console.webhooks.post import ANSWERED, Answer, post, webhook_session
from stream.errors import SettingsError, brief
from stream.metrics import WEBHOOKS, WebhookResult

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 1.0  # for what is due, on whichever console it was made; set by hand
AWAY_SECONDS = 15.0  # before a database that failed is asked again
ENDING_SECONDS = 2.0  # that a stop waits for answers
MARGIN_SECONDS = 60.0  # beyond the time-out, after which who sends is taken for dead; set by hand
JITTER = 0.2  # that a wait is longer, so that what failed together doesn't come together again
GONE, BUSY = 410, (429, 503)
"""The endpoint is gone for good; the whole of it asks for time, not one message."""


class WebhookSender:
    """Sends what is due, on this console and beside others."""

    def __init__(
        self,
        settings: ConsoleSettings,
        desk: Desk,
        key: Callable[[], SigningKey | None],
        clock: Callable[[], datetime],
    ) -> None:
        """Nothing is sent yet.

        Args:
            settings: of the console.
            desk: where deliveries are.
            key: that secrets are made by; None as long as there is none.
            clock: the time.
        """
        self._settings, self._desk, self._key, self._clock = settings, desk, key, clock
        self._sending: set[asyncio.Task[None]] = set()
        self._busy: Counter[str] = Counter()
        self._unsigned: set[str] = set()
        self._bug: BaseException | None = None

    async def run(self) -> None:
        """Send, until it is cancelled; what is under way then is sent again later."""
        async with webhook_session(self._settings) as session:
            try:
                while True:
                    await self._look(session)
            finally:
                if self._sending:  # most end within moments, and needn't be sent again
                    await asyncio.wait(self._sending, timeout=ENDING_SECONDS)
                for task in self._sending:
                    task.cancel()
                await asyncio.gather(*self._sending, return_exceptions=True)

    async def _look(self, session: aiohttp.ClientSession) -> None:
        begun, pause = 0, LOOK_EVERY_SECONDS
        if self._bug is not None:
            raise self._bug
        try:
            begun = await self._begin(session)
        except Exception as error:
            # A key that can't be read is an operator's to mend, and pages go on meanwhile.
            if not isinstance(error, SettingsError) and not is_away(error):
                raise
            log.warning("webhooks wait: %s", brief(error, 300))
            pause = AWAY_SECONDS
        if begun and self._sending:
            # There may be more than there was room for: the first that ends makes some.
            await asyncio.wait(self._sending, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(pause)

    async def _begin(self, session: aiohttp.ClientSession) -> int:
        """Begin to send what is due, as far as there is room; how many."""
        most, each = self._settings.webhook_concurrency, self._settings.webhook_concurrency_each
        lease, begun = self._settings.webhook_timeout_seconds + MARGIN_SECONDS, 0
        due = [*await self._desk.due_webhooks(self._clock())]
        # Who comes first takes what room there is: not always the same.
        random.shuffle(due)
        for webhook in due:
            secrets = self._secrets(webhook)
            room = min(each - self._busy[webhook.webhook_id], most - len(self._sending))
            if room < 1 or not secrets:
                continue
            now = self._clock()
            for delivery in await self._desk.claim_deliveries(webhook.webhook_id, now, room, lease):
                task = asyncio.create_task(self._send(session, webhook, delivery, secrets))
                self._busy[webhook.webhook_id] += 1
                self._sending.add(task)
                task.add_done_callback(self._ended)
                begun += 1
        return begun

    def _secrets(self, webhook: WebhookView) -> list[str]:
        """That sign now; none where the key that they were made by is another one."""
        key = self._key()
        secrets = [
            key.secret(webhook.webhook_id, each.number)
            for each in webhook.live_secrets(self._clock())
            if key is not None and each.key_id == key.key_id
        ]
        if secrets:
            self._unsigned.discard(webhook.webhook_id)
        elif webhook.webhook_id not in self._unsigned:
            self._unsigned.add(webhook.webhook_id)
            log.warning(
                "webhook %s waits: the key of its secrets isn't here. Bring console.webhook_key "
                "or console.webhook_key_file back, or give it a new secret",
                webhook.webhook_id,
            )
        return secrets

    async def _send(
        self,
        session: aiohttp.ClientSession,
        webhook: WebhookView,
        delivery: DeliveryView,
        secrets: list[str],
    ) -> None:
        try:
            now = self._clock()
            answer = await post(
                session,
                webhook.url,
                settings=self._settings,
                secrets=secrets,
                message_id=delivery.message_id,
                body=delivery.body,
                now=now,
            )
            await self._note(webhook, delivery, answer)
        except Exception as error:
            if not is_away(error):
                raise
            # It isn't noted, so it is sent again: at least once.
            told = "how %s went isn't noted: %s"
            log.warning(told, delivery.message_id, brief(error, 300))
        finally:
            self._busy[webhook.webhook_id] -= 1

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._bug = task.exception()  # which ends the console, as any bug does

    async def _note(self, webhook: WebhookView, delivery: DeliveryView, answer: Answer) -> None:
        result = await self._noted(webhook, delivery, answer)
        # Of a test somebody sees how it went: an alert of it would be a false one.
        if delivery.kind != TEST:
            WEBHOOKS.labels(result).inc()

    async def _noted(
        self, webhook: WebhookView, delivery: DeliveryView, answer: Answer
    ) -> WebhookResult:
        now = self._clock()
        if answer.arrived and answer.status is not None:
            await self._desk.note_delivered(delivery, answer.status)
            return "delivered"
        error = answer.error or ANSWERED.format(status=answer.status)
        if answer.status == GONE:
            webhook_id, why = webhook.webhook_id, ANSWERED.format(status="410 Gone")
            async with self._desk.together():
                await self._desk.note_failed(delivery, answer.status, error, None)
                if await self._desk.disable_webhook(webhook_id, webhook.url, why, now):
                    await self._desk.note("console", "disable webhook", webhook_id, now, why)
            return "gone"
        if answer.status in BUSY and answer.retry_after:
            await self._desk.pause_webhook(webhook.webhook_id, now + answer.retry_after)
        wait = self._wait(delivery, answer)
        next_at = None if wait is None else now + wait
        await self._desk.note_failed(delivery, answer.status, error, next_at)
        return "dead" if next_at is None else "later"

    def _wait(self, delivery: DeliveryView, answer: Answer) -> timedelta | None:
        """Before the next try; None where there is none."""
        waits = self._settings.webhook_retry_seconds
        # Somebody waits for how a test goes: that it arrives days later is no news.
        if delivery.attempts > len(waits) or delivery.kind == TEST:
            return None
        seconds = waits[delivery.attempts - 1] * random.uniform(1, 1 + JITTER)
        return max(timedelta(seconds=seconds), answer.retry_after or timedelta())
