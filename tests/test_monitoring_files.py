"""Rules fire as they should and lead to what to do, and all finds each other; without a service.

Where Debian's `prometheus` is installed, its promtool reads them.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring import (
    DASHBOARDS,
    GRAFANA,
    OPERATIONS,
    PROMETHEUS,
    ROOT,
    RULE_TESTS,
    RULES,
    RULES_FILE,
    promtool,
)

SCRAPE: dict[str, Any] = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_leads_to_the_section_that_says_what_to_do(rule: dict[str, Any]) -> None:
    base, _, path = rule["annotations"]["runbook_url"].rpartition("}}")
    assert base == "{{ $externalLabels.runbooks "
    file, _, anchor = path.partition("#")
    assert (ROOT / file).read_text() == OPERATIONS
    sections = re.split(r"^#+ (.+)\n", OPERATIONS, flags=re.MULTILINE)
    texts = {
        anchor_of(title): text for title, text in zip(sections[1::2], sections[2::2], strict=True)
    }
    assert anchor in texts
    assert f"`{rule['alert']}`" in texts[anchor]


def test_the_links_of_alerts_can_be_opened() -> None:
    address = SCRAPE["global"]["external_labels"]["runbooks"]
    assert address.startswith("https://") and address.endswith("/")


def anchor_of(title: str) -> str:
    """As Markdown's readers make it."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def test_every_role_of_the_compose_file_is_scraped() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    [job] = [job for job in SCRAPE["scrape_configs"] if job["job_name"] == "samesource"]
    [found] = job["dns_sd_configs"]
    ours = {
        name
        for name, service in services.items()
        if "build" in service and service["restart"] != "no"
    }
    assert set(found["names"]) == ours
    ports = {services[name]["environment"]["SAMESOURCE_WORKER__METRICS_PORT"] for name in ours}
    assert ports == {str(found["port"])}


def test_grafana_finds_the_dashboards_and_they_their_prometheus() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    mounts = dict(volume.split(":")[:2] for volume in compose["grafana"]["volumes"])
    [provider] = yaml.safe_load(
        (GRAFANA / "provisioning" / "dashboards" / "samesource.yml").read_text()
    )["providers"]
    assert mounts["./configs/grafana/dashboards"] == provider["options"]["path"]
    assert mounts["./configs/grafana/provisioning"] == "/etc/grafana/provisioning"
    [source] = yaml.safe_load(
        (GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text()
    )["datasources"]
    assert source["url"] == "http://prometheus:9090"
    boards = [json.loads(file.read_text()) for file in DASHBOARDS]
    used = {
        target["datasource"]["uid"]
        for board in boards
        for panel in board["panels"]
        for target in panel.get("targets", ())
    }
    assert used == {source["uid"]}
    assert len({board["uid"] for board in boards}) == len(boards) == 3
    for board in boards:
        numbers = [panel["id"] for panel in board["panels"]]
        assert len(set(numbers)) == len(numbers)


def test_promtool_takes_configuration_and_rules() -> None:
    promtool("check", "config", PROMETHEUS / "prometheus.yml")
    promtool("check", "rules", RULES_FILE)


def test_the_rules_fire_as_they_should() -> None:
    promtool("test", "rules", RULE_TESTS)


def test_every_rule_is_seen_to_fire_and_not_to_fire() -> None:
    looks = [
        look
        for test in yaml.safe_load(RULE_TESTS.read_text())["tests"]
        for look in test["alert_rule_test"]
    ]
    names = {rule["alert"] for rule in RULES}
    assert {look["alertname"] for look in looks if look["exp_alerts"]} == names
    assert {look["alertname"] for look in looks if not look["exp_alerts"]} == names


def test_promtool_notices_what_is_wrong(tmp_path: Path) -> None:
    wrong = tmp_path / "rules.yml"
    wrong.write_text(RULES_FILE.read_text().replace("> 600", "> > 600"))
    with pytest.raises(AssertionError, match="could not parse expression"):
        promtool("check", "rules", wrong)
