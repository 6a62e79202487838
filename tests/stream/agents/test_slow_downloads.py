"""Slow servers of large videos hold a part of a worker, and none of their uploads is lost."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.agents.run import Role, running_workers
from stream.broker.embedded import embedded_kafka
from stream.broker.settings import KafkaSettings
from stream.settings import Settings
from tests.stream.service import Platform, eventually, service_settings
from tests.stream.videos import make_video
from tests.stream.web_server import Server, serving

ROLES: tuple[Role, ...] = ("fingerprint", "library", "decide")
FETCH_CONCURRENCY, LARGE = 4, 3
AT_WORK = 1 + FETCH_CONCURRENCY


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """It has a small video and a large one."""
    with serving() as server:
        for name, count in (("small.mp4", 50), ("large.mp4", 250)):
            server.files[name] = make_video(tmp_path / name, count=count).read_bytes()
        yield server


@pytest.fixture
def settings(server: Server, tmp_path: Path) -> Iterator[Settings]:
    """Few places, and no rate is too low; on a broker of each test's own."""
    with embedded_kafka(KafkaSettings(topic_prefix="t.")) as kafka:
        made = service_settings(
            kafka,
            tmp_path,
            fingerprint_concurrency=1,
            fetch_concurrency=FETCH_CONCURRENCY,
            drain_seconds=1,
        )
        small = {"small_bytes": len(server.files["small.mp4"])}
        fetch = made.fetch.model_copy(
            update={"hosts": ("127.0.0.1",), "min_bytes_per_second": 0, **small}
        )
        yield made.model_copy(update={"fetch": fetch})


def uploads(server: Server, path: str, *names: str) -> list[dict[str, str]]:
    return [{"video_id": name, "uri": server.url(path), "owner_id": "o"} for name in names]


@pytest.mark.timed
async def test_a_small_upload_passes_slow_large_ones_that_came_before_it(
    settings: Settings, server: Server
) -> None:
    large = [f"large-{number}" for number in range(AT_WORK + FETCH_CONCURRENCY - 1)]
    with Platform(settings.kafka) as platform:
        async with running_workers(settings, ROLES) as failure:
            await platform.submit(*uploads(server, "/held/large.mp4", *large))
            await eventually(lambda: server.requests["/held/large.mp4"] >= AT_WORK)
            await platform.submit(*uploads(server, "/file/small.mp4", "small"))
            await platform.read_until(platform.has_decided("small"), seconds=20)
            assert platform.summary()["video.decided"] == ["small"]
            server.go.set()
            await platform.read_until(platform.has_decided(*large))
            assert not failure.done()
    assert server.requests["/held/large.mp4"] == len(large) + (len(large) - LARGE), (
        "those that found no place asked twice"
    )
    assert Counter(platform.summary()["video.decided"]) == Counter([*large, "small"])
    assert platform.answers["video.rejected"] == []


@pytest.mark.timed
async def test_uploads_that_waited_for_a_place_are_taken_by_the_next_worker(
    settings: Settings, server: Server
) -> None:
    large = [f"large-{number}" for number in range(AT_WORK)]
    with Platform(settings.kafka) as platform:
        async with running_workers(settings, ("fingerprint",)):
            await platform.submit(*uploads(server, "/held/large.mp4", *large))
            await eventually(lambda: server.requests["/held/large.mp4"] == len(large))
        server.go.set()
        async with running_workers(settings, ROLES) as failure:
            await platform.read_until(platform.has_decided(*large))
            assert not failure.done()
    assert {*platform.summary()["video.decided"]} == {*large}
