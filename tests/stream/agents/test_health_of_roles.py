"""A service that runs comes to say over HTTP that it is live and ready."""

import json
import time
from pathlib import Path

from stream.broker.local import held_port
from stream.broker.settings import KafkaSettings
from tests.stream.agents.test_endpoints import get
from tests.stream.command import started


def test_every_role_comes_to_be_ready(tmp_path: Path) -> None:
    with held_port() as port:
        _comes_to_be_ready(port, tmp_path)


def _comes_to_be_ready(port: int, tmp_path: Path) -> None:
    log = tmp_path / "log"
    extra = {
        "SAMESOURCE_LIBRARY__SNAPSHOT_FOLDER": str(tmp_path / "snapshots"),
        "SAMESOURCE_LIBRARY__SHARDS": "1",
        "SAMESOURCE_WORKER__DATA_FOLDER": str(tmp_path / "workers"),
        "SAMESOURCE_WORKER__DRAIN_SECONDS": "6",
        "SAMESOURCE_WORKER__METRICS_PORT": str(port),
    }
    seen: list[dict[str, str]] = []
    with started(KafkaSettings(broker="embedded"), "worker", "all", extra=extra, err=log):
        deadline = time.monotonic() + 120
        while True:
            try:
                code, body = get(port, "/health/ready")
            except OSError:
                code, body = 0, "{}"
            if code == 200:
                break
            seen.append(json.loads(body).get("problems", {}))
            assert time.monotonic() < deadline, (seen[-1], log.read_text())
            time.sleep(0.1)
        assert get(port, "/health/live")[0] == 200
    assert {"process": "starting"} in seen
