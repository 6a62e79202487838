"""The command on a real Kafka, from empty topics to a mended upload that is submitted again."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.broker.settings import KafkaSettings
from stream.contract.topics import load_topics
from tests.stream.command import Command, started
from tests.stream.service import make_film
from tests.stream.videos import truncate


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    empty_kafka_settings: KafkaSettings,
) -> Command:
    monkeypatch.chdir(tmp_path)
    made = Command(monkeypatch, capfd)
    made.on(empty_kafka_settings)
    return made


@pytest.fixture
def worker(
    command: Command, empty_kafka_settings: KafkaSettings, tmp_path: Path
) -> Iterator[subprocess.Popen[str]]:
    """All roles in one process, on topics that the command made."""
    assert command("topics", "create").code == 0
    places = {
        "SAMESOURCE_FETCH__ROOTS": json.dumps([str(tmp_path)]),
        "SAMESOURCE_LIBRARY__SNAPSHOT_FOLDER": str(tmp_path / "snapshots"),
        "SAMESOURCE_WORKER__DATA_FOLDER": str(tmp_path / "workers"),
        "SAMESOURCE_WORKER__LOG_LEVEL": "WARNING",
    }
    with started(empty_kafka_settings, "worker", "all", extra=places) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "worker is running on" in line:
                break
        yield process


def eventually(command: Command, words: str, shown: str, seconds: float = 60.0) -> None:
    """The command comes to print this."""
    deadline = time.monotonic() + seconds
    while shown not in (out := command(*words.split()).out):
        assert time.monotonic() < deadline, f"{words}: no {shown!r} in {out!r}"
        time.sleep(0.2)  # each look costs a tenth of a second of CPU


def test_topics_are_checked_made_and_checked_again(command: Command) -> None:
    before = command("topics", "check")
    assert before.code == 1
    assert before.out.count("is missing: run `samesource topics create`") == len(load_topics())
    assert command("topics", "create").code == 0
    after = command("topics", "check")
    assert (after.code, after.out) == (0, "✓ all topics fit the contract\n")


def test_a_copy_is_reported_and_a_broken_upload_is_mended_and_submitted_again(
    command: Command, worker: subprocess.Popen[str], tmp_path: Path
) -> None:
    make_film(tmp_path / "film.mp4")
    make_film(tmp_path / "copy.mp4")
    truncate(make_film(tmp_path / "broken.mp4"), 0.5)
    waiting = ("submit", "--wait", "--timeout-seconds", "60")
    first = command(*waiting, "--reference", "film.mp4")
    assert (first.code, first.out) == (0, "film: clear, nothing in the library is copied\n")
    probe = command("match", "copy.mp4", "--timeout-seconds", "60")
    assert (probe.code, probe.err) == (0, "")
    assert all(" would match film " in line for line in probe.out.splitlines()), probe.out
    second = command(*waiting, "copy.mp4", "broken.mp4")
    assert "copy: matched, shares footage with film\n" in second.out
    assert "broken: rejected, corrupt: " in second.out
    alerts = command("alerts").out.splitlines()
    assert alerts
    assert all(line.startswith("copy ") and " copies film " in line for line in alerts)
    (letter,) = command("rejected").out.splitlines()
    assert letter.startswith("broken: corrupt: ") and letter.endswith(", attempt 1)")
    make_film(tmp_path / "broken.mp4")
    assert command("rejected", "--replay").out.endswith("submitted 1 again\n")
    eventually(command, "alerts", "broken 0.0")
    story = json.loads(command("show", "broken", "--json").out)
    told = [moment["what"] for moment in story["moments"]]
    assert told[:4] == ["submitted", "rejected", "decided", "submitted"]
    assert {"fingerprinted", "answered", "alert raised"} <= {*told[4:]}
    since_now = command("show", "broken", "--days", "0")
    assert since_now.code == 1, "Kafka looks times up: what is older isn't read"


def test_a_replay_in_vain_is_another_attempt(
    command: Command, worker: subprocess.Popen[str]
) -> None:
    Path("text.mp4").write_text("no video\n" * 100)
    command("submit", "--wait", "--timeout-seconds", "60", "text.mp4")
    (letter,) = command("rejected").out.splitlines()
    assert letter.endswith(", attempt 1)")
    command("rejected", "--replay")
    eventually(command, "rejected", ", attempt 2)")


def test_what_was_removed_since_is_not_submitted_again(
    command: Command, worker: subprocess.Popen[str]
) -> None:
    for name in ("before", "removed"):
        Path(f"{name}.mp4").write_text("no video\n" * 100)
        command("submit", "--wait", "--timeout-seconds", "60", f"{name}.mp4")
        command("remove", "removed")  # the first time, before it is submitted
    told = command("rejected", "--replay").out.splitlines()
    assert told[-1] == "submitted 1 again"
    (line,) = [line for line in told if "not submitted" in line]
    assert line.startswith("removed: ") and ": removed since: video.fingerprinted[0]@1" in line


def test_interrupting_a_worker_ends_it_cleanly(worker: subprocess.Popen[str]) -> None:
    worker.send_signal(signal.SIGINT)
    _, err = worker.communicate(timeout=60)
    assert worker.returncode == 0, err
    assert err.splitlines()[-1] == "fingerprint+library+decide worker stopped"
    assert "Traceback" not in err
