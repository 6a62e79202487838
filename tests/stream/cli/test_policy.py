"""`samesource policy`, `review` and `alerts --suppressed`: what people say and are told."""

import json
from pathlib import Path
from typing import Any

import pytest

from stream.broker.client import Reader, send
from stream.broker.settings import KafkaSettings
from stream.contract.events import AlertReviewed, AlertSuppressed, PolicyUpdated
from stream.decide.alert import alert_of
from tests.stream.answers import answer, match
from tests.stream.command import Command, publish

TOPICS = ("alert.raised", "alert.suppressed", "alert.reviewed", "policy.updated")


def messages(kafka: KafkaSettings, topic: str) -> list[tuple[bytes | None, Any]]:
    """Keys and parsed values."""
    with Reader(kafka, topic) as reader:
        return [
            (message.key(), json.loads(message.value() or b"null"))
            for _, message in reader.until_now()
        ]


def test_a_policy_of_options_is_on_the_topic_under_its_owner(
    command: Command, kafka: KafkaSettings
) -> None:
    options = "--least-seconds 10 --least-score 0.8 --alerts-per-hour 50 --licensed a --licensed b"
    more = "--least-video-share 0.1 --least-reference-share 0.01 --exclude film:2:0-90.5"
    done = command("policy", "set", "studio [1]", *options.split(), *more.split())
    assert (done.code, done.err) == (0, "")
    [(key, value)] = messages(kafka, PolicyUpdated.topic)
    assert key == b"studio [1]"
    assert value == json.loads(done.out)
    assert value == {
        "schema_version": 1,
        "owner_id": "studio [1]",
        "least_seconds": 10.0,
        "least_video_share": 0.1,
        "least_reference_share": 0.01,
        "least_score": 0.8,
        "alerts_per_hour": 50,
        "licensed_owner_ids": ["a", "b"],
        "exclusions": [{"reference_id": "film:2", "start_seconds": 0.0, "end_seconds": 90.5}],
    }


def test_policies_are_shown_replaced_and_removed(
    command: Command, kafka: KafkaSettings, tmp_path: Path
) -> None:
    command("policy", "set", "studio", "--least-seconds", "10", "--least-score", "0.9")
    command("policy", "set", "league")
    shown = command("policy", "show", "studio").out
    file = tmp_path / "policy.json"
    file.write_text(shown)
    command("policy", "set", "studio", "--file", file, "--least-seconds", "20")
    again = json.loads(command("policy", "show", "studio").out)
    assert (again["least_seconds"], again["least_score"]) == (20.0, 0.9)
    owners = [json.loads(line)["owner_id"] for line in command("policy", "show").out.splitlines()]
    assert sorted(owners) == ["league", "studio"]
    assert command("policy", "remove", "studio").out == "studio has no policy any more\n"
    assert messages(kafka, PolicyUpdated.topic)[-1] == (b"studio", None)
    assert command("policy", "show", "studio").code == 1
    assert command("policy", "remove", "studio").code == 1


def test_no_policies_are_no_output(command: Command) -> None:
    done = command("policy", "show")
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("no policies")


def test_what_is_no_policy_is_passed_over_and_named(command: Command, kafka: KafkaSettings) -> None:
    send(kafka, PolicyUpdated.topic, [(b"x", b"{}", [])])
    done = command("policy", "show")
    assert (done.code, done.out) == (0, "")
    assert "passed over x: PolicyUpdated: owner_id: Field required" in done.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--least-score", "2"], "least_score: Input should be less than or equal to 1"),
        (["--least-seconds", "-1"], "least_seconds: "),
        (["--alerts-per-hour", "0"], "alerts_per_hour: "),
        (["--exclude", "film"], "expected REFERENCE:START-END"),
        (["--exclude", "film:9-3"], "end_seconds"),
        (["--file", "nowhere.json"], "nowhere.json"),
    ],
)
def test_a_wrong_policy_is_refused_in_one_line_and_not_published(
    command: Command, kafka: KafkaSettings, options: list[str], words: str
) -> None:
    done = command("policy", "set", "studio", *options)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: ") and done.err.count("\n") == 1
    assert words in done.err
    assert messages(kafka, PolicyUpdated.topic) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"least_secs": 3}', "no field least_secs in a policy; there are: "),
        ('{"owner_id": "another"}', "another's policy, expected studio's"),
        ("[]", "expected a JSON object, got list"),
        ("{", "not JSON"),
    ],
)
def test_a_wrong_file_is_refused_in_words(
    command: Command, tmp_path: Path, text: str, words: str
) -> None:
    file = tmp_path / "policy.json"
    file.write_text(text)
    done = command("policy", "set", "studio", "--file", file)
    assert done.code == 1
    assert words in done.err


def suppressed() -> AlertSuppressed:
    why = {"reason": "too_short", "detail": "8.0 s are copied, expected at least 9.0 s"}
    return AlertSuppressed.model_validate(alert_of(answer(0), match("film")).model_dump() | why)


def test_suppressed_alerts_are_listed_with_their_reason(
    command: Command, kafka: KafkaSettings
) -> None:
    nothing = command("alerts", "--suppressed")
    assert (nothing.out, nothing.err) == ("", "no suppressed alerts yet\n")
    one = suppressed()
    publish(kafka, one, alert_of(answer(0), match("other")))
    assert command("alerts", "--suppressed").out == (
        f"v 1.0–9.0 s copies film 31.0–39.0 s, 90% (alert {one.alert_id}): "
        "too_short: 8.0 s are copied, expected at least 9.0 s\n"
    )
    assert "other" in command("alerts").out


@pytest.mark.parametrize("verdict", ["confirmed", "dismissed"])
def test_a_verdict_names_the_alert_and_both_videos(
    command: Command, kafka: KafkaSettings, verdict: str
) -> None:
    raised, kept = alert_of(answer(0), match("r")), suppressed()
    publish(kafka, raised, kept)
    said = ("--reviewer", "ann", "--note", "licensed")
    done = command("review", raised.alert_id, verdict, *said)
    assert (done.code, done.out) == (0, f"v and r: {verdict}\n")
    assert command("review", kept.alert_id, verdict, *said).code == 0
    found = dict(messages(kafka, AlertReviewed.topic))
    assert found.keys() == {raised.alert_id.encode(), kept.alert_id.encode()}
    review = AlertReviewed.from_json(found[raised.alert_id.encode()])
    assert (review.video_id, review.reference_id, review.verdict) == ("v", "r", verdict)
    assert (review.reviewer, review.note) == ("ann", "licensed")


def test_a_verdict_on_an_alert_that_there_is_not_is_refused(
    command: Command, kafka: KafkaSettings
) -> None:
    done = command("review", "nothing", "dismissed", "--reviewer", "ann")
    assert done.code == 1
    assert done.err.startswith("error: no alert nothing: ")
    assert messages(kafka, AlertReviewed.topic) == []
