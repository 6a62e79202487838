"""Would this video match? A page to ask before anything is submitted."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from stream.console.web.api.matches import asked
from stream.console.web.console import Console, console_of
from stream.console.web.pages.forms import Form
from stream.console.web.pages.render import render
from stream.console.web.problems import Problem
from stream.console.web.signin.rights import Reviewer

router = APIRouter(include_in_schema=False)
WAIT_SECONDS = 60.0


@router.get("/match")
async def page(request: Request, person: Reviewer) -> Response:
    """The question."""
    return render(request, "match.html", uri="", answers=None, problem=None, videos={})


@router.post("/match")
async def ask(
    request: Request,
    console: Annotated[Console, Depends(console_of)],
    person: Reviewer,
    form: Form,
) -> Response:
    """The answer."""
    uri = form.get("uri") or ""
    try:
        found = await asked(console, uri, None, WAIT_SECONDS)
    except Problem as error:
        told = str(error.detail)
        status = error.status_code
        return render(
            request, "match.html", status=status, uri=uri, answers=None, problem=told, videos={}
        )
    ids = sorted({match.reference_id for match in found.matches})
    videos = await console.queries.videos_by_id(ids)
    return render(request, "match.html", uri=uri, answers=found, problem=None, videos=videos)
