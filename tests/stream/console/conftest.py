"""A PostgreSQL of one's own, for whoever asks for one."""

from collections.abc import Iterator

import pytest

from tests.stream.postgres import Postgres, running


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server; it starts with the first test that needs it."""
    with running() as server:
        yield server
