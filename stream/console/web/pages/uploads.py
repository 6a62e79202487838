"""Uploads: what was submitted and what became of it, and one upload's way through the service."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from stream.console.store.views import UploadView
from stream.console.web.bounds import Cursor, Id, PathId, Word
from stream.console.web.console import Here
from stream.console.web.pages.render import OUTCOME_NAMES, render
from stream.console.web.problems import Problem
from stream.console.web.signin.rights import Viewer
from stream.decide.reasons import parts_of
from stream.errors import QueryError

router = APIRouter(include_in_schema=False)
LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Step:
    """A moment of an upload's way.

    Attributes:
        name: for people, in English.
        at: when; None where it hasn't come to that, or isn't known.
        after_seconds: since the submission.
    """

    name: str
    at: datetime | None
    after_seconds: float | None


@router.get("/uploads")
async def page(
    request: Request,
    console: Here,
    person: Viewer,
    outcome: Word = "",
    find: Id = "",
    cursor: Cursor = None,
) -> Response:
    """Requests, the newest first: all, of an outcome, or of one video."""
    find = find.strip()
    if find and await console.queries.upload(find) is not None:
        return RedirectResponse(f"/uploads/{find}", 303)
    chosen = outcome if outcome in OUTCOME_NAMES else None
    try:
        if find:
            found = await console.queries.uploads_of(find, cursor)
        else:
            found = await console.queries.uploads(chosen, cursor)
    except QueryError as error:
        raise Problem(422, error) from error
    return render(request, "uploads.html", page=found, outcome=chosen or "", find=find)


@router.get("/uploads/{request_id}")
async def way(request: Request, console: Here, person: Viewer, request_id: PathId) -> Response:
    """One upload's way through the service."""
    upload = await console.queries.upload(request_id)
    if upload is None:
        raise Problem(404, "there is no such request")
    alerts = [
        alert
        for each in upload.alert_ids[:100]
        if (alert := await console.queries.alert(each)) is not None
    ]
    longest = max(upload.stage_seconds.values(), default=0.0)
    return render(
        request,
        "upload.html",
        upload=upload,
        steps=steps_of(upload),
        alerts=alerts,
        longest=longest,
        reason=parts_of(upload.reason or ""),
        others=(await console.queries.uploads_of(upload.video_id, limit=20)).items,
    )


def steps_of(upload: UploadView) -> Sequence[Step]:
    """The moments that are known, in order."""
    moments = (
        ("submitted", upload.submitted_at),
        ("fingerprinted", upload.fingerprinted_at),
        ("rejected", upload.rejected_at),
        ("decided", upload.decided_at),
    )
    begin = upload.submitted_at
    steps = [
        Step(name, at, None if at is None or begin is None else (at - begin).total_seconds())
        for name, at in moments
        if at is not None or name != "rejected"
    ]
    return sorted(steps, key=lambda step: (step.at is None, step.at or LAST))
