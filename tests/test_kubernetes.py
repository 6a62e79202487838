"""The manifests for Kubernetes, as far as they can be checked without a cluster."""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from stream.cli.app import app
from stream.contract.topics import load_topics
from stream.settings import Settings, load_settings

ROOT = Path(__file__).resolve().parents[1]
BASE, KEDA = ROOT / "configs" / "kubernetes" / "base", ROOT / "configs" / "kubernetes" / "keda"
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
VERSIONS = ["1.31", "1.37"]  # the oldest whose fields these use, and the newest with schemas
GIB = 2**30
UNITS = {"Mi": 2**20, "Gi": GIB}


def documents(folder: Path) -> list[dict[str, Any]]:
    """What the folder's kustomization takes in, of the folder itself."""
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    names = [name for name in listed if not name.startswith("..")]
    return [each for name in names for each in yaml.safe_load_all((folder / name).read_text())]


ALL = documents(BASE)
WORKLOADS = {each["metadata"]["name"]: each for each in ALL if "template" in each.get("spec", {})}
SERVICES = {each["metadata"]["name"]: each for each in ALL if each["kind"] == "Service"}
SCALED = documents(KEDA)
SERVING = [name for name in WORKLOADS if name != "topics"]


def pod_of(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = WORKLOADS[name]["spec"]["template"]["spec"]
    return spec


def container_of(name: str) -> dict[str, Any]:
    [container] = pod_of(name)["containers"]
    found: dict[str, Any] = container
    return found


def shared_variables() -> dict[str, str]:
    """Of the config map that all roles take their environment from."""
    lines = (BASE / "settings.env").read_text().splitlines()
    found = [line.partition("=") for line in lines if line and not line.startswith("#")]
    return {name: value for name, _, value in found}


def variables_of(name: str) -> dict[str, str]:
    """The environment of a container; what a secret or the cluster gives has some value."""
    given = {"kafka-username": "ann", "kafka-password": "hunter2"}
    given["database-url"] = "postgresql://samesource:hunter2@db/console"
    given["webhook-key"] = "hunter2 " * 8
    found = shared_variables()
    for each in container_of(name).get("env", ()):
        source = each["valueFrom"]
        secret = source.get("secretKeyRef")
        found[each["name"]] = "1" if secret is None else given[secret["key"]]
    return found


def settings_of(name: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for variable, value in variables_of(name).items():
        monkeypatch.setenv(variable, value)
    return load_settings()


def size(text: str) -> int:
    """Bytes of `512Mi` or `3Gi`."""
    return int(text[:-2]) * UNITS[text[-2:]]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "manifest", ALL, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}"
)
def test_each_manifest_fits_the_schema_of_its_kind(manifest: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


def test_a_field_that_does_not_exist_would_be_noticed() -> None:
    wrong = {**ALL[0], "spce": {}}
    with pytest.raises(kubernetes_validate.ValidationError, match="spce"):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("folder", [BASE, KEDA], ids=lambda folder: folder.name)
def test_every_file_is_taken_in_and_every_file_that_is_named_is_there(folder: Path) -> None:
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())
    named = {*listed["resources"], "kustomization.yaml"}
    named |= {file for each in listed.get("configMapGenerator", ()) for file in each["envs"]}
    assert {file.name for file in folder.iterdir()} == named - {"../base"}
    assert all((folder / each).exists() for each in named)


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_command_is_real(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings_of(name, monkeypatch)
    variables = variables_of(name)

    def value(found: re.Match[str]) -> str:
        assert found[1] in variables, f"{found[0]} isn't in the environment"
        return variables[found[1]]

    arguments = [re.sub(r"\$\((\w+)\)", value, each) for each in container_of(name)["args"]]
    result = CliRunner().invoke(app, [*arguments, "--help"])
    assert result.exit_code == 0, result.output
    assert container_of(name)["image"] == "samesource", "the kustomization names the registry"


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_variable_is_a_real_setting(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(name, monkeypatch)
    assert settings.kafka.uses_tls and settings.kafka.uses_sasl
    assert settings.kafka.sasl_password is not None
    # A service called samesource-… would otherwise put variables of that name into each pod.
    assert pod_of(name)["enableServiceLinks"] is False


def test_a_variable_that_does_not_exist_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from stream.errors import SettingsError

    monkeypatch.setenv("SAMESOURCE_CONSOLE_PORT", "tcp://10.0.0.1:80")
    with pytest.raises(SettingsError, match="SAMESOURCE_CONSOLE_PORT"):
        settings_of("console", monkeypatch)


def test_secrets_are_named_in_the_documentation_and_in_no_file() -> None:
    keys = {
        each["valueFrom"]["secretKeyRef"]["key"]
        for name in WORKLOADS
        for each in container_of(name).get("env", ())
        if "secretKeyRef" in each["valueFrom"]
    }
    assert keys == {"kafka-username", "kafka-password", "database-url", "webhook-key"}
    for key in keys:
        assert f"--from-literal={key}=" in OPERATIONS
    secret = ("PASSWORD", "DATABASE_URL", "TOKEN", "WEBHOOK_KEY")
    assert not [name for name in shared_variables() if name.endswith(secret)]
    assert not [each for each in [*ALL, *SCALED] if each["kind"] == "Secret"]


def test_there_is_one_pod_for_each_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    library = WORKLOADS["library"]
    assert library["kind"] == "StatefulSet"
    shards = settings_of("library", monkeypatch).library.shards
    assert library["spec"]["replicas"] == shards
    assert container_of("library")["args"][-1] == "$(SHARD)/$(SAMESOURCE_LIBRARY__SHARDS)"
    [shard] = [each for each in container_of("library")["env"] if each["name"] == "SHARD"]
    index = "metadata.labels['apps.kubernetes.io/pod-index']"
    assert shard["valueFrom"]["fieldRef"]["fieldPath"] == index
    assert library["spec"]["serviceName"] in SERVICES


@pytest.mark.parametrize("name", SERVING)
def test_health_is_asked_where_it_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    worker, container = settings_of(name, monkeypatch).worker, container_of(name)
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports["metrics"] == worker.metrics_port
    assert worker.metrics_host == "0.0.0.0", "the kubelet asks from outside of the pod"
    asked = {
        probe: container[f"{probe}Probe"]["httpGet"]
        for probe in ("startup", "liveness", "readiness")
    }
    assert {probe: found["path"] for probe, found in asked.items()} == {
        "startup": "/health/live",
        "liveness": "/health/live",
        "readiness": "/health/ready",
    }
    assert {found["port"] for found in asked.values()} == {"metrics"}
    annotations = WORKLOADS[name]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(worker.metrics_port)
    assert pod_of(name)["terminationGracePeriodSeconds"] > worker.drain_seconds


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_container_has_few_rights_and_bounded_memory(name: str) -> None:
    container, pod = container_of(name), pod_of(name)
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"--uid {pod['securityContext']['runAsUser']} " in dockerfile
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    resources = container["resources"]
    assert size(resources["requests"]["memory"]) <= size(resources["limits"]["memory"]) <= 9 * GIB


@pytest.mark.parametrize("name", WORKLOADS)
def test_what_is_written_lies_on_volumes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, container = settings_of(name, monkeypatch), container_of(name)
    mounts = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
    volumes = {each["name"] for each in pod_of(name)["volumes"]}
    claims = WORKLOADS[name]["spec"].get("volumeClaimTemplates", [])
    assert set(mounts.values()) == volumes | {each["metadata"]["name"] for each in claims}
    [scratch] = [each["emptyDir"] for each in pod_of(name)["volumes"]]
    room, memory = size(scratch["sizeLimit"]), size(container["resources"]["limits"]["memory"])
    assert scratch["medium"] == "Memory" and room < memory
    assert settings.worker.data_folder.is_relative_to("/tmp")
    assert settings.search.snapshot_folder.is_relative_to("/tmp")
    if name == "library":
        assert mounts[str(settings.library.snapshot_folder)] == claims[0]["metadata"]["name"]
    if name == "fingerprint":
        children = settings.decode.processes * settings.decode.memory_bytes
        assert room + children + GIB <= memory
        assert 2 * settings.fetch.max_bytes < room, "one decodes, one is fetched"
    if name == "console":
        assert settings.console.database_file is None, "several may run"
        assert settings.console.webhook_key is not None, "it would be a file, and not the same"
        assert settings.console.cache_bytes + settings.fetch.max_bytes < room
        assert 2 * settings.fetch.max_bytes <= settings.console.cache_bytes, "both of an alert"


@pytest.mark.parametrize("name", [name for name in SERVING if name != "lag"])
def test_a_disruption_takes_one_pod_at_a_time(name: str) -> None:
    budgets = {e["metadata"]["name"]: e["spec"] for e in ALL if e["kind"] == "PodDisruptionBudget"}
    budget = budgets[name]
    assert budget["maxUnavailable"] == 1
    labels = WORKLOADS[name]["spec"]["template"]["metadata"]["labels"]
    assert budget["selector"] == WORKLOADS[name]["spec"]["selector"]
    assert budget["selector"]["matchLabels"].items() <= labels.items()


def test_the_console_is_reached_at_its_port(monkeypatch: pytest.MonkeyPatch) -> None:
    own = settings_of("console", monkeypatch).console
    ports = {each["name"]: each["containerPort"] for each in container_of("console")["ports"]}
    service = SERVICES["console"]["spec"]
    assert ports[service["ports"][0]["targetPort"]] == own.port
    labels = WORKLOADS["console"]["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()
    assert own.host == "0.0.0.0" and own.is_behind_tls
    # An ingress is never on the pod's own loopback.
    assert not any(ip_network(each).is_loopback for each in own.trusted_proxies)


def test_the_roles_are_those_of_the_compose_file() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    ours = {name.partition("-")[0] for name, service in services.items() if "build" in service}
    assert set(WORKLOADS) == ours


# No package has the schemas of KEDA. These are the fields that its reference names, as far as they
# are used here; a Kafka trigger takes user and password from an authentication alone.
SCALED_FIELDS = {"scaleTargetRef", "minReplicaCount", "maxReplicaCount", "pollingInterval"}
SCALED_FIELDS |= {"cooldownPeriod", "advanced", "triggers"}
TRIGGER_FIELDS = {"bootstrapServers", "consumerGroup", "topic", "lagThreshold"}
TRIGGER_FIELDS |= {"offsetResetPolicy", "sasl", "tls"}
SASL = {"PLAIN": "plaintext", "SCRAM-SHA-256": "scram_sha256", "SCRAM-SHA-512": "scram_sha512"}


@pytest.mark.parametrize(
    ("name", "topic"), [("fingerprint", "video.uploaded"), ("decide", "video.compared")]
)
def test_workers_are_scaled_by_the_lag_of_their_group(
    name: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(name, monkeypatch)
    [scaled] = [
        each["spec"]
        for each in SCALED
        if each["kind"] == "ScaledObject" and each["metadata"]["name"] == name
    ]
    assert scaled.keys() == SCALED_FIELDS
    target = WORKLOADS[name]
    assert scaled["scaleTargetRef"] == {"kind": target["kind"], "name": name}
    [trigger] = scaled["triggers"]
    assert trigger["type"] == "kafka"
    asked = trigger["metadata"]
    assert asked.keys() == TRIGGER_FIELDS
    assert asked["bootstrapServers"] == settings.kafka.bootstrap_servers
    # As `make_app` names it.
    assert asked["consumerGroup"] == f"{settings.kafka.topic_prefix}samesource-{name}"
    assert asked["topic"] == settings.kafka.topic(topic)
    assert asked["sasl"] == SASL[settings.kafka.sasl_mechanism]
    assert asked["tls"] == ("enable" if settings.kafka.uses_tls else "disable")
    partitions = next(each.partitions for each in load_topics() if each.name == topic)
    assert 1 <= scaled["minReplicaCount"] <= scaled["maxReplicaCount"] == partitions
    [authentication] = [each for each in SCALED if each["kind"] == "TriggerAuthentication"]
    assert trigger["authenticationRef"]["name"] == authentication["metadata"]["name"]
    given = {e["parameter"]: e["key"] for e in authentication["spec"]["secretTargetRef"]}
    assert given == {"username": "kafka-username", "password": "kafka-password"}


def test_nobody_else_sets_the_number_that_keda_sets() -> None:
    patches = yaml.safe_load((KEDA / "kustomization.yaml").read_text())["patches"]
    removed = {each["target"]["name"]: yaml.safe_load(each["patch"]) for each in patches}
    scaled = {each["metadata"]["name"] for each in SCALED if each["kind"] == "ScaledObject"}
    assert removed == {name: [{"op": "remove", "path": "/spec/replicas"}] for name in scaled}
    assert all("replicas" in WORKLOADS[name]["spec"] for name in scaled)
