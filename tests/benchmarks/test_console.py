"""The console's benchmark, small: a database is filled once, and every query and page answers."""

import re
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from benchmarks.console import Figures, measure, table_of
from benchmarks.read_model.made_messages import Made
from benchmarks.read_model.pages import Browser, Site
from tests.stream.console.web.routes import pages, routes
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


ASKS_OTHERS = {
    "/", "/signin", "/overview/lag", "/api/v1/alerts/{alert_id}/evidence", "/api/v1/search",
    "/api/v1/uploads/{request_id}/events",
}  # fmt: skip
"""What leads to a page, asks Kafka or a model, or goes on and on."""


def test_every_page_of_the_route_table_is_timed() -> None:
    site = Site(0, "", "", "", "wh_1", "msg_1")
    browser = Browser(site, HTTPConnection("127.0.0.1", 0), Made(1000))
    asked = {path.partition("?")[0] for path in browser.paths().values()}
    every = {*pages(), *(path for method, path in routes() if method == "GET" and "/api/" in path)}
    patterns = {path: re.sub(r"\{\w+(:path)?\}", "[^/]+", path) for path in every}
    timed = {
        path for path, pattern in patterns.items() if any(re.fullmatch(pattern, a) for a in asked)
    }
    assert timed == every - ASKS_OTHERS


def asked(url: str) -> Figures:
    figures = measure("a database", url, 1000, runs=1, warm_up=0)
    for part in (figures.queries, figures.pages):
        assert all(0 < found["p50"] <= found["p99"] for found in part.values())
    return figures
