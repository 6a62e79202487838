"""One console for the tests of a file: each test has alerts of its own in it.

A file that names `DATABASES` has one for each kind.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.stream.console.migrated import postgresql_database
from tests.stream.console.web.site import Site, running_site


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test of such a file, on each kind of database."""
    kinds = getattr(metafunc.module, "DATABASES", None)
    if kinds and "site" in metafunc.fixturenames:
        metafunc.parametrize("site", kinds, indirect=True, scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    """A running console."""
    console: dict[str, Any] = {}
    if getattr(request, "param", "sqlite") == "postgresql":
        console["database_url"] = postgresql_database(request.getfixturevalue("postgres"))
    async with running_site(tmp_path_factory.mktemp("site"), **console) as made:
        yield made
