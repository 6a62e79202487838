"""The image and the compose file, as far as they can be checked without an engine."""

import re
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as xml
from fnmatch import fnmatch
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.testing import CliRunner

from stream.cli.app import app
from stream.contract.topics import load_topics
from stream.settings import load_settings

ROOT = Path(__file__).resolve().parents[1]
COMPOSE_FILE = ROOT / "docker-compose.yml"
GPU_FILE = ROOT / "docker-compose.gpu.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ON_GPU: dict[str, dict[str, Any]] = yaml.safe_load(GPU_FILE.read_text())["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
KAFKA = SERVICES["kafka"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
GIB = 2**30


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


def test_the_shards_share_one_volume_for_snapshots() -> None:
    for name in SERVICES:
        if name.startswith("library"):
            assert SERVICES[name]["volumes"] == [
                "workers:/var/lib/samesource/workers",
                "snapshots:/var/lib/samesource/snapshots",
            ]
    used = {
        volume.partition(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if not volume.startswith(".")
    }
    assert used == set(COMPOSE["volumes"])


def test_what_the_console_writes_lies_on_volumes(monkeypatch: pytest.MonkeyPatch) -> None:
    use_environment_of("console", monkeypatch)
    settings, service = load_settings(), SERVICES["console"]
    volumes = [each.split(":")[1] for each in service["volumes"] if not each.endswith(":ro")]
    database_file = settings.console.database_file
    assert database_file is not None and service["read_only"]
    # Its sessions, and the key of its webhooks, outlive the container; a view is read again.
    for file in (database_file, settings.console.key_file):
        assert any(file.is_relative_to(volume) for volume in volumes), file
    folders = [each.partition(":")[0] for each in service["tmpfs"]]
    assert any(settings.search.snapshot_folder.is_relative_to(each) for each in folders)


@pytest.mark.parametrize("service", ["fingerprint", "library-0", "library-1", "decide"])
def test_what_was_in_hand_at_a_death_outlives_the_container(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_environment_of(service, monkeypatch)
    folder = load_settings().worker.data_folder
    assert f"workers:{folder}" in SERVICES[service]["volumes"]
    [made] = re.findall(r"install -d -o samesource -g samesource ([^&]+?)\n\n", DOCKERFILE)
    assert str(folder) in made.split(), "a new volume has the owner of the image's folder"


def test_a_stop_waits_longer_than_a_worker_drains(monkeypatch: pytest.MonkeyPatch) -> None:
    use_environment_of("fingerprint", monkeypatch)
    grace = int(SERVICES["fingerprint"]["stop_grace_period"].removesuffix("s"))
    assert grace > load_settings().worker.drain_seconds


@pytest.mark.parametrize(
    ("service", "page"),
    [("fingerprint", "live"), ("decide", "live"), ("library-0", "ready"), ("library-1", "ready")],
)
def test_health_is_asked_where_it_is_told(
    service: str, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_environment_of(service, monkeypatch)
    worker = load_settings().worker
    code = SERVICES[service]["healthcheck"]["test"][-1]
    assert f"127.0.0.1:{worker.metrics_port}/health/{page}" in code
    assert worker.metrics_host == "0.0.0.0", "Prometheus asks from another container"
    compile(code, "healthcheck", "exec")


def size(text: str) -> int:
    """Bytes of `512m` or `3g`."""
    return int(text[:-1]) * {"m": 2**20, "g": GIB}[text[-1]]


def scratch_bytes(service: dict[str, Any]) -> int:
    """Of its /tmp, which lies in memory."""
    [mount] = service["tmpfs"]
    found = re.fullmatch(r"/tmp:size=(\d+[mg]),mode=1777", mount)
    assert found, mount
    return size(found[1])


def test_the_console_is_reached_from_this_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    use_environment_of("console", monkeypatch)
    own = load_settings().console
    assert SERVICES["console"]["ports"] == [f"127.0.0.1:{own.port}:{own.port}"]
    assert own.public_url == f"http://localhost:{own.port}"
    assert own.host == "0.0.0.0", "the port is published from another network"


@pytest.mark.parametrize("service", SERVICES)
def test_every_container_has_few_rights_and_bounded_memory(service: str) -> None:
    hardened = SERVICES[service]
    assert hardened["cap_drop"] == ["ALL"]
    assert hardened["security_opt"] == ["no-new-privileges:true"]
    assert size(hardened["mem_limit"]) <= 9 * GIB
    assert not hardened.get("privileged") and "cap_add" not in hardened


@pytest.mark.parametrize("service", SERVICES)
def test_every_root_is_read_only_and_scratch_bounded(service: str) -> None:
    assert SERVICES[service]["read_only"] is True
    scratch = [each.partition(":size=")[2] for each in SERVICES[service].get("tmpfs", [])]
    assert sum(size(each.split(",")[0]) for each in scratch) < size(SERVICES[service]["mem_limit"])


def test_fingerprint_workers_read_the_files_that_the_console_is_asked_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_environment_of("console", monkeypatch)
    store = load_settings().console.match_store
    use_environment_of("fingerprint", monkeypatch)
    assert store is not None and Path(store) in load_settings().fetch.roots
    assert f"asked:{store}:ro" in SERVICES["fingerprint"]["volumes"]


@pytest.mark.parametrize("service", OURS)
def test_ours_write_to_scratch_and_their_volumes_alone(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_environment_of(service, monkeypatch)
    settings, ours = load_settings(), SERVICES[service]
    assert ours["read_only"] is True
    assert scratch_bytes(ours) < size(ours["mem_limit"])
    volumes = [volume.split(":")[1] for volume in ours.get("volumes", []) if volume[-3:] != ":ro"]
    notes = str(settings.worker.data_folder)
    if "library" in service:
        assert volumes == [notes, str(settings.library.snapshot_folder)]
    elif service in ("fingerprint", "decide"):
        assert volumes == [notes]
    elif service == "console":
        database = settings.console.database_file
        store = settings.console.match_store
        assert database is not None and volumes == [str(database.parent), store]
        assert settings.console.cache_bytes + settings.fetch.max_bytes < scratch_bytes(ours)
        assert 2 * settings.fetch.max_bytes <= settings.console.cache_bytes, "both of an alert"
    else:
        assert volumes == []
    assert settings.search.snapshot_folder.is_relative_to("/tmp")
    assert settings.decode.spool_folder is None, "so it is /tmp"


def test_the_memory_of_a_fingerprint_worker_holds_its_scratch_and_its_children(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_environment_of("fingerprint", monkeypatch)
    settings, service = load_settings(), SERVICES["fingerprint"]
    children = settings.decode.processes * settings.decode.memory_bytes
    assert scratch_bytes(service) + children + GIB <= size(service["mem_limit"])
    assert 2 * settings.fetch.max_bytes < scratch_bytes(service), "one decodes, one is fetched"


def default(text: str) -> str:
    """What `${NAME:-default}` is where nobody sets it."""
    found = re.fullmatch(r"\$\{[A-Z_]+:-([^}]+)\}", text)
    assert found, f"{text} can't be pinned by a digest"
    return found[1]


def test_every_image_is_pinned_by_its_digest_and_can_be_by_another() -> None:
    for services in (SERVICES, ON_GPU):
        for service in services.values():
            image = default(service["image"])
            if "build" in service:  # made here, of a base from elsewhere
                image = default(service["build"]["args"]["BASE_IMAGE"])
                assert f"ARG BASE_IMAGE={image}\nFROM ${{BASE_IMAGE}}\n" in DOCKERFILE
            assert re.fullmatch(r"[a-z0-9./-]+:[^@]+@sha256:[0-9a-f]{64}", image), image
    names = re.findall(r"\$\{([A-Z_]+):-", COMPOSE_FILE.read_text() + GPU_FILE.read_text())
    operations = (ROOT / "docs" / "operations.md").read_text()
    assert not [name for name in names if f"{name}=" not in operations]


def test_kafka_is_the_tested_version_and_takes_the_largest_record() -> None:
    pom = xml.parse(ROOT / "kafka" / "local" / "pom.xml")
    maven = "{http://maven.apache.org/POM/4.0.0}"
    versions = {
        dependency.findtext(f"{maven}artifactId"): dependency.findtext(f"{maven}version")
        for dependency in pom.iter(f"{maven}dependency")
    }
    assert default(KAFKA["image"]).startswith(f"apache/kafka:{versions['kafka_2.13']}@sha256:")
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
    assert ON_GPU[service]["build"]["args"]["EXTRA"] == "gpu"


def locked() -> dict[str, Requirement]:
    """What the lock holds, by name."""
    lines = re.sub(r" \\\n +--hash=sha256:[0-9a-f]{64}", "", LOCK).splitlines()
    found = [Requirement(line) for line in lines if not line.lstrip().startswith("#")]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def version_of(requirement: Requirement) -> str:
    [exactly] = requirement.specifier
    assert exactly.operator == "=="
    return exactly.version


def test_the_lock_is_what_the_project_asks_for() -> None:
    lock = locked()
    asked = [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]]
    for requirement in map(Requirement, asked):
        held = lock.get(canonicalize_name(requirement.name))
        assert held is not None, f"{requirement.name} is not locked: run `make lock`"
        assert requirement.specifier.contains(version_of(held)), f"{requirement}: run `make lock`"


def test_the_lock_is_whole() -> None:
    lock = locked()
    left, seen = [Requirement(each) for each in PROJECT["project"]["dependencies"]], set()
    while left:
        asked = left.pop()
        if (key := (asked.name, *sorted(asked.extras))) in seen:
            continue
        seen.add(key)
        assert canonicalize_name(asked.name) in lock, f"{asked} is not locked: run `make lock`"
        try:
            needs = requires(asked.name) or []
        except PackageNotFoundError:
            continue  # of another platform
        for needed in map(Requirement, needs):
            extras = asked.extras or {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": e}) for e in extras):
                left.append(needed)


def test_the_lock_holds_hashes_and_no_address() -> None:
    assert all(f"{name}==" in LOCK.lower().replace("_", "-") for name in locked())
    for block in re.split(r"\n(?=\S)", LOCK.strip()):
        assert block.startswith("#") or "--hash=sha256:" in block, block
    for word in ("://", "index-url", "find-links", "trusted-host", "@", "file:"):
        assert word not in LOCK, word


def test_the_lock_serves_and_neither_trains_nor_tests() -> None:
    lock = locked()
    assert not {"torch", "pytest", "onnx", "onnxruntime-gpu", "faiss-gpu"} & set(lock)
    assert set(lock) >= {"onnxruntime", "faiss-cpu", "aiokafka", "setuptools"}


def test_the_image_installs_the_lock_alone() -> None:
    installs = re.findall(r"pip install ([^\\\n;&]+)", DOCKERFILE)
    assert [line.strip() for line in installs] == [
        "--require-hashes -r requirements.lock",
        "--constraint /tmp/locked.txt -r /tmp/gpu.txt",
        "--no-deps --no-build-isolation -e .",
    ]


def test_the_image_for_a_gpu_has_no_two_packages_of_one_module() -> None:
    removed = re.search(r"pip uninstall --yes (.+) \\", DOCKERFILE)
    assert removed and set(removed[1].split()) == {"onnxruntime", "faiss-cpu"}
    line = re.search(r'python (-c) "(.+)" > /tmp/gpu.txt', DOCKERFILE)
    assert line
    done = subprocess.run(
        [sys.executable, line[1], line[2]], cwd=ROOT, capture_output=True, text=True, check=True
    )
    names = {Requirement(each).name for each in done.stdout.splitlines()}
    assert names == {"faiss-gpu", "onnxruntime-gpu", "tensorrt-cu12"}
