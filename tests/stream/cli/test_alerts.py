"""`samesource alerts`: which seconds of which upload copy which of which video, told to people."""

from stream.broker.client import send
from stream.broker.settings import KafkaSettings
from stream.contract.events import AlertRaised, AppliedPolicy, MatchedSegment
from stream.times import now
from tests.stream.command import Command, publish, started

TOPICS = ("alert.raised",)


def alert(alert_id: str, video_id: str = "copy", *, is_reversed: bool = False) -> AlertRaised:
    spans = (12.04, 20.0, 3.0, 11.0), (30.0, 35.5, 60.0, 65.5)
    segments = [
        MatchedSegment(
            video_start_seconds=start, video_end_seconds=end,
            reference_start_seconds=other_start, reference_end_seconds=other_end,
            score=0.914, reversed=is_reversed,
        )
        for start, end, other_start, other_end in spans
    ]  # fmt: skip
    return AlertRaised(
        alert_id=alert_id, video_id=video_id, reference_id="film", video_owner_id="o",
        reference_owner_id="studio", score=0.914, segments=segments, model_version="m",
        library_offset=3, raised_at=now(),
    )  # fmt: skip


def test_no_alerts_are_no_output_and_no_error(command: Command) -> None:
    done = command("alerts")
    assert (done.code, done.out, done.err) == (0, "", "no alerts yet\n")


def test_each_copied_span_is_a_line_with_both_times(command: Command, kafka: KafkaSettings) -> None:
    publish(kafka, alert("a1"), alert("a2", "mirror [1]", is_reversed=True))
    done = command("alerts")
    assert (done.code, done.err) == (0, "")
    assert sorted(done.out.splitlines()) == [
        "copy 12.0–20.0 s copies film 3.0–11.0 s, 91% (alert a1)",
        "copy 30.0–35.5 s copies film 60.0–65.5 s, 91% (alert a1)",
        "mirror [1] 12.0–20.0 s copies film 3.0–11.0 s backwards, 91% (alert a2)",
        "mirror [1] 30.0–35.5 s copies film 60.0–65.5 s backwards, 91% (alert a2)",
    ]


def test_ids_are_told_as_they_are(command: Command, kafka: KafkaSettings) -> None:
    publish(kafka, alert("a1", "a:x:b [bold]"))
    for line in command("alerts").out.splitlines():
        assert line.startswith("a:x:b [bold] ")


def test_an_alert_tells_by_which_policy_it_was_judged(
    command: Command, kafka: KafkaSettings
) -> None:
    policy = AppliedPolicy(
        is_own=True, least_seconds=10.0, least_video_share=0.05, least_reference_share=0.0,
        least_score=0.8, alerts_per_hour=200, is_licensed=False, exclusions=2,
        excluded_seconds=12.0,
    )  # fmt: skip
    settings = policy.model_copy(
        update=dict.fromkeys(("least_seconds", "least_video_share", "least_score"), 0.0)
        | {"is_own": False, "alerts_per_hour": None, "exclusions": 0}
    )
    told = {"old": None, "own": policy, "settings": settings}
    alerts = [alert("a", name).model_copy(update={"policy": each}) for name, each in told.items()]
    publish(kafka, *alerts)
    lines = command("alerts", "--policy").out.splitlines()
    found = {
        lines[at - 1].split()[0]: line for at, line in enumerate(lines) if line.startswith("  ")
    }
    assert found == {
        "old": "  judged by a policy that it doesn't say: it is older",
        "own": "  judged by studio's policy: at least 10 s, 5% of the upload, a score of 80%, "
        "fewer than 200 other alerts an hour, spans of the reference that are excluded: 2, "
        "12.0 s of what was found",
        "settings": "  judged by the settings: no minimum",
    }
    done = command("alerts", "--json")
    read = [AlertRaised.from_bytes(line.encode()) for line in done.out.splitlines()]
    assert {each.video_id: each for each in read} == {each.video_id: each for each in alerts}


def test_following_shows_those_that_are_there_and_each_new_one(kafka: KafkaSettings) -> None:
    publish(kafka, alert("first"))
    with started(kafka, "alerts", "--follow") as process:
        assert process.stdout is not None
        shown = [process.stdout.readline() for _ in range(2)]
        assert all(line.endswith("(alert first)\n") for line in shown), shown
        publish(kafka, alert("second"))
        shown = [process.stdout.readline() for _ in range(2)]
        assert all(line.endswith("(alert second)\n") for line in shown), shown
        assert process.poll() is None


def test_what_is_no_alert_is_passed_over_and_named(command: Command, kafka: KafkaSettings) -> None:
    send(kafka, AlertRaised.topic, [(b"x", b"{}", [])])
    publish(kafka, alert("good"))
    done = command("alerts")
    assert (done.code, done.out.count("(alert good)")) == (0, 2)
    assert done.err.startswith(f"passed over {kafka.topic('alert.raised')}[")
    assert "alert_id: Field required" in done.err
