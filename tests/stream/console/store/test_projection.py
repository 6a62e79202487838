"""Rows are a function of the messages: any interleaving, any repetition, the same rows."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from stream.console.settings import ConsoleSettings
from stream.console.store.batch import forget_all, take_batch
from stream.console.store.database import Database
from stream.console.store.messages import Message, read
from stream.contract.events import VideoDecided
from stream.contract.message import Source
from stream.errors import BadEventError
from tests.stream.console.store.rows_of import Dump, counted, dump, kept
from tests.stream.console.store.said import BEGIN, Log, in_some_order, random_log

PIECE_SECONDS = 3.0


class Model:
    """A read model that is emptied for each example."""

    def __init__(self, folder: Path) -> None:
        self.runner = asyncio.Runner()
        url = f"sqlite:///{folder}/console.db"
        opening = Database.open(ConsoleSettings.model_validate({"database_url": url}))
        self.database = self.runner.run(opening)
        # Thousands of commits that need not outlast a power failure.
        event.listen(self.database.engine.sync_engine, "connect", _carelessly)
        self.runner.run(self.database.engine.dispose())

    def of(self, batches: Iterator[list[Source]]) -> Dump:
        """The rows of these messages; also that what is kept as a number is what one counts."""
        return self.runner.run(self._of(batches))

    async def _of(self, batches: Iterator[list[Source]]) -> Dump:
        async with self.database.writing() as session:
            await forget_all(session)
        for batch in batches:
            messages = [message for source in batch if (message := _read(source)) is not None]
            async with self.database.writing() as session:
                await take_batch(session, messages, PIECE_SECONDS)
        assert await kept(self.database) == await counted(self.database)
        return await dump(self.database)

    def close(self) -> None:
        """Disconnect."""
        self.runner.run(self.database.close())
        self.runner.close()


def _read(source: Source) -> Message | None:
    try:
        return read(source)
    except BadEventError:
        return None


def _carelessly(connection: Any, _record: Any) -> None:
    connection.cursor().execute("PRAGMA synchronous=OFF")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    model = Model(tmp_path_factory.mktemp("projection"))
    yield model
    model.close()


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), order=st.integers(0, 2**32), messages=st.integers(1, 60))
def test_any_order_and_repetition_gives_the_same_rows(
    model: Model, seed: int, order: int, messages: int
) -> None:
    log = random_log(seed, messages)
    whole = model.of(iter([[source for part in log.values() for source in part]]))
    assert model.of(in_some_order(log, order)) == whole


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_one_by_one_gives_the_same_rows_as_all_at_once(model: Model, seed: int) -> None:
    log = random_log(seed, 40)
    assert model.of(_singly(log)) == model.of(iter([[*_flat(log)]]))


def _flat(log: Log) -> Iterator[Source]:
    for part in log.values():
        yield from part


def _singly(log: Log) -> Iterator[list[Source]]:
    for source in _flat(log):
        yield [source]


def test_the_newest_decision_holds_on_whichever_partition_it_lies(model: Model) -> None:
    def said(partition: int, offset: int, seconds: int) -> Source:
        event = VideoDecided(
            video_id=f"upload {partition}", content_version=1, outcome="clear", alert_ids=[],
            reason=f"{seconds}", decided_at=BEGIN + timedelta(seconds=seconds),
            request_id="request", stage_seconds={},
        )  # fmt: skip
        return Source(event.topic, partition, offset, 0, event.to_bytes(), event.key())

    early, earliest, other = said(0, 0, 10), said(0, 1, 3), said(1, 0, 5)
    orders = ((early, earliest, other), (early, other, earliest), (other, early, earliest))
    first, *rest = (model.of(iter([[one] for one in order])) for order in orders)
    assert [row["reason"] for row in first["uploads"]] == ["10"]
    assert all(rows == first for rows in rest)
