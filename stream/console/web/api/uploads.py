"""Uploads: submitting one, and what became of it."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, nullcontext
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.sse import format_sse_event

from stream.console.store.desk import Person
from stream.console.web.api.bodies import SubmissionBody, SubmittedBody, UploadBody
from stream.console.web.api.common import Key, Note, Written, once, problems
from stream.console.web.api.conditional import IfNoneMatch, answered, tagged
from stream.console.web.bounds import PathId
from stream.console.web.console import Console, Here
from stream.console.web.problems import Problem
from stream.console.web.signin.rights import at_least
from stream.contract.events import Role, VideoUploaded
from stream.errors import BadEventError
from stream.texts import Text

router = APIRouter(prefix="/api/v1/uploads", tags=["uploads"])
Reader = Annotated[Person, Depends(at_least("viewer", "uploads"))]
Sender = Annotated[Person, Depends(at_least("reviewer", "uploads"))]
LOOK_EVERY_SECONDS = 0.5  # of a long poll: a decision takes seconds
MAX_WAIT_SECONDS = 60.0  # proxies cut what is silent for longer
HEARTBEAT_SECONDS = 15.0  # of an event stream that has nothing to say, for the same reason
MAX_STREAM_SECONDS = 600.0  # then the client comes again, and is asked for its token anew
PREFERRED = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,9})\"?\s*(?:[,;]|$)", re.IGNORECASE)
EVENT_STREAM = "text/event-stream"
UNBUFFERED = {"X-Accel-Buffering": "no"}  # nginx would keep events until it has some kilobytes
STREAM = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {"const": "status"},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": "#/components/schemas/UploadBody"},
        },
    },
}
TOO_MANY = Text("too many long polls and event streams of yours are open: see console.waits_each")


@router.post("", status_code=202, response_model=SubmittedBody, responses=problems(409, 503))
async def submit_upload(
    request: Request,
    console: Here,
    person: Sender,
    body: SubmissionBody,
    key: Key = None,
    note: Note = None,
) -> Response:
    """Submit a video to check: 202 when Kafka has it, `Location` is where its status is."""
    return await once(
        request, person, key, lambda: submitted(console, person, body, "upload", note)
    )


async def _wait(console: Here, person: Reader) -> AsyncIterator[None]:
    """One more stream of somebody, until the answer is sent; not of those who have enough."""
    with _one_more(console, person):
        yield


@router.get("/{request_id}", response_model=UploadBody, responses=problems(404) | tagged())
async def get_upload(
    console: Here,
    person: Reader,
    request_id: PathId,
    wait_seconds: Annotated[
        float | None,
        Query(ge=0, le=MAX_WAIT_SECONDS, description="Answer when it is decided, or after so long"),
    ] = None,
    prefer: Annotated[
        str | None, Header(max_length=1000, description="`wait=N` is `wait_seconds`, up to 60")
    ] = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The status of an upload; with `wait_seconds` or `Prefer: wait=N`, a long poll for its end."""
    preferred, headers = PREFERRED.search(prefer or ""), dict[str, str]()
    if wait_seconds is None and preferred is not None:
        wait_seconds = min(float(preferred[1]), MAX_WAIT_SECONDS)
        headers["Preference-Applied"] = f"wait={wait_seconds:g}"
    with _one_more(console, person) if wait_seconds else nullcontext():
        upload = await _when_decided(console, request_id, wait_seconds or 0.0)
    return answered(upload, if_none_match, headers=headers)


async def _when_decided(console: Console, request_id: str, wait_seconds: float) -> UploadBody:
    clock = asyncio.get_running_loop().time
    until = clock() + wait_seconds
    while True:
        upload = await console.queries.upload(request_id)
        # One that isn't known is waited for as well: it may have been submitted just now.
        if upload is not None and (upload.outcome is not None or clock() >= until):
            return UploadBody.of(upload)
        if clock() >= until:
            raise Problem(404, "there is no such request")
        await asyncio.sleep(min(LOOK_EVERY_SECONDS, max(0.0, until - clock())))


@router.get(
    "/{request_id}/events",
    response_class=StreamingResponse,
    dependencies=[Depends(_wait)],
    responses=problems(404) | {200: {"content": {EVENT_STREAM: {"schema": STREAM}}}},
)
async def stream_upload(console: Here, person: Reader, request_id: PathId) -> Response:
    """The status of an upload as server-sent events: now, at each change, until it is decided.

    Each `status` event has what `GET /uploads/{request_id}` answers. A stream ends with the
    decision, or after ten minutes: come again then.
    """
    upload = await console.queries.upload(request_id)
    if upload is None:
        raise Problem(404, "there is no such request")
    # Not FastAPI's own class of it, whose route has answered 200 before it knows of a 404.
    return StreamingResponse(
        _statuses(console, UploadBody.of(upload)), media_type=EVENT_STREAM, headers=UNBUFFERED
    )


async def _statuses(console: Console, now: UploadBody) -> AsyncIterator[bytes]:
    clock = asyncio.get_running_loop().time
    until, said_at = clock() + MAX_STREAM_SECONDS, clock()
    yield _status(now)
    while now.outcome is None and clock() < until:
        await asyncio.sleep(LOOK_EVERY_SECONDS)
        upload = await console.queries.upload(now.request_id)
        told = None if upload is None else UploadBody.of(upload)
        if told is not None and told != now:
            now, said_at = told, clock()
            yield _status(now)
        elif clock() - said_at >= HEARTBEAT_SECONDS:
            said_at = clock()
            yield format_sse_event(comment="still waiting")


def _status(upload: UploadBody) -> bytes:
    return format_sse_event(event="status", data_str=upload.model_dump_json())


@contextmanager
def _one_more(console: Console, person: Person) -> Iterator[None]:
    with console.waits.one_more(person.name) as fits:
        if not fits:
            raise Problem(429, TOO_MANY, {"Retry-After": "5"})
        yield


async def submitted(
    console: Console, person: Person, body: SubmissionBody, role: Role, note: str | None
) -> Written:
    """Put a submission on Kafka.

    Raises:
        Problem: it is no event of the contract.
    """
    fields = body.model_dump(mode="json", exclude_none=True) | {"role": role}
    try:
        upload = VideoUploaded.from_json(fields)
    except BadEventError as error:
        raise Problem(422, error) from error
    places = await console.kafka.say([upload])
    request_id = await console.kafka.request_id(places[0])
    detail = {"request_id": request_id}
    await console.note(person.name, f"submit {role}", upload.video_id, note, detail)
    told = SubmittedBody(request_id=request_id, video_id=upload.video_id).model_dump()
    answer = JSONResponse(told, 202, {"Location": f"/api/v1/uploads/{request_id}"})
    return Written(answer, places)
