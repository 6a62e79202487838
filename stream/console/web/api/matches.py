"""Would this video match? The question that adds nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from stream.admin.match import Answers
from stream.console.store.desk import Person
from stream.console.web.api.bodies import (
    FileQuestionBody,
    MatchesBody,
    QuestionBody,
    QuestionFields,
)
from stream.console.web.api.common import problems
from stream.console.web.console import Console, Here
from stream.console.web.file_form import FileForm
from stream.console.web.matches import BusyError
from stream.console.web.problems import Problem, rejection
from stream.console.web.signin import csrf
from stream.console.web.signin.rights import at_least
from stream.errors import BadEventError
from stream.texts import Text

router = APIRouter(prefix="/api/v1/matches", tags=["matches"])
Asker = Annotated[Person, Depends(at_least("reviewer", "matches"))]
Q = TypeVar("Q", bound=QuestionFields)
# Said here: FastAPI would read a file before the route could, and knows one kind of body a route.
BODIES: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": QuestionBody.model_json_schema()},
            "multipart/form-data": {"schema": FileQuestionBody.model_json_schema()},
        },
    }
}


@router.post("", responses=problems(408, 503, 504), openapi_extra=BODIES)
async def match_without_adding(console: Here, person: Asker, request: Request) -> MatchesBody:
    """Which seconds of a video are in the library; nothing is added, alerted or decided.

    The video is named by a URI, or sent along as a file, which is deleted with the answer.
    """
    form = file_form(request)
    if form is None:
        body = _read(QuestionBody, await request.body())
        found = await asked(console, body.uri, body.owner_id, body.timeout_seconds)
    else:
        async with kept(console, form) as uri:
            # Now: fields may come behind the file.
            said = {name: each[0] for name, each in form.fields.items() if name != csrf.FIELD}
            fields = _read(QuestionFields, said)
            found = await asked(console, uri, fields.owner_id, fields.timeout_seconds)
    missing = sorted({*found.missing, *(each.shard or 0 for each in found.refused)})
    return MatchesBody(
        is_complete=found.is_complete,
        shards=found.shards or 0,
        missing=missing,
        matches=found.matches,
    )


def file_form(request: Request) -> FileForm | None:
    """The form with a file that the gate has begun to read, if it is one."""
    found = getattr(request.state, "file_form", None)
    assert found is None or isinstance(found, FileForm)
    return found


@asynccontextmanager
async def kept(console: Console, form: FileForm) -> AsyncIterator[str]:
    """The URI of a form's file, for the time of the block.

    Raises:
        Problem: 422 where there is no store for it; what `MatchStore.keep` and the form raise.
    """
    if console.match_store is None:
        raise Problem(
            422,
            "files can't be asked about here: name a URI, or set console.match_store "
            "(SAMESOURCE_CONSOLE__MATCH_STORE)",
        )
    async with console.match_store.keep(form.chunks()) as uri:
        yield uri


def _read(kind: type[Q], body: bytes | dict[str, str]) -> Q:
    try:
        if isinstance(body, bytes):
            return kind.model_validate_json(body)
        return kind.model_validate(body)
    except ValidationError as error:
        wrong = [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
        raise RequestValidationError(wrong) from error


async def asked(
    console: Console, uri: str, owner_id: str | None, timeout_seconds: float
) -> Answers:
    """What the shards say.

    Raises:
        Problem: 422 where the video can't be had, 429 where too many ask, 504 where nobody answers.
    """
    try:
        found = await console.matches.ask(uri, owner_id, timeout_seconds)
    except BadEventError as error:
        raise Problem(422, error) from error
    except BusyError as error:
        raise Problem(429, error, {"Retry-After": "5"}) from error
    if found.refusal is not None:
        code, message = found.refusal.error or "internal", found.refusal.message or ""
        raise Problem(422, rejection(code, message))
    if found.shards is None:
        told = Text(
            "no shard has answered within {seconds} s: do workers run?",
            seconds=f"{timeout_seconds:g}",
        )
        raise Problem(504, told)
    return found
