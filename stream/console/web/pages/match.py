"""Would this video match? A page to ask before anything is submitted."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from stream.console.web.api.matches import asked, file_form, kept
from stream.console.web.console import Here
from stream.console.web.pages.forms import Form
from stream.console.web.pages.render import render
from stream.console.web.problems import Problem
from stream.console.web.signin.rights import Reviewer

router = APIRouter(include_in_schema=False)
WAIT_SECONDS = 60.0


@router.get("/match")
async def page(request: Request, person: Reviewer) -> Response:
    """The question."""
    return _page(request)


@router.post("/match")
async def ask(
    request: Request,
    console: Here,
    person: Reviewer,
    form: Form,
) -> Response:
    """The answer."""
    uri = form.get("uri") or ""
    try:
        file = file_form(request)
        if file is None:
            found = await asked(console, uri, None, WAIT_SECONDS)
        else:
            async with kept(console, file) as kept_uri:
                found = await asked(console, kept_uri, None, WAIT_SECONDS)
    except Problem as error:
        return _page(request, status=error.status_code, uri=uri, problem=error.detail)
    ids = sorted({match.reference_id for match in found.matches})
    return _page(request, uri=uri, answers=found, videos=await console.queries.videos_by_id(ids))


def _page(request: Request, *, status: int = 200, **shown: Any) -> Response:
    known: dict[str, Any] = {"uri": "", "answers": None, "problem": None, "videos": {}}
    return render(request, "match.html", status=status, **(known | shown))
