"""`samesource review`: a verdict names all that its scope needs, and can be taken back."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from stream.broker.client import Reader, send
from stream.broker.settings import KafkaSettings
from stream.contract.events import Alert, AlertReviewed, AlertSuppressed
from stream.decide.alert import alert_of
from tests.stream.answers import answer, match, segment, verdict
from tests.stream.cli.test_commands import one_line
from tests.stream.command import Command, publish

TOPICS = ("alert.raised", "alert.suppressed", "alert.reviewed")


def suppressed(reason: str = "held", reference_id: str = "film") -> AlertSuppressed:
    why = {"reason": reason, "detail": "got and expected"}
    alert = alert_of(answer(0), match(reference_id))
    return AlertSuppressed.model_validate(alert.model_dump() | why)


def said(kafka: KafkaSettings) -> list[AlertReviewed]:
    with Reader(kafka, AlertReviewed.topic) as reader:
        messages = [message for _, message in reader.until_now()]
    return [AlertReviewed.from_bytes(one.value()) for one in messages if one.value()]


def review(command: Command, alert: Alert, *words: str) -> str:
    done = command("review", alert.alert_id, *words, "--reviewer", "ann")
    assert (done.code, done.err) == (0, "")
    return done.out


@pytest.mark.parametrize(
    ("scope", "told", "fields"),
    [
        ("alert", " as this alert alone", {}),
        ("pair", "", {}),
        (
            "span",
            " for 31.0–39.0 s of film",
            {"reference_start_seconds": 31.0, "reference_end_seconds": 39.0},
        ),
        (
            "uploader",
            " for all of me's videos against owner of film's",
            {"video_owner_id": "me", "reference_owner_id": "owner of film"},
        ),
    ],
)
def test_a_dismissal_goes_as_far_as_it_is_told_to_and_names_whom_or_what(
    command: Command, kafka: KafkaSettings, scope: str, told: str, fields: dict[str, Any]
) -> None:
    alert = alert_of(answer(0), match("film"))
    publish(kafka, alert)
    assert review(command, alert, "dismissed", "--scope", scope) == f"v and film: dismissed{told}\n"
    (found,) = said(kafka)
    written = json.loads(found.to_bytes())
    ever = {"schema_version", "alert_id", "verdict", "reviewer", "reviewed_at"}
    names = {"scope": scope, "video_id": "v", "reference_id": "film", **fields}
    assert {name: value for name, value in written.items() if name not in ever} == names


def test_seconds_are_named_where_an_alert_has_several_or_others_are_meant(
    command: Command, kafka: KafkaSettings
) -> None:
    segments = [segment(0, 10), segment(50, 60, video_start=20.0)]
    alert = alert_of(answer(0), match("film", segments=segments))
    publish(kafka, alert)
    to_span = ("review", alert.alert_id, "dismissed", "--reviewer", "ann", "--scope", "span")
    one_line(command(*to_span).err, "0 to 10 s, 50 to 60 s of film: say which seconds")
    named = ("--start-seconds", "48.5", "--end-seconds", "61")
    assert command(*to_span, *named).out == "v and film: dismissed for 48.5–61.0 s of film\n"
    (found,) = said(kafka)
    assert (found.reference_start_seconds, found.reference_end_seconds) == (48.5, 61.0)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("dismissed", "--scope", "span", "--start-seconds", "3"), "come together or not at all"),
        (("dismissed", "--start-seconds", "3", "--end-seconds", "4"), "only a dismissal with the"),
        (
            ("dismissed", "--scope", "span", "--start-seconds", "4", "--end-seconds", "4"),
            "reference_end_seconds = 4.0, expected more than 4",
        ),
        (("confirmed", "--scope", "alert"), "expected it of dismissed"),
        (("withdrawn", "--scope", "alert"), "expected it of dismissed"),
        (("withdrawn",), "no verdict on alert"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line_and_not_said(
    command: Command, kafka: KafkaSettings, words: tuple[str, ...], error: str
) -> None:
    alert = alert_of(answer(0), match("film"))
    publish(kafka, alert)
    done = command("review", alert.alert_id, *words, "--reviewer", "ann")
    assert (done.code, done.out) == (1, "")
    one_line(done.err, error)
    assert said(kafka) == []


def test_a_confirmation_of_what_is_held_carries_it_as_it_was_so_that_it_is_raised(
    command: Command, kafka: KafkaSettings
) -> None:
    short, kept = suppressed("too_short"), suppressed()
    publish(kafka, short, kept)
    assert review(command, kept, "confirmed") == "v and film: confirmed and released\n"
    (found,) = said(kafka)
    assert found.alert == kept


def test_what_was_raised_or_is_kept_back_for_another_reason_is_not_raised_by_a_verdict(
    command: Command, kafka: KafkaSettings
) -> None:
    raised, other = alert_of(answer(0), match("film")), suppressed("licensed", "other")
    publish(kafka, suppressed(), raised, other)
    assert review(command, raised, "confirmed") == "v and film: confirmed\n"
    assert review(command, other, "confirmed") == "v and other: confirmed\n"
    assert [one.alert for one in said(kafka)] == [None, None]


def test_a_verdict_is_taken_back_also_when_its_alert_is_gone_and_its_clock_was_ahead(
    command: Command, kafka: KafkaSettings
) -> None:
    ahead = datetime(2999, 1, 1, tzinfo=UTC)
    names = {"video_id": "v", "reference_id": "film"}
    publish(kafka, verdict("gone", reviewed_at=ahead, **names), verdict("gone", **names))
    withdraw = ("review", "gone", "withdrawn", "--reviewer", "ann", "--note", "a mistake")
    assert command(*withdraw).out == "v and film: withdrawn\n"
    *_, last = sorted(said(kafka), key=lambda one: one.reviewed_at)
    assert (last.verdict, last.note, last.video_id) == ("withdrawn", "a mistake", "v")
    one_line(command(*withdraw).err, "no verdict on alert gone holds")
    publish(kafka, verdict("old", **names))
    send(kafka, AlertReviewed.topic, [(b"old", None, [])])
    one_line(command("review", "old", "withdrawn", "--reviewer", "ann").err, "alert old holds")
