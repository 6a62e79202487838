"""What all of the API shares: who may, cursors, and writes that are safe to repeat."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Header, Query, Request
from fastapi.responses import Response

from stream.console.store.desk import Done, Fresh, OtherRequest, Person, Running
from stream.console.web.console import Console, after_writing, console_of
from stream.console.web.problems import MEDIA_TYPE, Problem, ProblemBody
from stream.contract.message import Source

Limit = Annotated[int, Query(ge=1, le=200, description="Most items on a page")]
Note = Annotated[
    str | None, Query(max_length=2000, description="Why, for people: in the audit log")
]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="Names this write: sent again with the same body and query, it is not done "
        "again and gets the same answer",
    ),
]


@dataclass(frozen=True)
class Written:
    """A write that Kafka has.

    Attributes:
        answer: to it.
        places: of its messages. Once the answer is kept under its key, their rows are waited for.
    """

    answer: Response
    places: Sequence[Source] = ()


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route may answer besides, for its description."""
    told = {
        400: "The request can't be read",
        401: "No token, or one that is unknown, revoked or too old",
        403: "The role or the scopes don't allow it",
        404: "There is none, or none that you may see",
        408: "The file came too slowly",
        409: "Somebody else is at it",
        412: "It has changed since you read it",
        413: "The body is too long",
        421: "The host isn't one of the console's names",
        422: "The request is wrong",
        428: "Say by If-Match what you have read",
        429: "Too many failed sign-ins or requests within a minute, or too much at once",
        504: "No shard has answered in time",
        503: "Kafka can't be reached: it isn't done, send it again",
    }
    return {
        status: {
            "description": told[status],
            "content": {MEDIA_TYPE: {"schema": ProblemBody.model_json_schema()}},
        }
        for status in (400, 401, 403, 413, 421, 422, 429, *statuses)
    }


async def once(
    request: Request,
    person: Person,
    key: str | None,
    write: Callable[[], Awaitable[Written]],
) -> Response:
    """Do a write, or answer as it was answered before.

    Args:
        request: that asks for it.
        person: who asks.
        key: that they gave it.
        write: raises only where Kafka hasn't taken it.

    Raises:
        Problem: 409 while the first is still at it; 422 where the key was another request's.
    """
    console = console_of(request)
    if key is None:
        written = await write()
        await console.come_back(written.places)
        return written.answer
    body = await request.body()
    query = f"?{request.url.query}" if request.url.query else ""
    asked = f"{request.method} {request.url.path}{query}\n".encode() + body
    found = await console.desk.begin_key(person.name, key, asked, console.clock())
    if isinstance(found, Done):
        headers = dict(found.headers) | {"Idempotency-Replayed": "true"}
        kind = "application/json" if found.body else None
        return Response(found.body, found.status, headers, kind)
    if isinstance(found, Running):
        raise Problem(409, "a request with this key is still running", {"Retry-After": "1"})
    if isinstance(found, OtherRequest):
        raise Problem(422, "this key was used for another request: take a new one")
    return await _first(console, person, key, found, write)


async def _first(
    console: Console,
    person: Person,
    key: str,
    fresh: Fresh,
    write: Callable[[], Awaitable[Written]],
) -> Response:
    try:
        written = await write()
    # Not a cancellation, by a stop: Kafka may have it, or get it yet. As with a process that dies
    # here, the key stays at work, and is free again after `LONGEST_RUN`.
    except Exception:
        await console.desk.forget_key(person.name, key, fresh.run)
        raise
    answer = written.answer
    kept = {name: answer.headers[name] for name in ("location", "etag") if name in answer.headers}
    text = bytes(answer.body).decode()
    with after_writing("keeping the answer under its idempotency key"):
        await console.desk.finish_key(person.name, key, fresh.run, answer.status_code, kept, text)
    await console.come_back(written.places)
    return answer
