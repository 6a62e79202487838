"""References: the videos that are protected."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from stream.console.store.desk import Person
from stream.console.web.api.bodies import (
    PageBody,
    ReferenceBody,
    SubmissionBody,
    SubmittedBody,
    TakedownBody,
)
from stream.console.web.api.common import Key, Limit, Note, Written, once, problems
from stream.console.web.api.conditional import IfNoneMatch, answered, tagged
from stream.console.web.api.uploads import submitted
from stream.console.web.bounds import Cursor, OwnerId, PathId
from stream.console.web.console import Here
from stream.console.web.problems import Problem
from stream.console.web.signin.rights import at_least, visible_to
from stream.console.web.takedowns import take_down
from stream.errors import QueryError

router = APIRouter(prefix="/api/v1/references", tags=["references"])
Reader = Annotated[Person, Depends(at_least("holder", "references"))]
Editor = Annotated[Person, Depends(at_least("admin", "references"))]


@router.get("", responses=problems())
async def list_references(
    console: Here,
    person: Reader,
    owner_id: OwnerId = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> PageBody[ReferenceBody]:
    """References in the library, the newest first."""
    try:
        page = await console.queries.library(
            "reference", owner_id, visible_to(person), "live", cursor, limit
        )
    except QueryError as error:
        raise Problem(422, error) from error
    return PageBody(items=[ReferenceBody.of(each) for each in page.items], next=page.next)


@router.post("", status_code=202, response_model=SubmittedBody, responses=problems(409, 503))
async def add_reference(
    request: Request,
    console: Here,
    person: Editor,
    body: SubmissionBody,
    key: Key = None,
    note: Note = None,
) -> Response:
    """Submit a video to protect: 202 when Kafka has it, `Location` is where its status is."""
    return await once(
        request, person, key, lambda: submitted(console, person, body, "reference", note)
    )


@router.get("/{video_id:path}", response_model=ReferenceBody, responses=problems(404) | tagged())
async def get_reference(
    console: Here, person: Reader, video_id: PathId, if_none_match: IfNoneMatch = None
) -> Response:
    """A reference in the library."""
    found, mine = await console.queries.video(video_id), visible_to(person)
    if found is None or (found.role, found.status) != ("reference", "live"):
        raise Problem(404, "there is no such reference")
    if mine is not None and found.owner_id not in mine:
        raise Problem(404, "there is no such reference")
    return answered(ReferenceBody.of(found), if_none_match)


@router.delete(
    "/{video_id:path}",
    status_code=202,
    response_model=TakedownBody,
    responses=problems(404, 409, 503),
)
async def remove_reference(
    request: Request,
    console: Here,
    person: Editor,
    video_id: PathId,
    key: Key = None,
    note: Note = None,
) -> Response:
    """Take a video down: no later upload is told to copy it, and search forgets it."""

    async def write() -> Written:
        if await console.queries.video(video_id) is None:
            raise Problem(404, "there is no such video")
        await take_down(console, person, video_id, note)
        return Written(JSONResponse(TakedownBody(video_id=video_id).model_dump(), 202))

    return await once(request, person, key, write)
