"""Who wrote what, when and why."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from stream.console.web.console import Console, console_of
from stream.console.web.pages.render import render
from stream.console.web.problems import Problem
from stream.console.web.signin.rights import Admin
from stream.errors import QueryError

router = APIRouter(include_in_schema=False)


@router.get("/audit")
async def page(
    request: Request,
    console: Annotated[Console, Depends(console_of)],
    admin: Admin,
    person: Annotated[str, Query(max_length=512)] = "",
    about: Annotated[str, Query(max_length=512)] = "",
    cursor: str | None = None,
) -> Response:
    """Lines of the audit log, the newest first."""
    try:
        found = await console.desk.audit(person or None, about or None, cursor)
    except QueryError as error:
        raise Problem(422, str(error)) from error
    return render(request, "audit.html", page=found, who=person, about=about)
