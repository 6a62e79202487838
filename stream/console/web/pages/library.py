"""The library: what matches can find, an entry with its matches both ways, and takedowns."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from stream.console.store.desk import Person
from stream.console.store.views import Page, VideoView
from stream.console.web import takedowns
from stream.console.web.api.matches import file_form, kept
from stream.console.web.bounds import Cursor, Id, Word
from stream.console.web.console import COMES_BACK_SECONDS, Console, Here, after_writing
from stream.console.web.file_form import FileForm
from stream.console.web.found import Found, found_by_picture, found_by_text
from stream.console.web.pages.alert import picture_of
from stream.console.web.pages.forms import Form
from stream.console.web.pages.queue import back_with
from stream.console.web.pages.render import ROLE_NAMES, render
from stream.console.web.problems import Problem
from stream.console.web.signin.rights import Admin, Looker, Reviewer, visible_to
from stream.errors import QueryError

router = APIRouter(include_in_schema=False)
VideoId = Annotated[str, Query(min_length=1, max_length=512)]
LOOK_EVERY_SECONDS = 0.05  # set by hand
FOUND = 30  # videos that a search by words shows
MATCHES = 20  # each way, the newest; the queue has the others


@router.get("/library")
async def page(
    request: Request,
    console: Here,
    person: Looker,
    role: Word = "reference",
    owner: Id = "",
    find: Id = "",
    text: Annotated[str, Query(max_length=1000)] = "",
    cursor: Cursor = None,
) -> Response:
    """Videos of a role that matches can find, the newest first; or those that show something."""
    find, text = find.strip(), text.strip()
    if find and await _video(console, person, find) is not None:
        url = request.url_for("entry").include_query_params(video=find)
        return RedirectResponse(f"{url.path}?{url.query}", 303)
    chosen = role if role in ROLE_NAMES else "reference"
    if text:
        by_text = partial(found_by_text, console, person, text, FOUND)
        return await _found(request, by_text, text=text, role=chosen)
    try:
        found = await console.queries.library(
            chosen, owner.strip() or None, visible_to(person), "live", cursor
        )
    except QueryError as error:
        raise Problem(422, error) from error
    return render(
        request,
        "library.html",
        page=found,
        role=chosen,
        owner=owner,
        find=find,
        missing=bool(find),
        text="",
        like="",
        found=None,
        problem=None,
    )


@router.post("/library/like")
async def like(request: Request, console: Here, person: Reviewer, form: Form) -> Response:
    """Videos that look like a picture or clip, by its address or as a file."""
    if (file := file_form(request)) is not None:
        return await _found(request, partial(_found_by_file, console, person, file))
    uri = form.get("like")
    if uri is None:
        raise Problem(422, "expected the address of a picture or clip")
    return await _found(request, partial(found_by_picture, console, person, uri, FOUND), like=uri)


async def _found_by_file(console: Console, person: Person, file: FileForm) -> Found:
    async with kept(console, file) as uri:
        try:
            return await found_by_picture(console, person, uri, FOUND)
        finally:
            console.videos.forget(uri)  # of a store that isn't here, a copy was made


async def _found(
    request: Request,
    ask: Callable[[], Awaitable[Found]],
    *,
    text: str = "",
    like: str = "",
    role: str = "reference",
) -> Response:
    """What shows what is asked for; or why nobody knows, beside the form."""
    found, problem, status = None, None, 200
    headers: Mapping[str, str] = {}
    try:
        found = await ask()
    except Problem as error:
        problem, status, headers = error.detail, error.status_code, error.headers or {}
    return render(
        request,
        "library.html",
        status=status,
        headers=headers,
        page=Page(()),
        role=role,
        owner="",
        find="",
        missing=False,
        text=text,
        like=like,
        found=found,
        problem=problem,
    )


@router.get("/library/entry")
async def entry(
    request: Request, console: Here, person: Looker, video: VideoId, said: Word = ""
) -> Response:
    """One video: what it copies, what copies it, and which of its seconds alert nobody."""
    found = await _seen(console, person, video)
    queries, mine = console.queries, visible_to(person)
    policy = None if found.owner_id is None else await queries.policy(found.owner_id)
    exclusions = () if policy is None or policy.policy is None else policy.policy.exclusions
    return render(
        request,
        "entry.html",
        video=found,
        copies=await queries.matches_of(video, "video", mine, limit=MATCHES),
        copied=await queries.matches_of(video, "reference", mine, limit=MATCHES),
        exclusions=[each for each in exclusions if each.reference_id == video],
        dismissed=await queries.spans_dismissed(video, mine),
        said=said,
    )


@router.get("/library/strip.jpg")
async def strip(console: Here, person: Looker, video: VideoId) -> Response:
    """Its film strip."""
    seen = await _seen(console, person, video)
    return await picture_of(console.evidence.strip(seen))


@router.post("/library/takedown")
async def take_down(console: Here, person: Admin, form: Form, request: Request) -> Response:
    """Take a video out of the library and of search; then to its entry, or back to an alert."""
    video_id = form.get("video") or ""
    await _seen(console, person, video_id)
    await takedowns.take_down(console, person, video_id, form.get("note"))
    # By looking, since `take_down` doesn't say where its messages lie.
    with after_writing("waiting for the row"):
        await _gone(console, video_id)
    if form.get("back") is not None:
        return back_with(form, said="taken down")
    url = request.url_for("entry").include_query_params(video=video_id, said="taken down")
    return RedirectResponse(f"{url.path}?{url.query}", 303)


async def _gone(console: Console, video_id: str) -> None:
    """Wait until the rows say so, or a while."""
    try:
        async with asyncio.timeout(COMES_BACK_SECONDS):
            while (found := await console.queries.video(video_id)) and found.takedown is None:
                await asyncio.sleep(LOOK_EVERY_SECONDS)
    except TimeoutError:
        return


async def _seen(console: Console, person: Person, video_id: str) -> VideoView:
    found = await _video(console, person, video_id)
    if found is None:
        raise Problem(404, "there is no such video")
    return found


async def _video(console: Console, person: Person, video_id: str) -> VideoView | None:
    """A video that the person may see: a rights holder sees their own."""
    found, mine = await console.queries.video(video_id), visible_to(person)
    if found is None or (mine is not None and found.owner_id not in mine):
        return None
    return found
