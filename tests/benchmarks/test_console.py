"""The console's benchmark, small: a database is filled once, every query and page answers."""

from collections.abc import Iterator, Sequence
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import typer
from fastapi.routing import APIRoute
from starlette.routing import Match
from typer.testing import CliRunner

from benchmarks.console import Figures, main, measure, over, table_of
from benchmarks.read_model.made_messages import Made
from benchmarks.read_model.pages import LEFT_OUT, Browser, Site
from stream.console.web.app import API, PAGES
from tests.stream.postgres import running


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/console.db"
        return
    with running() as server:
        yield server.new_database()


def test_every_query_and_page_answers_and_what_is_filled_is_not_filled_again(url: str) -> None:
    first = measure("a database", url, 1000, runs=1, warm_up=0)
    for part in (first.queries, first.pages):
        assert all(0 < found["p50"] <= found["p99"] for found in part.values())
    assert first.messages_per_second is not None
    assert {"queue", "alert", "audit", "API, alerts"} < {*first.pages}
    assert table_of([first, first]).row_count == len(first.queries) + len(first.pages) + 2
    some = measure("some pages", url, 1000, runs=1, warm_up=0, pages="^alert$|, in a f")
    assert some.messages_per_second is None
    assert {*some.pages} == {"alert", "alert, in a filter"} and not some.queries
    with pytest.raises(SystemExit, match="holds 1,000 alerts, expected none or 2,000"):
        measure("again", url, 2000, runs=1, warm_up=0)


def test_every_route_is_measured_or_says_why_not() -> None:
    made = Made(1000)
    browser = Browser(Site(0, "admin", "holder", "token"), HTTPConnection("127.0.0.1"), made)
    every = (each for router in (*PAGES, *API) for each in router.routes)
    routes = [each for each in every if isinstance(each, APIRoute) and each.methods == {"GET"}]
    measured = {route_of(path, routes) for path in browser.paths().values()}
    assert measured & LEFT_OUT.keys() == set()
    assert measured | LEFT_OUT.keys() == {each.path for each in routes}


def route_of(path: str, routes: Sequence[APIRoute]) -> str:
    """The route that answers a path."""
    scope = {"type": "http", "method": "GET", "path": urlsplit(path).path}
    return next(each.path for each in routes if each.matches(scope)[0] is Match.FULL)


@pytest.mark.parametrize(("limit_ms", "code"), [(0, 1), (60_000, 0)])
def test_a_page_that_is_slow_is_named_and_fails(limit_ms: float, code: int, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(main)
    options = "--alerts 1000 --runs 1 --warm-up 0 --only sqlite --pages ^queue$ --limit-ms"
    ended = CliRunner().invoke(app, [*options.split(), str(limit_ms)])
    assert ended.exit_code == code, ended.output
    assert ("SQLite, queue: p99" in ended.stderr) == bool(code)


def test_a_dry_run_is_no_page() -> None:
    slow = {"p50": 1.0, "p99": 200.0}
    figures = Figures(
        "one", 1, None, 1, {"a query": slow}, {"policy, dry run": slow, "queue": slow}
    )
    (told,) = over([figures], 100)
    assert told.startswith("one, queue: p99 200.0 ms")
