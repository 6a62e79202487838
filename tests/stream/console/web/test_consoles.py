"""Several consoles beside each other: on one PostgreSQL, and each on a database of its own."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from stream.broker.client import Reader
from stream.console.store.follower import StoreFollower
from stream.console.web.app import create_app
from stream.console.web.replays import BUSY
from stream.console.worker import ConsoleWorker
from stream.contract.events import PolicyUpdated, VideoUploaded
from stream.contract.message import Source
from tests.stream.console.migrated import sqlite_file
from tests.stream.console.web.site import Browser, Site, running_site
from tests.stream.console.web.test_rejected import place_of, rejected, replayed_at_once
from tests.stream.postgres import Postgres

PATH = "/api/v1/policies/raced"


@asynccontextmanager
async def beside(site: Site, url: str) -> AsyncIterator[Site]:
    """Another console of the same cluster."""
    own = site.settings.console.model_copy(update={"database_url": SecretStr(url)})
    settings = site.settings.model_copy(update={"console": own})
    worker = ConsoleWorker(settings)
    try:
        await worker.start()
        made = worker.console
        assert made is not None
        yield Site(settings, worker, made, create_app(made), site.folder, site.sender)
    finally:
        await worker.stop()


def put(machine: httpx2.AsyncClient, seconds: int, tag: str | None) -> Any:
    headers = {} if tag is None else {"If-Match": tag}
    return machine.put(PATH, json={"least_seconds": seconds}, headers=headers)


def slow(site: Site, seconds: float) -> None:
    """Have a console's rows come behind the topics."""
    follower = site.console.store.follower
    assert isinstance(follower, StoreFollower)
    take = follower._intake.take

    async def later(sources: Sequence[Source]) -> Any:
        await asyncio.sleep(seconds)
        return await take(sources)

    follower._intake.take = later  # type: ignore[method-assign]


async def test_a_tag_of_one_console_is_known_to_another(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("site")
    async with running_site(folder) as one, beside(one, f"sqlite:///{folder}/2.db") as other:
        here, there = await one.machine("admin"), await other.machine("admin")
        slow(other, 0.3)
        tags = [(await put(here, 1, None)).headers["etag"]]
        for seconds, machine in enumerate((there, here, there, there), start=2):
            answer = await put(machine, seconds, tags[-1])
            assert answer.status_code == 200, answer.text
            tags.append(answer.headers["etag"])
            # Whoever has read less is told, however little time has gone by.
            for late in (here, there):
                assert (await put(late, 100, tags[-2])).status_code == 412
        assert len({*tags}) == len(tags)


async def test_of_two_consoles_on_one_database_one_writes_a_policy(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres
) -> None:
    url = postgres.new_database()
    folder = tmp_path_factory.mktemp("site")
    async with (
        running_site(folder, database_url=url) as one,
        beside(one, url) as other,
    ):
        machine = await one.machine("admin")
        secret = machine.headers["authorization"]
        machines = [machine, other.client(Authorization=secret)]
        tag = (await put(machine, 1, None)).headers["etag"]
        for _ in range(3):
            writes = [put(each, seconds, tag) for seconds in (2, 3) for each in machines]
            answers = await asyncio.gather(*writes)
            assert sorted(each.status_code for each in answers) == [200, 412, 412, 412]
            tag = next(each.headers["etag"] for each in answers if each.status_code == 200)
        with Reader(one.settings.kafka, PolicyUpdated.topic) as reader:
            assert len(list(reader.until_now())) == 4


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_of_two_consoles_on_one_database_one_submits_a_letter_again(
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    folder = tmp_path_factory.mktemp("site")
    url = sqlite_file(folder / "console.db")
    if kind == "postgresql":
        url = request.getfixturevalue("postgres").new_database()
    async with running_site(folder, database_url=url) as one, beside(one, url) as other:
        await one.say(rejected("wanted", 5))
        letter = {"letter": await place_of(one, "wanted")}
        anna = await one.browser("reviewer", "anna")
        bea = Browser(other.client(), anna.token)
        bea.client.cookies.update(anna.client.cookies)
        answers = await replayed_at_once(monkeypatch, letter, (anna, bea))
        assert sorted(each.status_code for each in answers) == [303, 409]
        (told,) = [each.text for each in answers if each.status_code == 409]
        assert BUSY in told
        later = await bea.send("/rejected/replay", letter)
        assert later.status_code == 409 and "submitted again since" in later.text
        with Reader(one.settings.kafka, VideoUploaded.topic) as reader:
            assert len(list(reader.until_now())) == 1
