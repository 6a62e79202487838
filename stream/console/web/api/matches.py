"""Would this video match? The question that adds nothing."""

from typing import Annotated

from fastapi import APIRouter, Depends

from stream.admin.match import Answers
from stream.console.store.desk import Person
from stream.console.web.api.bodies import MatchesBody, QuestionBody
from stream.console.web.api.common import Here, problems
from stream.console.web.console import Console
from stream.console.web.matches import BusyError
from stream.console.web.problems import Problem
from stream.console.web.signin.rights import at_least
from stream.errors import BadEventError

router = APIRouter(prefix="/api/v1/matches", tags=["matches"])
Asker = Annotated[Person, Depends(at_least("reviewer", "matches"))]


@router.post("", responses=problems(503, 504))
async def match_without_adding(console: Here, person: Asker, body: QuestionBody) -> MatchesBody:
    """Which seconds of a video are in the library; nothing is added, alerted or decided."""
    found = await asked(console, body.uri, body.owner_id, body.timeout_seconds)
    missing = sorted({*found.missing, *(each.shard or 0 for each in found.refused)})
    return MatchesBody(
        is_complete=found.is_complete,
        shards=found.shards or 0,
        missing=missing,
        matches=found.matches,
    )


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
        raise Problem(422, str(error)) from error
    except BusyError as error:
        raise Problem(429, str(error), {"Retry-After": "5"}) from error
    if found.refusal is not None:
        raise Problem(422, f"{found.refusal.error}: {found.refusal.message}")
    if found.shards is None:
        raise Problem(504, f"no shard has answered within {timeout_seconds:g} s: do workers run?")
    return found
