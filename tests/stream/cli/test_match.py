"""`samesource match`: what it asks, how it waits for the shards, and what it says of them."""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from subprocess import Popen

import pytest

from stream.broker.client import Reader
from stream.broker.settings import KafkaSettings
from stream.contract.events import Event, ProbeAnswered, ProbeAsked
from tests.stream.answers import SEGMENT, match
from tests.stream.command import Command, Done, publish, started
from tests.stream.probes import answered

TOPICS = ("probe.asked", "probe.answered")


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    path.touch()
    return path


def asked(kafka: KafkaSettings) -> ProbeAsked:
    """The probe that the command asks."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with Reader(kafka, ProbeAsked.topic) as reader:
            for _, message in reader.until_now():
                return ProbeAsked.from_bytes(message.value())
        time.sleep(0.05)
    raise AssertionError("nothing was asked")


def ended(process: "Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def while_answered(
    kafka: KafkaSettings,
    command: Command,
    answers: Callable[[str], Sequence[Event]],
    *arguments: str | Path,
) -> tuple[Done, ProbeAsked]:
    """Run the command while somebody answers; `answers` are those to a probe id."""

    def answer() -> ProbeAsked:
        probe = asked(kafka)
        publish(kafka, *answers(probe.probe_id))
        return probe

    with ThreadPoolExecutor(1) as pool:
        answering = pool.submit(answer)
        done = command("match", *arguments)
        return done, answering.result()


def refusal(probe_id: str, shard: int | None = None, shards: int | None = None) -> ProbeAnswered:
    return ProbeAnswered(
        probe_id=probe_id, shard=shard, shards=shards, error="not_found", message="nothing [there]"
    )


def test_matches_of_all_shards_are_shown_the_surest_first(kafka: KafkaSettings, film: Path) -> None:
    before = time.time()
    with started(kafka, "match", film, "--owner", "owner of c") as process:
        probe = asked(kafka)
        assert (probe.uri, probe.owner_id) == (film.as_uri(), "owner of c")
        assert 100 < datetime.timestamp(probe.answer_by) - before < 180
        back = SEGMENT.model_copy(update={"reversed": True})
        sure = match("b [x]", role="upload", score=0.95, segments=[back])
        first = answered(probe.probe_id, 0, "a", "c")
        second = answered(probe.probe_id, 1).model_copy(update={"matches": [sure]})
        publish(kafka, answered("somebody else's", 0, "z", shards=1), first, first)
        assert process.poll() is None, "one shard of two has answered"
        publish(kafka, second)
        code, out, err = ended(process)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "1.0–9.0 s would match b [x] 31.0–39.0 s backwards, 90% (upload)",
        "1.0–9.0 s would match a 31.0–39.0 s, 90% (reference)",
        "1.0–9.0 s would match c 31.0–39.0 s, 90% (reference, of the same owner)",
    ]


def test_where_a_picture_is_shown_is_said(
    kafka: KafkaSettings, command: Command, film: Path
) -> None:
    def answers(probe: str) -> list[Event]:
        found = answered(probe, 0, "a", shards=1)
        return [found.model_copy(update={"aligner_version": "picture"})]

    done, _ = while_answered(kafka, command, answers, film)
    assert done == Done(0, "the picture is within a 31.0–39.0 s, 90% (reference)\n", "")


def test_that_nothing_matches_is_said(kafka: KafkaSettings, command: Command, film: Path) -> None:
    done, _ = while_answered(kafka, command, lambda probe: [answered(probe, 0, shards=1)], film)
    assert done == Done(0, "nothing matches\n", "")


def test_a_shard_that_is_silent_or_refuses_is_named(
    kafka: KafkaSettings, command: Command, film: Path
) -> None:
    def answers(probe: str) -> list[Event]:
        return [
            answered(probe, 2, "a", shards=3),
            refusal(probe, shard=0, shards=3),
            answered(probe, 1, shards=4),
        ]

    done, _ = while_answered(kafka, command, answers, film, "--timeout-seconds", "6")
    assert done.code == 1
    assert done.out == "1.0–9.0 s would match a 31.0–39.0 s, 90% (reference)\n"
    assert done.err.splitlines() == [
        "shard 1 of 3 has not answered within 6 s: what it holds was not compared",
        "shard 0 of 3 has no answer: not_found: nothing [there]",
    ]


def test_all_of_one_count_is_enough_where_two_answer(
    kafka: KafkaSettings, command: Command, film: Path
) -> None:
    def answers(probe: str) -> list[Event]:
        return [answered(probe, 0, "a"), answered(probe, 0, "a", shards=1)]

    done, probe = while_answered(kafka, command, answers, film, "--json")
    told = json.loads(done.out)
    assert done.code == 0
    assert (told["probe_id"], told["uri"]) == (probe.probe_id, film.as_uri())
    assert (told["complete"], told["shards"], told["not_answered"]) == (True, 1, [])
    assert told["library_offsets"] == {"0": 7}
    (found,) = told["matches"]
    assert found["reference_id"] == "a"
    assert found["segments"] == [SEGMENT.model_dump()]


def test_a_refused_probe_is_one_line(kafka: KafkaSettings, command: Command, film: Path) -> None:
    done, _ = while_answered(kafka, command, lambda probe: [refusal(probe)], film)
    assert done == Done(1, "", "error: not_found: nothing [there]\n")


def test_where_nobody_answers_the_error_says_who_should(command: Command, film: Path) -> None:
    done = command("match", film, "--timeout-seconds", "1")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: no shard has answered within 1 s: ")
    assert done.err.count("\n") == 1
    assert "samesource worker all" in done.err


@pytest.mark.parametrize(
    ("location", "words"), [("nowhere.mp4", "no file nowhere.mp4"), ("/tmp", "/tmp is a folder")]
)
def test_a_file_that_isnt_there_is_one_line(command: Command, location: str, words: str) -> None:
    done = command("match", location)
    assert (done.code, done.out) == (1, "")
    assert words in done.err
    assert done.err.count("\n") == 1
