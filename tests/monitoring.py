"""The files of Prometheus and Grafana that the project brings, and Debian's `prometheus`."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.tools import not_installed

ROOT = Path(__file__).resolve().parents[1]
PROMETHEUS, GRAFANA = ROOT / "configs" / "prometheus", ROOT / "configs" / "grafana"
RULES_FILE, RULE_TESTS = PROMETHEUS / "rules.yml", PROMETHEUS / "rules.test.yml"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(RULES_FILE.read_text())["groups"] for rule in group["rules"]
]
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


def promtool(*arguments: str | Path, given: str | None = None) -> None:
    """Run it.

    Raises:
        AssertionError: it finds something wrong; the text says what.
    """
    found = shutil.which("promtool")
    if found is None:
        not_installed("prometheus")
    done = subprocess.run(
        [found, *arguments], input=given, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
