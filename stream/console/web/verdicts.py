"""Verdicts that people give: the messages of `samesource review`, and a line in the audit log.

A verdict takes its alerts first, so that of two people at one alert the second is told. One that
fails gives them back.
"""

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast

from stream.admin.review import LATER, review_of
from stream.broker.sender import PartlySentError
from stream.console.store.desk import Person
from stream.console.store.views import AlertView, Place, ReviewView
from stream.console.web.console import Console, after_writing
from stream.console.web.problems import Problem
from stream.contract.events import (
    Alert,
    AlertRaised,
    AlertReviewed,
    AlertSuppressed,
    Scope,
    VerdictWord,
)
from stream.contract.message import Source
from stream.texts import Text

log = logging.getLogger(__name__)

BATCH = "verdicts on several alerts"
CHANGED = Text("the alert has changed since it was read: read it again")
SECOND_CLICK = timedelta(seconds=10)  # between two that are one; set by hand
SAID = (
    "verdict", "scope", "reviewer", "note", "reference_start_seconds", "reference_end_seconds",
)  # fmt: skip
NOTED = {
    "scope", "reference_start_seconds", "reference_end_seconds", "video_id", "reference_id",
}  # fmt: skip


@dataclass(frozen=True)
class Said:
    """What somebody says of alerts.

    Attributes:
        verdict: `confirmed`, `dismissed` or `withdrawn`.
        scope: how far a dismissal goes.
        span: seconds of the reference, for that scope; without it, the alert's if it has one span.
        note: why.
    """

    verdict: VerdictWord
    scope: Scope | None = None
    span: tuple[float, float] | None = None
    note: str | None = None


@dataclass(frozen=True)
class Given:
    """What became of it.

    Attributes:
        alert_ids: of the verdicts that are on Kafka.
        taken: of alerts that somebody else works on: nothing was said of them.
        refused: of those whose verdicts Kafka didn't take, while it took others.
        undo: names what was given, for `given_as`.
    """

    alert_ids: tuple[str, ...]
    taken: tuple[str, ...]
    refused: tuple[str, ...]
    undo: str | None


async def give(
    console: Console,
    person: Person,
    alerts: Sequence[AlertView],
    said: Said,
    *,
    as_read: bool = False,
    clicked: bool = False,
) -> Given:
    """Give a verdict on alerts, and wait until it came back through the topic.

    Args:
        console: the console.
        person: who gives it.
        alerts: as they were read.
        said: the verdict.
        as_read: only where all of them are still as they were read, but for who works on them.
        clicked: on a page. What the same person has just said of an alert, and nobody since, isn't
            said again: it is a second click, which is answered as the first. Machines have keys.

    Raises:
        Problem: 412 where one isn't.
        SettingsError: it can't be said: a span that ends before it begins.
        BrokerError: Kafka didn't take it, not of one alert.
    """
    now, ids = console.clock(), [alert.alert_id for alert in alerts]
    # A second click waits: what the first one says is in the rows by then.
    async with console.turn(person.name, *ids):
        seconds = console.settings.console.claim_seconds
        free = set(await console.desk.claim(person.name, ids, now, seconds))
        mine = [alert for alert in alerts if alert.alert_id in free]
        taken = tuple(each for each in ids if each not in free)
        if not mine:
            return Given((), taken, (), None)
        # What the person had taken before stays theirs where nothing is said.
        new = {alert.alert_id for alert in mine if not _had(alert, person, now)}
        try:
            # Nobody else gives one from here on, so that it holds until this one is on Kafka.
            if as_read and not all([await _is_as_read(console, alert) for alert in mine]):
                raise Problem(412, CHANGED)
            events = [event_of(alert, said, person.name) for alert in mine]
            before = await _said_just_now(console, events, now) if clicked else {}
            fresh = [event for event in events if event.alert_id not in before]
            places = before | await _say(console, fresh)
        except BaseException:
            # Nothing was said, so nobody is to wait for it.
            await console.desk.release(person.name, [*new])
            raise
        # Before the wait: whoever cuts that short leaves no verdict without its line.
        for event in fresh:
            if event.alert_id in places:
                about, detail = event.alert_id, _noted(event)
                await console.note(person.name, said.verdict, about, said.note, detail)
        given = tuple(alert.alert_id for alert in mine if alert.alert_id in places)
        refused = tuple(alert.alert_id for alert in mine if alert.alert_id not in places)
        written = [_written(places[each]) for each in given]
        undo = written[0]
        if len(given) > 1:
            undo = uuid.uuid4().hex
            together = {"alert_ids": given, "verdict": said.verdict, "places": written}
            await console.note(person.name, BATCH, undo, said.note, together)
        await console.come_back([*places.values()])
        # Not sooner: the next reviewer would be given what is judged already.
        with after_writing("giving the alerts back"):
            await console.desk.release(person.name, [*given, *new.intersection(refused)])
        return Given(given, taken, refused, undo)


async def _say(console: Console, events: Sequence[AlertReviewed]) -> dict[str, Place]:
    """Put verdicts on Kafka: the places of those that it took, by alert.

    Raises:
        BrokerError: it took none.
    """
    if not events:
        return {}
    try:
        taken: Sequence[Source] = await console.kafka.say(events)
    except PartlySentError as error:
        log.warning("of %d verdicts Kafka took %d: %s", len(events), len(error.taken), error)
        taken = error.taken
    by_key = {each.key: Place(each.topic, each.partition, each.offset) for each in taken}
    return {each.alert_id: by_key[each.key()] for each in events if each.key() in by_key}


async def _said_just_now(
    console: Console, events: Sequence[AlertReviewed], now: datetime
) -> dict[str, Place]:
    """Where verdicts lie that are as these, of moments ago and the newest on their alerts."""
    places = {}
    for event in events:
        newest = next(iter(await console.queries.reviews_of_alert(event.alert_id)), None)
        if newest is None or abs(now - newest.reviewed_at) > SECOND_CLICK:
            continue
        if all(getattr(newest, name) == getattr(event, name) for name in SAID):
            places[event.alert_id] = newest.place
    return places


async def _is_as_read(console: Console, alert: AlertView) -> bool:
    now = await console.queries.alert(alert.alert_id)
    if now is None:
        return False
    by, until = alert.claimed_by, alert.claimed_until
    return replace(now, claimed_by=by, claimed_until=until) == alert


async def given_as(console: Console, undo: str) -> tuple[ReviewView, ...]:
    """The verdicts that were given together, by what `Given.undo` named them."""
    page = await console.desk.audit(about=undo, limit=1)
    written: Sequence[str] = [undo]
    for line in page.items:
        if line.action == BATCH:
            written = line.detail.get("places", ())
    places = [place for each in written if (place := _place(each)) is not None]
    return await console.queries.reviews_at(places)


async def before(console: Console, review: ReviewView) -> Said | None:
    """What makes an alert again what it was before a verdict; None where that isn't the newest."""
    newest, *older = await console.queries.reviews_of_alert(review.alert_id)
    if newest.place != review.place:
        return None
    if not older or older[0].verdict == "withdrawn":
        return Said("withdrawn")
    scope, note = cast(Scope | None, older[0].scope), older[0].note
    start, end = older[0].reference_start_seconds, older[0].reference_end_seconds
    span = None if scope != "span" or start is None or end is None else (start, end)
    return Said(cast(VerdictWord, older[0].verdict), scope, span, note)


def _written(place: Place) -> str:
    return f"{place.partition}-{place.offset}"


def _place(written: str) -> Place | None:
    partition, _, offset = written.partition("-")
    if not (partition.isdecimal() and offset.isdecimal() and len(written) < 20):
        return None
    return Place(AlertReviewed.topic, int(partition), int(offset))


def event_of(alert: AlertView, said: Said, reviewer: str) -> AlertReviewed:
    """The message of a verdict on one alert, as `samesource review` writes it.

    Raises:
        SettingsError: it says too little, or what can't be.
    """
    event = review_of(
        _as_event(alert),
        said.verdict,
        reviewer=reviewer,
        note=said.note,
        scope=said.scope,
        span=said.span,
    )
    if alert.reviewed_at is None:
        return event
    # Behind the one before it, though its writer's clock may be ahead of ours: the newest holds.
    return event.model_copy(
        update={"reviewed_at": max(event.reviewed_at, alert.reviewed_at + LATER)}
    )


def span_of(alert: AlertView) -> tuple[float, float]:
    """The seconds of the reference that an alert is about, from its first to its last."""
    return (
        min(each.reference_start_seconds for each in alert.segments),
        max(each.reference_end_seconds for each in alert.segments),
    )


def _had(alert: AlertView, person: Person, now: datetime) -> bool:
    ends = alert.claimed_until
    return alert.claimed_by == person.name and ends is not None and ends > now


def _as_event(alert: AlertView) -> Alert:
    """As it came over Kafka: raised, or kept back with the reason."""
    fields: dict[str, Any] = {
        name: getattr(alert, name) for name in AlertRaised.model_fields if name != "schema_version"
    }
    fields["segments"] = list(alert.segments)
    if alert.reason is None:
        return AlertRaised.model_validate(fields)
    return AlertSuppressed.model_validate(
        fields | {"reason": alert.reason, "detail": alert.detail or ""}
    )


def _noted(event: AlertReviewed) -> dict[str, Any]:
    """What the audit log says of a verdict beside who, when and why."""
    return event.model_dump(mode="json", include=NOTED, exclude_none=True)
