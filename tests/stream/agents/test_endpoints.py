"""Endpoints: live fails with work and without progress; ready says what is missing."""

import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from stream.agents.endpoints import HealthPage, serving
from stream.agents.health import Health
from stream.agents.lags import Lag
from stream.errors import SettingsError
from stream.worker_settings import WorkerSettings

SETTINGS = WorkerSettings(metrics_port=0)


@dataclass
class Role:
    """A worker that is as we say."""

    now: Health

    def health(self) -> Health:
        """As we said."""
        return self.now


@pytest.fixture
def page() -> HealthPage:
    return HealthPage(SETTINGS)


@pytest.fixture
def port(page: HealthPage) -> Iterator[int]:
    with serving(SETTINGS, page) as port:
        assert port is not None
        yield port


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_worker_that_starts_is_live_and_not_ready(port: int) -> None:
    assert get(port, "/health/live")[0] == 200
    code, body = get(port, "/health/ready")
    assert code == 503
    assert json.loads(body)["problems"] == {"process": "starting"}


def test_a_worker_that_runs_is_both_and_tells_its_lag(page: HealthPage, port: int) -> None:
    page.started([Role(Health("decide", lags=(Lag("video.compared", 3, 7),)))])
    code, body = get(port, "/health/ready")
    assert code == 200
    assert json.loads(body) == {
        "status": "ok",
        "problems": {},
        "lag": {"decide": {"video.compared/3": 7}},
    }


def test_one_that_is_not_restored_is_live_and_says_why_it_is_not_ready(
    page: HealthPage, port: int
) -> None:
    page.started([Role(Health("a")), Role(Health("b", not_ready="the log is being read"))])
    assert get(port, "/health/live")[0] == 200
    code, body = get(port, "/health/ready")
    assert (code, json.loads(body)["problems"]) == (503, {"b": "the log is being read"})


def test_one_that_stands_still_is_neither(page: HealthPage, port: int) -> None:
    page.started([Role(Health("decide", stands_still_seconds=1300.0))])
    for path in ("/health/live", "/health/ready"):
        code, body = get(port, path)
        assert code == 503
        why = json.loads(body)["problems"]["decide"]
        assert why == "no progress for 1300 s, although there is work"


def test_one_that_stands_still_while_it_starts_is_not_live(page: HealthPage, port: int) -> None:
    page.starts([Role(Health("decide", not_ready="requests are being recovered"))])
    assert get(port, "/health/live")[0] == 200
    code, body = get(port, "/health/ready")
    assert (code, json.loads(body)["problems"]) == (503, {"process": "starting"})
    page.starts([Role(Health("decide", stands_still_seconds=1300.0))])
    assert get(port, "/health/live")[0] == 503


def test_an_event_loop_that_is_stuck_is_not_live() -> None:
    settings = WorkerSettings(metrics_port=0, stalled_seconds=0.1)
    stuck = HealthPage(settings)
    with serving(settings, stuck) as port:
        assert port is not None
        time.sleep(0.2)
        code, body = get(port, "/health/live")
    assert code == 503
    assert "stuck for" in json.loads(body)["problems"]["event loop"]


def test_metrics_are_beside_and_other_paths_are_not_found(port: int) -> None:
    code, body = get(port, "/metrics")
    assert code == 200
    assert "process_resident_memory_bytes" in body
    assert get(port, "/elsewhere")[0] == 404


def test_the_metrics_tell_each_lag_its_age_and_a_standstill(page: HealthPage, port: int) -> None:
    log = Lag("t.video.fingerprinted", 0, 7, oldest_at=time.time() - 100)
    shard = Health("library-1-of-2", 3.5, lags=(log,), role="library", shard="1")
    idle = Lag("t.video.compared", 2, 0)
    unknown = Lag("t.video.compared", 3, 4)
    page.started([Role(shard), Role(Health("decide", lags=(idle, unknown), role="decide"))])
    _, body = get(port, "/metrics")
    told = dict(line.rsplit(" ", 1) for line in body.splitlines() if line.startswith("samesource_"))
    of_log = '{partition="0",role="library",shard="1",topic="t.video.fingerprinted"}'
    of_idle = '{partition="2",role="decide",shard="",topic="t.video.compared"}'
    of_unknown = of_idle.replace("2", "3")
    assert float(told[f"samesource_lag_messages{of_log}"]) == 7
    assert 100 <= float(told[f"samesource_lag_seconds{of_log}"]) < 200
    assert float(told[f"samesource_lag_messages{of_idle}"]) == 0
    assert float(told[f"samesource_lag_seconds{of_idle}"]) == 0
    assert float(told[f"samesource_lag_messages{of_unknown}"]) == 4
    assert f"samesource_lag_seconds{of_unknown}" not in told
    assert float(told['samesource_standstill_seconds{role="library",shard="1"}']) == 3.5


def test_the_lag_of_workers_that_have_ended_is_told_no_more(page: HealthPage) -> None:
    page.started([Role(Health("decide", lags=(Lag("video.compared", 3, 7),), role="decide"))])
    with serving(SETTINGS, page):
        pass
    with serving(SETTINGS, HealthPage(SETTINGS)) as port:
        assert port is not None
        assert 'role="decide",shard="",topic="video.compared"' not in get(port, "/metrics")[1]


def test_a_taken_port_is_an_error_that_names_the_setting(page: HealthPage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        says = f"worker.metrics_port = {port} .* is free"
        with (
            pytest.raises(SettingsError, match=says),
            serving(WorkerSettings(metrics_port=port), page),
        ):
            pass


def test_an_address_of_another_machine_is_an_error_that_names_the_setting(
    page: HealthPage,
) -> None:
    settings = WorkerSettings(metrics_port=0, metrics_host="192.0.2.1")
    says = "worker.metrics_host = '192.0.2.1'"
    with pytest.raises(SettingsError, match=says), serving(settings, page):
        pass


def test_without_a_port_nothing_is_served(page: HealthPage) -> None:
    with serving(WorkerSettings(), page) as port:
        assert port is None
