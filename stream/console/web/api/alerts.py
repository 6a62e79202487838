"""Alerts: which there are, and what people say of them."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse, Response

from stream.console.store.desk import Person
from stream.console.store.views import STATES, AlertFilter, Order, State
from stream.console.web.api.bodies import AlertBody, EvidenceBody, PageBody, VerdictBody
from stream.console.web.api.common import Key, Limit, Written, once, problems
from stream.console.web.api.conditional import IfNoneMatch, answered, names, tag_of, tagged
from stream.console.web.bounds import Cursor, OwnerId, PathId, SomeId
from stream.console.web.console import Here, after_writing
from stream.console.web.problems import Problem
from stream.console.web.signin.rights import at_least, visible_to
from stream.console.web.verdicts import CHANGED, Said, give
from stream.errors import QueryError, SettingsError
from stream.texts import Text

router = APIRouter(prefix="/api/v1/alerts", tags=["alerts"])
Reader = Annotated[Person, Depends(at_least("holder", "alerts"))]
Reviewer = Annotated[Person, Depends(at_least("reviewer", "alerts"))]
IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="The ETag of the alert that was read: 412 where it has changed since. Without "
        "it, or with `*`, the verdict is given whatever has changed",
    ),
]


@router.get("", responses=problems())
async def list_alerts(
    console: Here,
    person: Reader,
    state: Annotated[
        list[State] | None,
        Query(max_length=len(STATES), description="Any of these; all without it"),
    ] = None,
    owner_id: OwnerId = None,
    reference_id: SomeId = None,
    video_id: SomeId = None,
    min_score: Annotated[float | None, Query(ge=0, le=1, alias="least_score")] = None,
    since: datetime | None = None,
    before: datetime | None = None,
    order: Annotated[Literal["newest", "longest", "surest"], Query()] = "newest",
    cursor: Cursor = None,
    limit: Limit = 50,
) -> PageBody[AlertBody]:
    """Alerts, by order and filter."""
    for name, instant in (("since", since), ("before", before)):
        # Without one it can't be set against the rows' instants: that would be a 500.
        if instant is not None and instant.tzinfo is None:
            raise Problem(
                422, Text("{name} has no time zone: write 2026-01-31T12:00:00Z", name=name)
            )
    wanted = AlertFilter(
        states=tuple(state) if state else STATES,
        owner_id=owner_id,
        reference_id=reference_id,
        video_id=video_id,
        visible_owner_ids=visible_to(person),
        min_score=min_score,
        since=since,
        before=before,
    )
    by: Order = order
    try:
        page = await console.queries.alerts(wanted, by, cursor, limit)
    except QueryError as error:
        raise Problem(422, error) from error
    return PageBody(items=[AlertBody.of(each) for each in page.items], next=page.next)


@router.get("/{alert_id}", response_model=AlertBody, responses=problems(404) | tagged())
async def get_alert(
    console: Here, person: Reader, alert_id: PathId, if_none_match: IfNoneMatch = None
) -> Response:
    """One alert, with an ETag to give a verdict by."""
    alert = await console.queries.alert(alert_id, visible_to(person))
    if alert is None:
        raise Problem(404, "there is no such alert")
    return answered(AlertBody.of(alert), if_none_match)


@router.get("/{alert_id}/evidence", responses=problems(404, 503))
async def get_evidence(console: Here, person: Reader, alert_id: PathId) -> EvidenceBody:
    """What the two videos show of the copied spans: they are fetched and looked at for it."""
    alert = await console.queries.alert(alert_id, visible_to(person))
    if alert is None:
        raise Problem(404, "there is no such alert")
    videos = await console.queries.videos_by_id([alert.video_id, alert.reference_id])
    mirrored = await console.mirrors.spans(
        alert, videos.get(alert.video_id), videos.get(alert.reference_id)
    )
    return EvidenceBody.of(alert, mirrored)


@router.post(
    "/{alert_id}/verdict",
    response_model=AlertBody,
    responses=problems(404, 409, 412, 503) | tagged(is_read=False),
)
async def give_verdict(
    request: Request,
    console: Here,
    person: Reviewer,
    alert_id: PathId,
    body: VerdictBody,
    if_match: IfMatch = None,
    key: Key = None,
) -> Response:
    """Confirm, dismiss or withdraw: the answer is the alert when the verdict is on Kafka."""
    alert = await console.queries.alert(alert_id, visible_to(person))
    if alert is None:
        raise Problem(404, "there is no such alert")
    start, end = body.reference_start_seconds, body.reference_end_seconds
    if (start is None) != (end is None):
        raise Problem(422, "the span's seconds come together or not at all")
    span = None if start is None or end is None else (start, end)
    said = Said(body.verdict, body.scope, span, body.note)

    async def write() -> Written:
        # Here, so that a verdict that was given is answered as before under its key.
        if if_match is not None and not names(if_match, tag_of(AlertBody.of(alert))):
            raise Problem(412, CHANGED)
        as_read = if_match is not None and if_match.strip() != "*"
        try:
            given = await give(console, person, [alert], said, as_read=as_read)
        except SettingsError as error:
            raise Problem(422, error) from error
        if not given.alert_ids:
            raise Problem(409, Text("{name} works on this alert", name=alert.claimed_by))
        now = alert
        with after_writing("reading the alert's row"):
            now = await console.queries.alert(alert_id) or alert
        told = AlertBody.of(now)
        return Written(JSONResponse(told.model_dump(mode="json"), headers={"ETag": tag_of(told)}))

    return await once(request, person, key, write)
