"""The console's benchmark, small: a database is filled once, and every query and page answers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.console import Figures, measure, table_of
from tests.stream.postgres import running


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/console.db"
        return
    with running() as server:
        yield server.new_database()


def test_every_query_and_page_answers_and_what_is_filled_is_not_filled_again(url: str) -> None:
    first = asked(url)
    assert first.messages_per_second is not None
    assert {"queue", "alert", "audit", "API, alerts"} < {*first.pages}
    again = asked(url)
    assert again.messages_per_second is None
    assert table_of([first, again]).row_count == len(first.queries) + len(first.pages) + 2
    some = measure("some pages", url, 1000, runs=1, warm_up=0, pages="^alert")
    assert {*some.pages} == {"alert", "alert, in a filter"} and not some.queries
    with pytest.raises(SystemExit, match="holds 1,000 alerts, expected none or 2,000"):
        measure("again", url, 2000, runs=1, warm_up=0)


def asked(url: str) -> Figures:
    figures = measure("a database", url, 1000, runs=1, warm_up=0)
    for part in (figures.queries, figures.pages):
        assert all(0 < found["p50"] <= found["p99"] for found in part.values())
    return figures
