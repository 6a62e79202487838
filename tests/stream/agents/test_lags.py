"""How far each role is behind, while work waits and when it is done."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from stream.agents.endpoints import HealthPage
from stream.agents.lags import LAG_METRICS, Lag, furthest
from stream.agents.run import ROLES, running_workers
from stream.broker.client import send
from stream.broker.embedded import embedded_kafka
from stream.broker.settings import KafkaSettings
from stream.fingerprint.fingerprinter import Fingerprinter
from tests.stream.service import Platform, service_settings, upload
from tests.stream.videos import make_video

UPLOADED = ("fingerprint", "", "t.video.uploaded")
READ = {
    UPLOADED,
    ("library", "0", "t.video.fingerprinted"),
    ("library", "1", "t.video.fingerprinted"),
    ("library", "0", "t.probe.fingerprinted"),
    ("library", "1", "t.probe.fingerprinted"),
    ("decide", "", "t.video.compared"),
    ("decide", "", "t.policy.updated"),
    ("decide", "", "t.alert.reviewed"),
    ("decide", "", "t.samesource-flood-claims"),
}

Told = dict[tuple[str, str, str], float]


def told(name: str) -> Told:
    """One metric, the partitions of each topic together."""
    found: Told = {}
    for metric in LAG_METRICS.collect():
        labels = [tuple(sample.labels.values()) for sample in metric.samples]
        assert len({*labels}) == len(labels), "Prometheus takes no metric twice"
        for sample in metric.samples:
            if sample.name == name:
                where = tuple(sample.labels[label] for label in ("role", "shard", "topic"))
                key = (where[0], where[1], where[2])
                found[key] = found.get(key, 0) + sample.value
    return found


def lags() -> Told:
    return told("samesource_lag_messages")


async def test_what_waits_is_told_by_role_and_topic_until_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, real = threading.Event(), Fingerprinter.fingerprint

    def slow(self: Fingerprinter, *arguments: Any, **more: Any) -> Any:
        assert go_on.wait(60)
        return real(self, *arguments, **more)

    monkeypatch.setattr(Fingerprinter, "fingerprint", slow)
    video = make_video(tmp_path / "video.mp4", count=10)
    with embedded_kafka(KafkaSettings(topic_prefix="t.")) as kafka:
        settings = service_settings(kafka, tmp_path)
        page = HealthPage(settings.worker)
        with Platform(kafka) as platform, LAG_METRICS.of(page.now):
            async with running_workers(settings, ROLES, page=page):
                # Decide reads it twice: to judge by it, and to raise what it confirms.
                await asyncio.to_thread(send, kafka, "alert.reviewed", [(b"a", b"{}", [])])
                names = ["a", "b", "c"]
                await platform.submit(*(upload(video, name) for name in names))
                await platform.read_until(lambda: lags().get(UPLOADED) == 3)
                first = told("samesource_lag_seconds")[UPLOADED]
                await asyncio.sleep(0.2)
                assert told("samesource_lag_seconds")[UPLOADED] >= first + 0.2
                go_on.set()
                await platform.read_until(platform.has_decided(*names))
                await platform.read_until(lambda: set(lags().values()) == {0.0})
                assert lags().keys() >= READ
                assert set(told("samesource_lag_seconds").values()) == {0.0}
    assert lags() == {}


def test_a_partition_that_is_read_twice_is_as_far_behind_as_the_slower() -> None:
    read = [Lag("t", 0, 3, 20.0), Lag("t", 1, 2), Lag("t", 0, 1, 10.0), Lag("t", 1, 0, 30.0)]
    assert furthest(read) == (Lag("t", 0, 3, 10.0), Lag("t", 1, 2, 30.0))
    assert furthest([]) == ()


def test_an_age_is_never_negative_and_unknown_where_nothing_says_it() -> None:
    now = time.time()
    assert Lag("t", 0, 1, now + 60).seconds(now) == 0, "another clock"
    assert Lag("t", 0, 1).seconds(now) is None
    assert Lag("t", 0, 0).seconds(now) == 0
