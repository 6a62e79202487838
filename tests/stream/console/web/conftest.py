"""One console for the tests of a file: each test has alerts of its own in it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.stream.console.web.site import Site, running_site


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A running console."""
    async with running_site(tmp_path_factory.mktemp("site")) as made:
        yield made
