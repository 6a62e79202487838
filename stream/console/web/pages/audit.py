"""Who wrote what, when and why."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from stream.console.web.bounds import Cursor, Id
from stream.console.web.console import Here
from stream.console.web.pages.render import SCOPE_NAMES, VERDICT_NAMES, render, words_for
from stream.console.web.problems import Problem
from stream.console.web.signin.rights import RANKS, Admin
from stream.console.web.words import Words
from stream.errors import QueryError

router = APIRouter(include_in_schema=False)
ACTIONS = (
    "confirmed", "dismissed", "withdrawn", "verdicts on several alerts", "take", "give back",
    "submit upload", "submit reference", "take down", "take down in part", "replay",
    "set policy", "remove policy", "sign in", "make token", "revoke token",
    "make webhook", "change webhook", "delete webhook", "new secret of webhook", "test webhook",
    "replay webhook", "disable webhook",
)  # fmt: skip
"""What lines say was done; one that isn't here is shown in English."""
DETAIL_NAMES = {
    "scope": "Scope",
    "reference_start_seconds": "Seconds of the reference, from",
    "reference_end_seconds": "to",
    "video_id": "Upload",
    "reference_id": "Reference",
    "alert_ids": "Alerts",
    "verdict": "Verdict",
    "request_id": "Request",
    "letter": "Dead letter",
    "error": "Error",
    "owner_id": "Rights holder",
    "least_seconds": "Least seconds",
    "least_video_share": "Least share of the upload",
    "least_reference_share": "Least share of the reference",
    "least_score": "Least score",
    "alerts_per_hour": "Alerts an hour",
    "licensed_owner_ids": "Licensed uploaders",
    "exclusions": "Exclusions",
    "role": "Role",
    "issuer": "Issuer",
    "subject": "Subject",
    "name": "Name",
    "scopes": "Scopes",
    "days": "Days",
    "owner_ids": "Rights holders",
    "url": "Address",
    "kinds": "What it is told",
    "enabled": "Switched on",
    "number": "Number",
    "message_id": "Message",
}
"""What the fields of a line's detail are called; one that isn't here, by its own name."""
VALUE_NAMES: dict[str, Mapping[str, str]] = {
    "scope": SCOPE_NAMES,
    "verdict": VERDICT_NAMES,
    "role": {role: role for role in RANKS},
}


@router.get("/audit")
async def page(
    request: Request,
    console: Here,
    admin: Admin,
    person: Id = "",
    about: Id = "",
    cursor: Cursor = None,
) -> Response:
    """Lines of the audit log, the newest first."""
    try:
        found = await console.desk.audit(person or None, about or None, cursor)
    except QueryError as error:
        raise Problem(422, error) from error
    t = words_for(request)
    return render(
        request,
        "audit.html",
        page=found,
        who=person,
        about=about,
        told=lambda detail: [*_told(detail, t)],
    )


def _told(detail: Mapping[str, Any], t: Words) -> Iterator[tuple[str, str]]:
    """The detail of a line as people read it, by names."""
    for name, value in detail.items():
        if value is None or value == []:
            continue
        text, names = _text(value), VALUE_NAMES.get(name, {})
        yield t(DETAIL_NAMES.get(name, name)), t(names[text]) if text in names else text


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, dict):
        return " ".join(f"{name}={_text(each)}" for name, each in value.items())
    return value if isinstance(value, str) else json.dumps(value)
