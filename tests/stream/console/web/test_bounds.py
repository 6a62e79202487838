"""Whatever an address says has an end: every parameter of every route, by the app's own table."""

import datetime
import inspect
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from stream.console.web import app as app_module
from tests.stream.console.web.site import Site

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENDS: dict[type, tuple[str, ...]] = {str: ("max_length",), list: ("max_length",),
                                     int: ("ge", "le"), float: ("ge", "le")}  # fmt: skip


class Parameter(NamedTuple):
    """One parameter of a route, and what its value may be."""

    path: str
    name: str
    is_path: bool
    kind: Any
    limits: dict[str, float]

    @property
    def has_an_end(self) -> bool:
        """Whether no value of it is longer or larger than any."""
        words = get_origin(self.kind) is Literal or self.kind is datetime.datetime
        return words or ENDS[self.kind] == tuple(
            each for each in ENDS[self.kind] if each in self.limits
        )

    def beyond(self) -> list[str]:
        """Values that are too much."""
        if self.kind is str:
            return ["x" * (int(self.limits["max_length"]) + 1)]
        if self.kind in (int, float):
            return [f"{self.limits['ge'] - 1}", f"{self.limits['le'] + 1}", "nan", "inf", "1e400"]
        return ["x" * 50]


def routes(app: FastAPI) -> Iterator[APIRoute]:
    """All that look at something."""
    for router in (*app_module.PAGES, *app_module.API, app.router):
        for route in router.routes:
            if isinstance(route, APIRoute):
                yield route


def parameters(app: FastAPI) -> list[tuple[str, Parameter]]:
    """With the method, each parameter of each route; those of dependencies too."""
    return [
        (method, each)
        for route in routes(app)
        for method in sorted(route.methods or ())
        for each in _of(route.path, route.dependant)
    ]


def _of(path: str, dependant: Dependant) -> Iterator[Parameter]:
    for fields, is_path in ((dependant.query_params, False), (dependant.path_params, True)):
        for field in fields:
            info = field.field_info
            limits = {
                name: getattr(each, name)
                for each in info.metadata
                for name in ("max_length", "ge", "le")
                if hasattr(each, name)
            }
            (kind,) = {*_kinds(info.annotation)}
            yield Parameter(path, field.alias, is_path, kind, limits)
    for each in dependant.dependencies:
        yield from _of(path, each)


def _kinds(annotation: Any) -> Iterator[Any]:
    """The type behind `| None` and `list[…]`."""
    if get_origin(annotation) is list:
        yield list
    elif get_args(annotation) and get_origin(annotation) is not Literal:
        for each in get_args(annotation):
            if each is not type(None):
                yield from _kinds(each)
    else:
        yield annotation


def filled(path: str, values: dict[str, str]) -> str:
    """A path with values in it, `x` where there is none."""
    return re.sub(r"{(\w+)(:path)?}", lambda name: quote(values.get(name[1], "x"), ""), path)


async def test_every_parameter_has_an_end(site: Site) -> None:
    found = parameters(site.app)
    assert len({each.path for _, each in found}) > 30
    assert [each for _, each in found if not each.has_an_end] == []


async def test_whoever_signs_in_anew_comes_back_to_the_longest_page(site: Site) -> None:
    fields = {"text": 1000 * "狗", "owner": 512 * "球", "find": 512 * "赛", "cursor": 4096 * "x"}
    stranger = site.client()
    sent_away = await stranger.get("/library", params=fields)
    page = await stranger.get(sent_away.headers["location"])
    assert page.status_code == 200
    back = re.search(r'name="next" value="([^"]+)"', page.text)
    assert back is not None
    found = parse_qs(urlsplit(unescape(back[1])).query)
    assert {name: value for name, (value,) in found.items()} == fields


async def test_no_page_reads_an_address_but_by_its_parameters() -> None:
    folder = Path(inspect.getfile(app_module)).parent
    reads = re.compile(r"request\.query_params|\.path_params")
    assert [file for file in folder.rglob("*.py") if reads.search(file.read_text())] == []


async def test_what_is_beyond_it_is_a_problem_and_never_a_bug(site: Site) -> None:
    alert = await site.alert()
    known = {"alert_id": alert.alert_id, "side": "video", "video_id": alert.video_id,
             "owner_id": alert.reference_owner_id}  # fmt: skip
    machine, browser = await site.machine("admin"), await site.browser("admin")
    asked = 0
    for method, each in parameters(site.app):
        # What is written is refused by the same means, after the form's token has been looked at.
        if method != "GET":
            continue
        client = machine if each.path.startswith("/api/") else browser.client
        for value in each.beyond():
            values = known | ({each.name: value} if each.is_path else {})
            path = filled(each.path, values)
            query = {} if each.is_path else {each.name: value}
            if each.name == "video":
                query = {"video": value}
            elif path in ("/library/entry", "/library/strip.jpg"):
                query["video"] = alert.video_id
            elif path == "/policies/edit" and each.name != "owner":
                query["owner"] = "someone"
            answer = await client.get(path, params=query)
            told = (method, path[:80], each.name, value[:20], answer.status_code)
            assert answer.status_code == 422, told
            if each.path.startswith("/api/"):
                assert answer.headers["content-type"] == "application/problem+json", told
            asked += 1
    assert asked > 60
