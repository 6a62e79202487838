"""The command as people meet it: its help, its settings, and mistakes answered in one line."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from stream.broker.embedded import embedded_kafka
from stream.broker.settings import KafkaSettings
from tests.stream.command import SAMESOURCE, Command

COMMANDS = [
    "demo",
    "submit",
    "alerts",
    "rejected",
    "review",
    "match",
    "search",
    "show",
    "policy",
    "policy set",
    "policy show",
    "policy remove",
    "worker",
    "worker fingerprint",
    "worker library",
    "worker decide",
    "worker lag",
    "worker all",
    "topics",
    "topics create",
    "topics check",
    "broker",
    "broker start",
    "broker stop",
    "console",
    "token",
    "token create",
    "token list",
    "token revoke",
    "config",
    "config show",
    "evaluate",
    "evaluate copies",
    "train text-video",
    "export encoder-int8",
    "export text-video",
    "export text-video-int8",
]
FORMER_COMMANDS = [
    ("train", "spd", "detector"),
    ("export", "spd", "detector"),
    ("train", "text", "text-video"),
    ("export", "text", "text-video"),
    ("evaluate", "text", "text-video"),
]


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    monkeypatch.chdir(tmp_path)
    return Command(monkeypatch, capfd)


@pytest.fixture
def nobody(command: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command where no broker answers, and it doesn't wait long for one."""
    monkeypatch.setattr("stream.broker.client.ANSWER_SECONDS", 0.5)
    monkeypatch.setattr("stream.broker.clients.ANSWER_SECONDS", 0.5)
    monkeypatch.setattr("stream.broker.topics.ANSWER_SECONDS", 0.5)
    command.on(KafkaSettings(bootstrap_servers="127.0.0.1:9"))
    return command


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does(command: Command, name: str) -> None:
    done = command(*name.split(), "--help")
    assert done.code == 0
    lines = [line for line in done.out.splitlines() if line.strip()]
    assert f" {name} [OPTIONS]" in lines[0]
    assert len(lines[1].split()) >= 3, "a sentence about it comes next"


@pytest.mark.parametrize(("group", "old", "new"), FORMER_COMMANDS)
def test_a_name_of_before_is_the_same_command_and_not_shown(
    command: Command, group: str, old: str, new: str
) -> None:
    shown = {*command(group, "--help").out.replace("│", " ").split()}
    assert new in shown and old not in shown
    before, today = command(group, old, "--help"), command(group, new, "--help")
    assert before.code == 0
    assert before.out.replace(f" {old} [", f" {new} [").split() == today.out.split()


def test_the_installed_command_names_all_of_them() -> None:
    environment = {**os.environ, "COLUMNS": "120"}
    done = subprocess.run(
        [SAMESOURCE, "--help"], capture_output=True, text=True, check=True, env=environment
    )
    assert {name.split()[0] for name in COMMANDS} <= {*done.stdout.replace("│", " ").split()}


def test_the_settings_in_force_are_shown_with_secrets_hidden(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[kafka]\ntopic_prefix = "file."\nssl_cafile = "ca.pem"\n')
    monkeypatch.setenv("SAMESOURCE_KAFKA__TOPIC_PREFIX", "environment.")
    monkeypatch.setenv("SAMESOURCE_KAFKA__SASL_PASSWORD", "hunter2")
    monkeypatch.setenv("SAMESOURCE_KAFKA__SSL_KEYFILE_PASSWORD", "hunter3")
    done = command("--config", file, "config", "show")
    shown = json.loads(done.out)["kafka"]
    assert (shown["topic_prefix"], shown["ssl_cafile"]) == ("environment.", "ca.pem")
    assert shown["replication_factor"] == KafkaSettings().replication_factor
    assert "hunter" not in done.out + done.err
    assert set(shown["sasl_password"]) == {"*"}


def one_line(err: str, *words: str) -> None:
    """An error for people: one line that holds these words, and no traceback."""
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    missing = [word for word in words if word not in lines[0]]
    assert not missing, err


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("SAMESOURCE_KAFKA__NONSENSE", "1", ("kafka.nonsense", "'1'")),
        ("SAMESOURCE_NONSENSE", "1", ("SAMESOURCE_NONSENSE", "known: SAMESOURCE_KAFKA__…")),
        ("SAMESOURCE_LIBRARY__SHARDS", "none", ("library.shards", "'none'", "integer")),
        ("SAMESOURCE_CONFIG", "/nowhere.toml", ("no settings file at /nowhere.toml",)),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    words: tuple[str, ...],
) -> None:
    monkeypatch.setenv(variable, value)
    done = command("config", "show")
    assert done.code == 1
    one_line(done.err, *words)


@pytest.mark.parametrize("shard", ["3/3", "1/2", "1", "x", "-1/3", "/3"])
def test_a_new_shard_that_there_cannot_be_is_refused_before_anything_is_built(
    command: Command, shard: str
) -> None:
    done = command("library", "reshard", "--shards=3", f"--shard={shard}")
    assert done.code == 1
    one_line(done.err, f"--shard {shard}", "i/S with 0 ≤ i < S = 3", "0/3")


@pytest.mark.parametrize("shard", ["3/2", "2/2", "x", "-1/2", "1/0", "1/2/3", "²/3", "/2"])
def test_a_shard_that_there_cannot_be_is_refused_before_anything_starts(
    command: Command, shard: str
) -> None:
    done = command("worker", "library", f"--shard={shard}")
    assert done.code == 1
    one_line(done.err, f"--shard {shard}", "i/S with 0 ≤ i < S", "0/2")


@pytest.mark.parametrize(
    "arguments",
    [
        ("submit", "here.mp4"),
        ("submit", "--wait", "here.mp4"),
        ("match", "here.mp4"),
        ("alerts",),
        ("alerts", "--suppressed"),
        ("rejected",),
        ("review", "alert", "dismissed", "--reviewer", "ann"),
        ("policy", "set", "studio"),
        ("policy", "show"),
        ("policy", "remove", "studio"),
        ("topics", "create"),
        ("topics", "check"),
    ],
    ids=" ".join,
)
def test_without_a_broker_the_error_says_how_to_get_one(
    nobody: Command, arguments: tuple[str, ...]
) -> None:
    Path("here.mp4").touch()
    done = nobody(*arguments)
    assert (done.code, done.out) == (1, "")
    one_line(done.err, "127.0.0.1:9", "samesource broker start")


def test_a_worker_without_a_broker_ends_and_says_how_to_get_one(nobody: Command) -> None:
    done = nobody("worker", "all")
    assert done.code == 1
    assert "Traceback" not in done.err
    one_line(done.err.splitlines()[-1], "127.0.0.1:9", "samesource broker start")


def test_an_error_with_brackets_is_shown_as_it_is(command: Command) -> None:
    done = command("submit", "[/bold] of [red].mp4")
    assert done.code == 1
    one_line(done.err, "no file [/bold] of [red].mp4")


def test_missing_topics_are_named_with_the_cure(command: Command) -> None:
    with embedded_kafka(KafkaSettings()) as kafka:
        command.on(kafka.model_copy(update={"topic_prefix": "other."}))
        read, checked = command("alerts"), command("topics", "check")
    assert read.code == 1
    one_line(read.err, "no topic other.alert.raised", "samesource topics create")
    assert checked.code == 1
    assert "✗ other.video.uploaded is missing: run `samesource topics create`" in checked.out


def test_a_worker_without_its_encoder_names_the_file_in_one_line(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMESOURCE_KAFKA__BROKER", "embedded")
    monkeypatch.setenv("SAMESOURCE_ENCODER__PATH", "nowhere.onnx")
    done = command("worker", "fingerprint")
    assert done.code == 1
    assert "Traceback" not in done.err
    one_line(done.err.splitlines()[-1], "nowhere.onnx")
