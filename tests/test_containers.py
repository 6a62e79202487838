"""The image and the compose file, as far as they can be checked without an engine."""

import re
import shlex
import subprocess
import sys
import xml.etree.ElementTree as xml
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from stream.cli.app import app
from stream.settings import load_settings
from stream.topics import load_topics

ROOT = Path(__file__).resolve().parents[1]
COMPOSE_FILE = ROOT / "docker-compose.yml"
GPU_FILE = ROOT / "docker-compose.gpu.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ON_GPU: dict[str, dict[str, Any]] = yaml.safe_load(GPU_FILE.read_text())["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
KAFKA = SERVICES["kafka"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def use_environment_of(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SERVICES[service]["environment"].items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("file", [COMPOSE_FILE, GPU_FILE], ids=lambda file: file.name)
def test_the_compose_files_fit_the_published_schema(file: Path) -> None:
    command = ["-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [sys.executable, *command, file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("service", OURS)
def test_every_service_runs_a_real_command(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use_environment_of(service, monkeypatch)
    result = CliRunner().invoke(app, [*SERVICES[service]["command"], "--help"])
    assert result.exit_code == 0, result.output


def test_a_command_that_does_not_exist_would_be_noticed() -> None:
    assert CliRunner().invoke(app, ["worker", "fingerprnt", "--help"]).exit_code != 0
    assert CliRunner().invoke(app, ["worker", "library", "--shrad", "0/2", "--help"]).exit_code != 0


@pytest.mark.parametrize("service", OURS)
def test_every_variable_is_a_real_setting(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use_environment_of(service, monkeypatch)
    settings = load_settings()
    advertised = KAFKA["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert f"BROKER://{settings.kafka.bootstrap_servers}" in advertised
    assert str(settings.library.snapshot_folder) == "/var/lib/samesource/snapshots"


def test_there_is_one_library_service_per_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    use_environment_of("library-0", monkeypatch)
    shards = load_settings().library.shards
    named = [SERVICES[name]["command"][-1] for name in SERVICES if name.startswith("library")]
    assert sorted(named) == [f"{shard}/{shards}" for shard in range(shards)]


def test_every_role_has_replicas_and_no_more_than_partitions() -> None:
    partitions = {topic.name: topic.partitions for topic in load_topics()}
    assert 1 <= SERVICES["fingerprint"]["deploy"]["replicas"] <= partitions["video.uploaded"]
    assert 1 <= SERVICES["decide"]["deploy"]["replicas"] <= partitions["video.compared"]
    for name in SERVICES:
        if name.startswith("library"):
            assert SERVICES[name]["deploy"]["replicas"] == 1, "two would write the same snapshots"


def test_the_workers_share_one_volume_for_snapshots() -> None:
    for name in SERVICES:
        if name.startswith("library"):
            assert SERVICES[name]["volumes"] == ["snapshots:/var/lib/samesource/snapshots"]
    used = {
        volume.partition(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if not volume.startswith(".")
    }
    assert used == set(COMPOSE["volumes"])


def test_a_stop_waits_longer_than_a_worker_drains(monkeypatch: pytest.MonkeyPatch) -> None:
    use_environment_of("fingerprint", monkeypatch)
    grace = int(SERVICES["fingerprint"]["stop_grace_period"].removesuffix("s"))
    assert grace > load_settings().worker.drain_seconds


def test_health_is_asked_where_the_metrics_are(monkeypatch: pytest.MonkeyPatch) -> None:
    use_environment_of("decide", monkeypatch)
    code = SERVICES["decide"]["healthcheck"]["test"][-1]
    assert f"127.0.0.1:{load_settings().worker.metrics_port}/metrics" in code
    compile(code, "healthcheck", "exec")


def test_kafka_is_the_tested_version_and_takes_the_largest_record() -> None:
    pom = xml.parse(ROOT / "kafka" / "local" / "pom.xml")
    maven = "{http://maven.apache.org/POM/4.0.0}"
    versions = {
        dependency.findtext(f"{maven}artifactId"): dependency.findtext(f"{maven}version")
        for dependency in pom.iter(f"{maven}dependency")
    }
    assert KAFKA["image"] == f"apache/kafka:{versions['kafka_2.13']}"
    largest = max(topic.max_message_bytes for topic in load_topics())
    for name in ("KAFKA_MESSAGE_MAX_BYTES", "KAFKA_REPLICA_FETCH_MAX_BYTES"):
        assert int(KAFKA["environment"][name]) >= largest


def test_the_image_copies_only_what_is_there_and_sent_to_the_engine() -> None:
    sources = [
        source
        for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    rules = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert sources and rules[0] == "*"
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(fnmatch(source, rule[1:]) for rule in rules if rule.startswith("!")), source


def test_the_image_runs_the_command_as_an_ordinary_user() -> None:
    last_user = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)[-1]
    assert last_user == "samesource"
    assert 'ENTRYPOINT ["samesource"]' in DOCKERFILE
    assert re.search(r"^FROM python:3\.11-slim$", DOCKERFILE, re.MULTILINE)


@pytest.mark.parametrize("service", ON_GPU)
def test_a_service_on_a_gpu_asks_for_one_and_uses_it(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_environment_of(service, monkeypatch)
    assert load_settings().encoder.provider == "cpu"
    for name, value in ON_GPU[service]["environment"].items():
        monkeypatch.setenv(name, value)
    assert load_settings().encoder.provider == "cuda"
    (device,) = ON_GPU[service]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    # Otherwise an image without the extra would stand in for it.
    assert ON_GPU[service]["image"] != SERVICES[service]["image"]
    assert ON_GPU[service]["build"]["args"] == {"EXTRA": "gpu"}


def required(extra: str) -> set[str]:
    """The packages that the image installs, by running the line that lists them."""
    line = re.search(r'^RUN (python -c ".+") \$EXTRA > ', DOCKERFILE, re.MULTILINE)
    assert line
    python = f"{shlex.quote(sys.executable)}{line[1].removeprefix('python')} {extra}"
    done = subprocess.run(
        ["sh", "-c", python], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {re.split(r"[^\w-]", package)[0] for package in done.stdout.splitlines()}


def test_the_image_has_no_two_packages_of_one_module() -> None:
    plain, gpu = required(""), required("gpu")
    assert plain >= {"onnxruntime", "faiss-cpu", "aiokafka"}
    assert plain - gpu == {"onnxruntime", "faiss-cpu"}
    assert gpu - plain >= {"onnxruntime-gpu", "faiss-gpu"}
