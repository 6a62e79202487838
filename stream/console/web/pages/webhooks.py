"""Webhooks: who is told what happens, made and changed by admins, and what didn't arrive."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from stream.console.store.deliveries import DELIVERY_STATES, DeliveryState
from stream.console.store.desk import Person
from stream.console.store.outbox import KINDS
from stream.console.web import webhooks
from stream.console.web.bounds import Cursor, PathId, Word
from stream.console.web.console import Console, Here
from stream.console.web.pages.forms import Fields, Form
from stream.console.web.pages.render import render
from stream.console.web.problems import Problem
from stream.console.web.signin.rights import WebhooksAdmin
from stream.errors import QueryError
from stream.texts import read_text

router = APIRouter(include_in_schema=False)
TEST_SECONDS = 3.0  # that the page waits for how a test went; the table shows it later
URL_LETTERS, OWNER_LETTERS = 2048, 512
SHOWN_FIRST: DeliveryState = "dead"


@router.get("/webhooks")
async def page(request: Request, console: Here, person: WebhooksAdmin) -> Response:
    """All endpoints, and a form for a new one."""
    return await _list(request, console, {})


@router.post("/webhooks")
async def make(request: Request, console: Here, person: WebhooksAdmin, form: Form) -> Response:
    """Make an endpoint: the answer shows its secret, and nothing does later."""
    try:
        fields = _fields(form)
        shown = await webhooks.make(console, person, **fields)
    except Problem as error:
        filled = {"url": form.get("url") or "", "kinds": form.all("kinds")} | {
            name: form.get(name) or "" for name in ("owners", "description")
        }
        return await _list(request, console, filled, error.detail, error.status_code)
    return await _one(request, console, shown.webhook.webhook_id, secret=shown.secret)


@router.get("/webhooks/{webhook_id}")
async def one(
    request: Request,
    console: Here,
    person: WebhooksAdmin,
    webhook_id: PathId,
    state: DeliveryState = SHOWN_FIRST,
    cursor: Cursor = None,
    said: Word = "",
) -> Response:
    """One endpoint, and what it was told or is to be."""
    return await _one(request, console, webhook_id, state, cursor, said)


@router.post("/webhooks/{webhook_id}")
async def act(
    request: Request, console: Here, person: WebhooksAdmin, webhook_id: PathId, form: Form
) -> Response:
    """Do what the pressed button says."""
    do = form.get("do") or ""
    if do == "secret":
        shown = await webhooks.new_secret(console, person, webhook_id)
        return await _one(request, console, webhook_id, secret=shown.secret)
    try:
        said = await _done(console, person, webhook_id, do, form)
    except Problem as error:
        if error.status_code == 404:
            raise
        return await _one(
            request, console, webhook_id, problem=error.detail, status=error.status_code
        )
    return RedirectResponse(said, 303)


async def _done(console: Console, person: Person, webhook_id: str, do: str, form: Fields) -> str:
    """Do it; where the page is that shows it."""
    here = f"/webhooks/{webhook_id}"
    if do == "delete":
        await webhooks.delete(console, person, webhook_id)
        return "/webhooks"
    if do in ("enable", "disable"):
        await webhooks.change(console, person, webhook_id, {"enabled": do == "enable"})
        return f"{here}?said=saved"
    if do == "test":
        test = await webhooks.send_test(console, person, webhook_id)
        test = await webhooks.outcome(console, test, TEST_SECONDS)
        return f"{here}?said=test-{test.state}&state={test.state}"
    if do == "replay":
        await webhooks.replay(console, person, webhook_id, form.get("message"))
        return f"{here}?said=replayed&state=waiting"
    if do != "save":
        raise Problem(422, "expected a button of the page")
    await webhooks.change(console, person, webhook_id, _fields(form))
    return f"{here}?said=saved"


def _fields(form: Fields) -> dict[str, Any]:
    """What the form says of an endpoint.

    Raises:
        Problem: an owner id or the address is too long.
    """
    owners = [line.strip() for line in (form.get("owners") or "").splitlines() if line.strip()]
    url = form.get("url") or ""
    if len(url) > URL_LETTERS or any(len(owner) > OWNER_LETTERS for owner in owners):
        raise Problem(422, "an owner id or the address is too long")
    return {
        "url": url,
        "kinds": form.all("kinds"),
        "owner_ids": owners or None,
        "description": form.get("description"),
    }


async def _list(
    request: Request, console: Console, filled: dict[str, Any], problem: str = "", status: int = 200
) -> Response:
    return render(
        request,
        "webhooks.html",
        status=status,
        webhooks=await console.desk.webhooks(),
        kinds=KINDS,
        filled=filled,
        problem=problem,
    )


async def _one(
    request: Request,
    console: Console,
    webhook_id: str,
    state: DeliveryState = SHOWN_FIRST,
    cursor: str | None = None,
    said: str = "",
    *,
    secret: str = "",
    problem: str = "",
    status: int = 200,
) -> Response:
    webhook = await webhooks.found(console, webhook_id)
    try:
        deliveries = await console.desk.deliveries(webhook_id, state, cursor)
    except QueryError as error:
        raise Problem(422, error) from error
    return render(
        request,
        "webhook.html",
        status=status,
        webhook=webhook,
        why=lambda said: read_text(said, webhooks.WHYS),
        live_secrets=webhook.live_secrets(console.clock()),
        page=deliveries,
        state=state,
        states=DELIVERY_STATES,
        kinds=KINDS,
        secret=secret,
        said=said,
        problem=problem,
    )
