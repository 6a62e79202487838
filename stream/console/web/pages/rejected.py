"""Dead letters: what could not be processed and why, and submitting it again after mending."""

from typing import get_args

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from stream.console.web import replays
from stream.console.web.bounds import Cursor, Word
from stream.console.web.console import Console, Here
from stream.console.web.pages.forms import Form
from stream.console.web.pages.render import render
from stream.console.web.problems import Problem
from stream.console.web.signin.rights import Reviewer, Viewer
from stream.errors import ErrorCode, QueryError

router = APIRouter(include_in_schema=False)
CODES: tuple[str, ...] = get_args(ErrorCode)


@router.get("/rejected")
async def page(
    request: Request,
    console: Here,
    person: Viewer,
    code: Word = "",
    cursor: Cursor = None,
    said: Word = "",
) -> Response:
    """Dead letters, the newest first: all, or of one code."""
    return await _page(request, console, code, cursor, said=said)


@router.post("/rejected/replay")
async def replay(request: Request, console: Here, person: Reviewer, form: Form) -> Response:
    """Submit the original of one letter again, unless it was since, or was taken down."""
    code = form.get("code") or ""
    partition, _, offset = (form.get("letter") or "").partition("-")
    if not (partition.isdecimal() and offset.isdecimal() and len(offset) < 20):
        raise Problem(422, "expected the place of a dead letter")
    letter = None
    # Rows first: a made-up place isn't worth a look at Kafka.
    if await console.queries.rejection(int(partition), int(offset)) is not None:
        letter = await console.kafka.letter(int(partition), int(offset))
    if letter is None:
        raise Problem(404, "the dead letter is on Kafka no more")
    found = await replays.replay(console, letter)
    if found.upload is None:
        return await _page(request, console, code, None, reason=found.reason)
    detail = {"letter": f"{partition}-{offset}", "error": letter.error}
    await console.note(person.name, "replay", found.upload.video_id, detail=detail)
    return RedirectResponse(
        "/rejected?said=replayed" + (f"&code={code}" if code in CODES else ""), 303
    )


async def _page(
    request: Request,
    console: Console,
    code: str,
    cursor: str | None,
    *,
    reason: str = "",
    said: str = "",
) -> Response:
    chosen = code if code in CODES else None
    try:
        found = await console.queries.rejections(chosen, cursor)
    except QueryError as error:
        raise Problem(422, error) from error
    overview = await console.queries.overview(console.clock())
    return render(
        request,
        "rejected.html",
        status=409 if reason else 200,
        page=found,
        code=chosen or "",
        codes=CODES,
        numbers=overview.rejected,
        reason=reason,
        said=said,
    )
