"""What can go wrong with a request: problem+json (RFC 9457) for machines, a page for people."""

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from stream.console.web.signin.headers import HEADERS, NO_STORE
from stream.contract.field_texts import field_problem
from stream.errors import BrokerError, DatabaseAwayError, ErrorCode, brief
from stream.texts import Text, text_of

log = logging.getLogger(__name__)

API = "/api/"
MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = "5"  # Kafka has a new leader within seconds, if it has one at all


def rejection(code: ErrorCode, message: str) -> Text:
    """Why a video can't be used: what its code means, and the message, which is in English."""
    return Text("{code}: {message}", code=Text(code), message=message)


class ProblemBody(BaseModel):
    """An error, as RFC 9457 has it."""

    type: str = "about:blank"
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str | None = Field(default=None, examples=["no alert b1946ac9…"])
    errors: list[dict[str, Any]] | None = Field(
        default=None, description="Of a request that can't be read: what is wrong, and where"
    )


class Problem(HTTPException):
    """An error for whoever asked: what was got, what was expected, what to do."""

    def __init__(
        self, status: int, detail: str | Exception, headers: dict[str, str] | None = None
    ) -> None:
        """Make one; an error as its detail says what it was raised with."""
        told = text_of(detail) if isinstance(detail, Exception) else detail
        super().__init__(status, told, headers)


def is_api(path: str) -> bool:
    """Whether a machine asks."""
    return path.startswith(API)


def problem_response(
    request: Request,
    status: int,
    detail: str,
    headers: dict[str, str] | None = None,
    errors: Sequence[tuple[str, str]] = (),
) -> JSONResponse:
    """The answer to a machine, in English unless it asks for another language.

    Args:
        request: that it answers.
        status: of the answer.
        detail: what is wrong.
        headers: of the answer.
        errors: where something is wrong in the request, and what.
    """
    # Here, since pages import this module.
    from stream.console.web.pages.render import words_for_machine

    t = words_for_machine(request)
    body = ProblemBody(
        title=t(HTTPStatus(status).phrase),
        status=status,
        detail=t(detail),
        errors=[{"where": where, "what": t(what)} for where, what in errors] or None,
    )
    headers = (headers or {}) | {"Content-Language": t.language}
    return JSONResponse(body.model_dump(exclude_none=True), status, headers, MEDIA_TYPE)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answers an error that a route raised."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if is_api(request.url.path):
        return problem_response(request, error.status_code, error.detail, headers)
    # Here, since pages import this module.
    from stream.console.web.pages.render import render_problem

    return render_problem(request, error.status_code, error.detail, headers)


async def on_broker_error(request: Request, error: Exception) -> Response:
    """Kafka is away: it isn't done, and asking again is safe."""
    assert isinstance(error, BrokerError)
    # Its text names servers; those who are signed in may know that it is away, no more.
    gone = Problem(503, "Kafka can't be reached: try again soon", {"Retry-After": RETRY_SECONDS})
    return await on_http_error(request, gone)


DATABASE_ERRORS = (SQLAlchemyError, DatabaseAwayError)
"""Of a database that is away or busy."""


async def on_database_error(request: Request, error: Exception) -> Response:
    """The database is away or busy."""
    log.warning("the console's database can't be used: %s", brief(error, 300))
    told = Text("the console's database can't be reached: try again soon")
    return await on_http_error(request, Problem(503, told, {"Retry-After": RETRY_SECONDS}))


async def on_bug(request: Request, error: Exception) -> Response:
    """A bug of ours, whose traceback is in the log; nothing of it is told.

    It is answered in front of all that guards, so the headers are added here.
    """
    headers = HEADERS | {"Cache-Control": NO_STORE}
    detail = Text("something went wrong here: an operator finds it in the log")
    if is_api(request.url.path):
        return problem_response(request, 500, detail, headers)
    from stream.console.web.pages.render import words_for

    # No template: it may be what is broken.
    return PlainTextResponse(f"500: {words_for(request)(detail)}\n", 500, headers)


async def on_unreadable(request: Request, error: Exception) -> Response:
    """A request that doesn't fit its description; what was sent is not told back."""
    assert isinstance(error, RequestValidationError)
    told = Text("the request can't be read")
    if is_api(request.url.path):
        problems = [
            (".".join(map(str, each["loc"])), field_problem(each)) for each in error.errors()
        ]
        return problem_response(request, 422, told, errors=problems)
    return await on_http_error(request, Problem(422, told))
