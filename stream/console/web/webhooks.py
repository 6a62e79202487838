"""What pages and API do with webhooks alike: endpoints that are checked, secrets, the audit log."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from stream.console.store.deliveries import DeliveryView
from stream.console.store.desk import Person
from stream.console.store.outbox import HOLDER_KINDS, KINDS
from stream.console.store.webhooks import WebhookView
from stream.console.web.console import Console
from stream.console.web.problems import Problem
from stream.console.webhooks.keys import SigningKey
from stream.console.webhooks.post import ANSWERED, NO_ANSWER, NOT_ALLOWED, REDIRECTS, checked
from stream.errors import ForbiddenUriError, NotFoundError, QueryError, SettingsError
from stream.texts import Text, text_of

OLD_SECRET_SECONDS = 86400.0  # for which the secret before still signs, as Standard Webhooks has it
LONGEST_OLD_SECRET = 7 * 86400.0
LOOK_EVERY_SECONDS = 0.1  # at how a test went
BY_HAND = "{name} has switched it off"
WHYS = (BY_HAND, ANSWERED, NO_ANSWER, REDIRECTS, NOT_ALLOWED)
"""Why an endpoint is switched off, or wasn't told something."""
NO_SUCH = Text("there is no such webhook")
CHANGED = Text("the webhook has changed since it was read: read it again")
SWITCHED_OFF = Text("it is switched off: switch it on first")


@dataclass(frozen=True)
class Shown:
    """An endpoint and a secret of it, which is shown this once."""

    webhook: WebhookView
    secret: str


async def make(
    console: Console,
    person: Person,
    url: str,
    kinds: Sequence[str],
    owner_ids: Sequence[str] | None,
    description: str | None,
) -> Shown:
    """A new endpoint.

    Raises:
        Problem: what is asked for can't be.
    """
    check(console, url, kinds, owner_ids)
    key = _key(console)
    try:
        async with console.desk.together():
            made = await console.desk.make_webhook(
                url, kinds, owner_ids, description, key.key_id, person.name, console.clock()
            )
            await _note(console, person, "make webhook", made)
    except QueryError as error:
        raise Problem(409, error) from error
    return Shown(made, key.secret(made.webhook_id, 1))


async def change(
    console: Console,
    person: Person,
    webhook_id: str,
    changes: dict[str, Any],
    is_as_read: Callable[[WebhookView], bool] = lambda now: True,
) -> WebhookView:
    """Change some of `url`, `kinds`, `owner_ids`, `description` and `enabled`.

    Args:
        console: the console.
        person: who changes it.
        webhook_id: of the endpoint.
        changes: by name.
        is_as_read: whether it still is as whoever changes it has read it.

    Raises:
        Problem: what is asked for can't be, or there is none; 412 where it isn't as it was read.
    """
    now, enabled = console.clock(), changes.pop("enabled", None)
    async with console.desk.together():
        before = await console.desk.locked_webhook(webhook_id)
        if before is None:
            raise Problem(404, NO_SUCH)
        if not is_as_read(before):
            raise Problem(412, CHANGED)
        check(
            console,
            changes.get("url", before.url),
            changes.get("kinds", before.kinds),
            changes.get("owner_ids", before.owner_ids),
        )
        if enabled is True:
            # A pause, too: whoever switches it on wants to see something come.
            changes |= {"disabled_at": None, "disabled_why": None, "paused_until": None}
        elif enabled is False and before.disabled_at is None:
            changes |= {"disabled_at": now, "disabled_why": BY_HAND.format(name=person.name)}
        changed = await console.desk.change_webhook(webhook_id, changes)
        if changed is None:
            raise Problem(404, NO_SUCH)
        await _note(console, person, "change webhook", changed)
    return changed


async def delete(console: Console, person: Person, webhook_id: str) -> None:
    """Delete an endpoint, and what it was to be told.

    Raises:
        Problem: there is none.
    """
    webhook = await found(console, webhook_id)
    async with console.desk.together():
        if not await console.desk.delete_webhook(webhook_id):
            raise Problem(404, NO_SUCH)
        await _note(console, person, "delete webhook", webhook)


async def new_secret(
    console: Console, person: Person, webhook_id: str, old_seconds: float = OLD_SECRET_SECONDS
) -> Shown:
    """A new secret; the one before signs beside it for a while.

    Raises:
        Problem: there is no such endpoint.
    """
    key, now = _key(console), console.clock()
    async with console.desk.together():
        changed = await console.desk.new_secret(webhook_id, key.key_id, now, old_seconds)
        if changed is None:
            raise Problem(404, NO_SUCH)
        await _note(console, person, "new secret of webhook", changed)
    return Shown(changed, key.secret(webhook_id, changed.secrets[0].number))


async def send_test(console: Console, person: Person, webhook_id: str) -> DeliveryView:
    """Send a test event.

    Raises:
        Problem: there is no such endpoint, or it is switched off.
    """
    webhook = await found(console, webhook_id)
    if webhook.disabled_at is not None:
        raise Problem(409, SWITCHED_OFF)
    now = console.clock()
    async with console.desk.together():
        test = await console.desk.put_test(webhook_id, person.name, now)
        await console.desk.note(person.name, "test webhook", webhook_id, now)
    return test


async def outcome(console: Console, test: DeliveryView, seconds: float) -> DeliveryView:
    """A delivery when it has arrived or failed, or as it is after some seconds."""
    clock = asyncio.get_running_loop().time
    until = clock() + seconds
    while test.state == "waiting" and clock() < until:
        await asyncio.sleep(LOOK_EVERY_SECONDS)
        test = await console.desk.delivery(test.webhook_id, test.message_id) or test
    return test


async def replay(console: Console, person: Person, webhook_id: str, message_id: str | None) -> int:
    """Send dead letters again: one, or all of an endpoint; how many.

    Raises:
        Problem: there is no such endpoint or letter, or it is switched off.
    """
    webhook = await found(console, webhook_id)
    if webhook.disabled_at is not None:
        raise Problem(409, SWITCHED_OFF)
    now = console.clock()
    async with console.desk.together():
        number = await console.desk.replay_delivery(webhook_id, message_id, now)
        if message_id is not None and not number:
            raise Problem(404, "there is no such dead letter")
        detail = {"number": number} | ({} if message_id is None else {"message_id": message_id})
        await console.desk.note(person.name, "replay webhook", webhook_id, now, detail=detail)
    return number


async def found(console: Console, webhook_id: str) -> WebhookView:
    """An endpoint.

    Raises:
        Problem: there is none.
    """
    webhook = await console.desk.webhook(webhook_id)
    if webhook is None:
        raise Problem(404, NO_SUCH)
    return webhook


def check(
    console: Console, url: str, kinds: Sequence[str], owner_ids: Sequence[str] | None
) -> None:
    """Whether an endpoint may be so.

    Raises:
        Problem: it may not.
    """
    try:
        checked(url, console.settings.console)
    except (ForbiddenUriError, NotFoundError) as error:
        raise Problem(422, Text("url: {problem}", problem=text_of(error))) from error
    known = KINDS if owner_ids is None else HOLDER_KINDS
    if not kinds or not {*kinds} <= {*known}:
        told = Text("kinds: expected one or more of {kinds}", kinds=", ".join(known))
        if owner_ids is not None:
            told = Text("{problem} for rights holders", problem=told)
        raise Problem(422, told)
    if owner_ids is not None and not owner_ids:
        raise Problem(422, "owner_ids: expected one or more, or none at all for everything")


def _key(console: Console) -> SigningKey:
    try:
        return console.made_signing_key()
    except SettingsError as error:
        raise Problem(503, error) from error


async def _note(console: Console, person: Person, action: str, webhook: WebhookView) -> None:
    detail = {
        "url": webhook.url,
        "kinds": [*webhook.kinds],
        "owner_ids": None if webhook.owner_ids is None else [*webhook.owner_ids],
        "enabled": webhook.disabled_at is None,
    }
    await console.desk.note(person.name, action, webhook.webhook_id, console.clock(), detail=detail)
