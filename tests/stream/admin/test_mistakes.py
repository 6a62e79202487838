"""What operators get wrong: each is one line that names setting and cure, and exit code 1."""

import os
import socket
import subprocess
from pathlib import Path

import pytest
import trustme

from stream.broker.embedded import embedded_kafka
from stream.broker.settings import KafkaSettings
from tests.stream.command import SAMESOURCE, Command

EMBEDDED = {"SAMESOURCE_KAFKA__BROKER": "embedded"}
TLS = {"SAMESOURCE_KAFKA__SECURITY_PROTOCOL": "SSL"}
SASL = {"SAMESOURCE_KAFKA__SECURITY_PROTOCOL": "SASL_SSL"}
ANN = {**SASL, "SAMESOURCE_KAFKA__SASL_USERNAME": "ann"}


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    return Command(monkeypatch, capfd)


def refused(
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    arguments: str,
    *words: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    done = command(*arguments.split())
    assert (done.code, done.out) == (1, "")
    [line] = done.err.splitlines()
    assert line.startswith("error: ")
    assert not [word for word in words if word not in line], line


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            ANN,
            ("sasl_password is missing", "SAMESOURCE_KAFKA__SASL_PASSWORD"),
        ),
        (
            {
                **SASL,
                "SAMESOURCE_KAFKA__SASL_USERNAME": "ann",
                "SAMESOURCE_KAFKA__SASL_PASSWORD": "",
            },
            ("sasl_password is missing",),
        ),
        (
            {**SASL, "SAMESOURCE_KAFKA__SASL_PASSWORD": "hunter2"},
            ("sasl_username is missing", "SAMESOURCE_KAFKA__SASL_USERNAME"),
        ),
        ({**TLS, "SAMESOURCE_KAFKA__SSL_CAFILE": "none.pem"}, ("ssl_cafile = 'none.pem'", "PEM")),
        ({**TLS, "SAMESOURCE_KAFKA__SSL_CAFILE": "file"}, ("ssl_cafile = 'file'", "PEM")),
        ({**TLS, "SAMESOURCE_KAFKA__SSL_CERTFILE": "none.pem"}, ("ssl_certfile", "no such file")),
        ({**TLS, "SAMESOURCE_KAFKA__SSL_CERTFILE": "file"}, ("ssl_certfile = 'file'", "PEM")),
        ({**TLS, "SAMESOURCE_KAFKA__SSL_KEYFILE": "file"}, ("ssl_keyfile has no ssl_certfile",)),
        ({"SAMESOURCE_KAFKA__BOOTSTRAP_SERVERS": ""}, ("bootstrap_servers", "host:port")),
        ({"SAMESOURCE_KAFKA__BOOTSTRAP_SERVERS": "http://a:1"}, ("'http://a:1'", "host:port")),
    ],
)
@pytest.mark.parametrize("arguments", ["worker fingerprint", "topics check", "alerts"])
def test_a_connection_that_cant_be_made_is_refused_by_the_settings(
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    arguments: str,
    variables: dict[str, str],
    words: tuple[str, ...],
) -> None:
    refused(command, monkeypatch, variables, arguments, "kafka", *words)


def test_an_encrypted_key_without_its_password_is_refused_and_nobody_is_asked(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    issued = trustme.CA().issue_cert("client")
    issued.cert_chain_pems[0].write_to_path("client.pem")
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    kind, locked = PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"hunter2")
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, kind, locked))
    variables = {
        **TLS,
        "SAMESOURCE_KAFKA__SSL_CERTFILE": "client.pem",
        "SAMESOURCE_KAFKA__SSL_KEYFILE": "key.pem",
    }
    refused(command, monkeypatch, variables, "topics check", "ssl_keyfile_password")
    monkeypatch.setenv("SAMESOURCE_KAFKA__SSL_KEYFILE_PASSWORD", "hunter2")
    assert command("config", "show").code == 0


def test_secrets_of_a_refused_section_are_not_shown(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    for text in (
        '[kafka]\nsecurity_protocol = "SASL_SSL"\nsasl_password = "hunter2"\n',
        "[kafka]\nsasl_password = 7777777\n",
        '[kafka]\nsasl_pasword = "hunter2"\n',
        '[kafak]\nsasl_password = "hunter2"\n',
    ):
        file.write_text(text)
        done = command("--config", file, "config", "show")
        assert (done.code, len(done.err.splitlines())) == (1, 1)
        assert not {"hunter2", "7777777"} & {*done.err.replace("'", " ").split()}, done.err


@pytest.mark.parametrize(
    ("role", "variable", "value", "words"),
    [
        ("fingerprint", "ENCODER__PATH", "none.onnx", ("encoder.path = none.onnx",)),
        ("fingerprint", "ENCODER__PATH", "file", ("file can't be loaded",)),
        ("fingerprint", "ENCODER__PROVIDER", "gpu", ("encoder.provider = 'gpu'", "cuda")),
        ("fingerprint", "ENCODER__PROVIDER", "tensorrt", ("encoder.provider", "ask for cpu")),
        ("fingerprint", "KEY_FRAMES__PATH", "none.onnx", ("key_frames.path = none.onnx",)),
        ("fingerprint", "KEY_FRAMES__PROVIDER", "cuda", ("key_frames.provider", "ask for cpu")),
        ("fingerprint", "TEXT_VIDEO__PATH", "none", ("text_video.path = none",)),
        ("fingerprint", "TEXT_VIDEO__PROVIDER", "cuda", ("text_video.provider", "ask for cpu")),
        ("fingerprint", "DECODE__SPOOL_FOLDER", "file", ("decode.spool_folder = file", "folder")),
        ("fingerprint", "WORKER__DATA_FOLDER", "file/a", ("worker.data_folder = file/a",)),
        ("decide", "WORKER__DATA_FOLDER", "/proc/a", ("worker.data_folder", "another folder")),
        ("library", "LIBRARY__SNAPSHOT_FOLDER", "file", ("library.snapshot_folder = file",)),
        ("library", "LIBRARY__SNAPSHOT_FOLDER", "/proc/a", ("SAMESOURCE_LIBRARY__SNAPSHOT",)),
        ("library", "LIBRARY__ALIGNER", "hough", ("library.aligner = 'hough'", "hough_voting")),
        ("library", "LIBRARY__PROVIDER", "cuda", ("library.provider = 'cuda'", "ask for cpu")),
        ("library", "LIBRARY__DEVICE", "cuda", ("library.device", "faiss-gpu")),
        ("decide", "WORKER__METRICS_HOST", "nowhere.invalid", ("metrics_host", "nowhere.invalid")),
    ],
)
def test_what_a_worker_cant_use_is_told_before_it_starts(
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    role: str,
    variable: str,
    value: str,
    words: tuple[str, ...],
) -> None:
    variables = {**EMBEDDED, f"SAMESOURCE_{variable}": value}
    if variable == "WORKER__METRICS_HOST":
        variables["SAMESOURCE_WORKER__METRICS_PORT"] = "59999"
    refused(command, monkeypatch, variables, f"worker {role}", *words)


def test_a_temporary_folder_that_cant_be_used_is_no_silence(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {**EMBEDDED, "TMPDIR": "/proc/none"}
    refused(command, monkeypatch, variables, "worker fingerprint", "TMPDIR = /proc/none")


@pytest.mark.parametrize("role", ["fingerprint", "library", "decide", "all"])
def test_a_taken_port_is_told(command: Command, monkeypatch: pytest.MonkeyPatch, role: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        variables = {**EMBEDDED, "SAMESOURCE_WORKER__METRICS_PORT": str(port)}
        words = (f"worker.metrics_port = {port}", "SAMESOURCE_WORKER__METRICS_PORT")
        refused(command, monkeypatch, variables, f"worker {role}", *words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[kafka]\nbootstrap_server = "a:1"\n', ("unknown key", "mean kafka.bootstrap_servers?")),
        ("[lybrary]\nshards = 2\n", ("lybrary", "did you mean library?")),
        ("[worker]\nzzz = 2\n", ("worker.zzz = 2: unknown key", "worker.log_level")),
        ("[encoder.outside]\nzzz = 2\n", ("encoder.outside.zzz",)),
        ("[kafka\n", ("mine.toml", "TOML")),
        ("\udcff", ("mine.toml", "UTF-8")),
    ],
)
def test_a_file_with_a_mistake_is_told_with_what_may_stand_there(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, words: list[str]
) -> None:
    (tmp_path / "mine.toml").write_text(text, errors="surrogateescape")
    refused(command, monkeypatch, {}, "--config mine.toml config show", *words)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("SAMESOURCE_KAFKA__BOOTSTRAP_SERVER", "a:1", ("did you mean kafka.bootstrap_servers?",)),
        ("SAMESOURCE_KAKFA__BOOTSTRAP_SERVERS", "a:1", ("SAMESOURCE_KAKFA__BOOTSTRAP_SERVERS",)),
        ("SAMESOURCE_FETCH__ROOTS", "/videos", ("SAMESOURCE_FETCH__ROOTS", "JSON")),
        ("SAMESOURCE_WORKER", "x", ("SAMESOURCE_WORKER", "JSON")),
    ],
)
def test_a_variable_with_a_mistake_is_named(
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    words: tuple[str, ...],
) -> None:
    refused(command, monkeypatch, {variable: value}, "config show", *words)


def test_the_process_itself_ends_with_the_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [SAMESOURCE, "worker", "fingerprint"],
        env={**os.environ, **ANN},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: kafka: sasl_password is missing")
    assert len(done.stderr.splitlines()) == 1


def test_a_plain_or_embedded_connection_needs_no_secret() -> None:
    assert not KafkaSettings(ssl_cafile="none.pem").uses_tls
    assert KafkaSettings(broker="embedded", security_protocol="SASL_SSL").uses_sasl


def test_a_folder_that_a_command_cant_use_is_told(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    with embedded_kafka(KafkaSettings()) as kafka:
        command.on(kafka)
        folder = {"SAMESOURCE_LIBRARY__SNAPSHOT_FOLDER": "/proc/none"}
        refused(command, monkeypatch, folder, "library verify", "/proc/none", "No such file")


def test_what_the_client_of_kafka_refuses_is_told(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KafkaSettings, "librdkafka_options", lambda _: {"nonsense": "1"})
    refused(command, monkeypatch, {}, "topics check", "No such configuration property", "kafka")
