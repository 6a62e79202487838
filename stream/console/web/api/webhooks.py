"""Webhooks: who is told what happens, and how that went."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query
from fastapi.responses import JSONResponse, Response

from stream.console.store.deliveries import DeliveryState
from stream.console.store.desk import Person
from stream.console.store.webhooks import WebhookView
from stream.console.web import webhooks
from stream.console.web.api.bodies import PageBody
from stream.console.web.api.common import Limit, problems
from stream.console.web.api.conditional import IfNoneMatch, answered, names, tag_of, tagged
from stream.console.web.api.webhook_bodies import (
    DeliveryBody,
    EndpointBody,
    EndpointChangeBody,
    NewEndpointBody,
    NewSecretBody,
    ReplayedBody,
    SecretEndpointBody,
)
from stream.console.web.bounds import Cursor
from stream.console.web.console import Here
from stream.console.web.problems import Problem
from stream.console.web.signin.rights import at_least
from stream.errors import QueryError
from stream.texts import Text

router = APIRouter(prefix="/api/v1/webhooks", tags=["webhooks"])
Admin = Annotated[Person, Depends(at_least("admin", "webhooks"))]
Id = Annotated[str, Path(max_length=100)]
IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="The ETag of the endpoint that was read: 412 where it has changed since. "
        "Without it, or with `*`, it is changed whatever it is now",
    ),
]


@router.get("", responses=problems())
async def list_webhooks(console: Here, person: Admin) -> PageBody[EndpointBody]:
    """All endpoints, the newest first: there are few."""
    now = console.clock()
    return PageBody(items=[EndpointBody.of(each, now) for each in await console.desk.webhooks()])


@router.post("", status_code=201, response_model=SecretEndpointBody, responses=problems(409, 503))
async def make_webhook(console: Here, person: Admin, body: NewEndpointBody) -> Response:
    """Make an endpoint: it is told what happens from now on. Its secret is shown this once."""
    made = await webhooks.make(
        console, person, body.url, body.kinds, body.owner_ids, body.description
    )
    where = f"/api/v1/webhooks/{made.webhook.webhook_id}"
    told = SecretEndpointBody.of_shown(made, console.clock()).model_dump(mode="json")
    return JSONResponse(told, 201, {"Location": where})


@router.get("/{webhook_id}", response_model=EndpointBody, responses=problems(404) | tagged())
async def get_webhook(
    console: Here, person: Admin, webhook_id: Id, if_none_match: IfNoneMatch = None
) -> Response:
    """One endpoint, with an ETag to change it by."""
    found = await webhooks.found(console, webhook_id)
    return answered(EndpointBody.of(found, console.clock()), if_none_match)


@router.patch(
    "/{webhook_id}",
    response_model=EndpointBody,
    responses=problems(404, 412) | tagged(is_read=False),
)
async def change_webhook(
    console: Here,
    person: Admin,
    webhook_id: Id,
    body: EndpointChangeBody,
    if_match: IfMatch = None,
) -> Response:
    """Change what is named; what waits and is none of its business any more is dropped."""
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    for name in ("url", "kinds", "enabled"):
        if name in changes and changes[name] is None:
            raise Problem(422, Text("{name}: expected a value, or leave it out", name=name))

    def is_as_read(now: WebhookView) -> bool:
        return if_match is None or names(if_match, tag_of(EndpointBody.of(now, console.clock())))

    changed = await webhooks.change(console, person, webhook_id, changes, is_as_read)
    return answered(EndpointBody.of(changed, console.clock()), None)


@router.delete("/{webhook_id}", status_code=204, responses=problems(404))
async def delete_webhook(console: Here, person: Admin, webhook_id: Id) -> Response:
    """Delete an endpoint, and what it was to be told."""
    await webhooks.delete(console, person, webhook_id)
    return Response(status_code=204)


@router.post("/{webhook_id}/secrets", status_code=201, responses=problems(404, 503))
async def new_secret(
    console: Here, person: Admin, webhook_id: Id, body: NewSecretBody | None = None
) -> SecretEndpointBody:
    """Give it a new secret, shown this once; the one before signs beside it for a while."""
    seconds = (body or NewSecretBody()).old_seconds
    shown = await webhooks.new_secret(console, person, webhook_id, seconds)
    return SecretEndpointBody.of_shown(shown, console.clock())


@router.post(
    "/{webhook_id}/test", status_code=202, response_model=DeliveryBody, responses=problems(404, 409)
)
async def send_test_event(console: Here, person: Admin, webhook_id: Id) -> Response:
    """Send a test event, once: `Location` is where it stands how that went."""
    test = await webhooks.send_test(console, person, webhook_id)
    where = f"/api/v1/webhooks/{webhook_id}/deliveries/{test.message_id}"
    return JSONResponse(DeliveryBody.of(test).model_dump(mode="json"), 202, {"Location": where})


@router.get("/{webhook_id}/deliveries", responses=problems(404))
async def list_deliveries(
    console: Here,
    person: Admin,
    webhook_id: Id,
    state: Annotated[
        DeliveryState, Query(description="`dead` are those of which every try failed")
    ] = "dead",
    cursor: Cursor = None,
    limit: Limit = 50,
) -> PageBody[DeliveryBody]:
    """What it was told, or is to be; the newest first."""
    await webhooks.found(console, webhook_id)
    try:
        page = await console.desk.deliveries(webhook_id, state, cursor, limit)
    except QueryError as error:
        raise Problem(422, error) from error
    return PageBody(items=[DeliveryBody.of(each) for each in page.items], next=page.next)


@router.get("/{webhook_id}/deliveries/{message_id}", responses=problems(404))
async def get_delivery(
    console: Here, person: Admin, webhook_id: Id, message_id: Id
) -> DeliveryBody:
    """One of them."""
    found = await console.desk.delivery(webhook_id, message_id)
    if found is None:
        raise Problem(404, "there is no such delivery")
    return DeliveryBody.of(found)


@router.post(
    "/{webhook_id}/deliveries/{message_id}/replay", status_code=202, responses=problems(404, 409)
)
async def replay_delivery(
    console: Here, person: Admin, webhook_id: Id, message_id: Id
) -> ReplayedBody:
    """Send a dead letter again, under its old id."""
    return ReplayedBody(replayed=await webhooks.replay(console, person, webhook_id, message_id))


@router.post("/{webhook_id}/replay", status_code=202, responses=problems(404, 409))
async def replay_all(console: Here, person: Admin, webhook_id: Id) -> ReplayedBody:
    """Send all dead letters of an endpoint again."""
    return ReplayedBody(replayed=await webhooks.replay(console, person, webhook_id, None))
