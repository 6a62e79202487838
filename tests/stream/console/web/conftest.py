"""One console for the tests of a file: each test has alerts of its own in it.

A file that names `DATABASES` has one for each kind.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from stream.console.web.signin.limits import Attempts
from stream.console.web.signin.provider import Provider
from tests.stream.console.migrated import postgresql_database
from tests.stream.console.web import company as companies
from tests.stream.console.web.company import Company
from tests.stream.console.web.office import Office, settings_of
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


@pytest_asyncio.fixture(loop_scope="module")
async def office(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Office]:
    """A console that a provider of this test's own signs people in to."""
    company = Company()
    async with companies.running(company):
        settings = settings_of(company)
        whole = site.settings.model_copy(update={"console": settings})
        monkeypatch.setattr(site.console, "settings", whole)
        monkeypatch.setattr(site.console, "provider", Provider(settings))
        monkeypatch.setattr(site.console, "attempts", Attempts())
        yield Office(site, company)
