"""Templates to pages: the words of the reader's language, and nothing that isn't escaped."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

from babel.dates import format_datetime
from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from stream.console.store.views import Order, State, VideoView
from stream.console.web.console import console_of
from stream.console.web.signin.gate import SignedIn
from stream.console.web.signin.rights import RANKS, has_scope
from stream.console.web.words import ENGLISH, NAMES, Words, chosen_language, words_of
from stream.contract.events import MatchedSegment
from stream.texts import percent

FOLDER = Path(__file__).parent / "templates"
THEMES = ("light", "dark")
Side = Literal["video", "reference"]
STATE_NAMES: dict[State, str] = {
    "open": "open",
    "held": "held",
    "confirmed": "confirmed",
    "dismissed": "dismissed",
    "suppressed": "suppressed",
}
ORDER_NAMES: dict[Order, str] = {
    "newest": "newest first",
    "longest": "longest first",
    "surest": "surest first",
}
SCOPE_NAMES = {
    "alert": "this alert alone",
    "pair": "this pair of videos",
    "span": "these seconds of the reference",
    "uploader": "this uploader, for this rights holder",
}
REASON_NAMES = {
    "same_owner": "same owner",
    "licensed": "licensed uploader",
    "dismissed": "dismissed by a person",
    "excluded": "excluded seconds",
    "low_score": "score below the minimum",
    "too_short": "shorter than the minimum",
    "too_small_share": "smaller share than the minimum",
    "held": "held for review",
}
OUTCOME_NAMES = {
    "undecided": "undecided",
    "matched": "matched",
    "clear": "clear",
    "rejected": "rejected",
    "unknown": "unknown",
}
STATUS_NAMES = {"live": "in the library", "taken_down": "taken down", "unknown": "unknown"}
ROLE_NAMES = {"upload": "upload", "reference": "reference"}
STEP_NAMES = {"submitted": "submitted", "fingerprinted": "fingerprinted", "decided": "decided"}
VERDICT_NAMES = {"confirmed": "confirmed", "dismissed": "dismissed", "withdrawn": "withdrawn"}


@cache
def templates() -> Environment:
    """All templates. A name that a page doesn't give is an error, not an empty place."""
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"clock": clock, "drawn": drawn, "plays": plays_seconds}
    made.filters["percent"] = percent
    made.filters["query"] = lambda values: urlencode(
        {name: value for name, value in values.items() if value not in (None, "")}
    )
    return made


def language_of(request: Request) -> str:
    """That the reader chose, or whose browser likes it best."""
    return chosen_language(
        request.cookies.get("lang"),
        request.headers.get("accept-language"),
        console_of(request).settings.console.languages,
    )


def words_for(request: Request) -> Words:
    """The words of the reader's language."""
    return words_of(language_of(request))


def words_for_machine(request: Request) -> Words:
    """The same for the API: English, unless the request says which language it wants."""
    offered = (ENGLISH, *console_of(request).settings.console.languages)
    asked = request.cookies.get("lang"), request.headers.get("accept-language")
    return words_of(chosen_language(*asked, offered))


def render(
    request: Request,
    name: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **values: Any,
) -> HTMLResponse:
    """A page.

    Args:
        request: that it answers.
        name: of the template.
        status: of the answer.
        headers: the same.
        **values: that the template needs beside those of every page.
    """
    t, console = words_for(request), console_of(request)
    own = console.settings.console
    signed_in: SignedIn | None = getattr(request.state, "signed_in", None)
    theme = request.cookies.get("theme")
    text = templates().get_template(name).render(
        t=t,
        lang=t.language,
        languages={tag: NAMES[tag] for tag in own.languages},
        theme=theme if theme in THEMES else "auto",
        keys="off" if request.cookies.get("keys") == "off" else "on",
        here=_here(request),
        path=request.url.path,
        person=None if signed_in is None else signed_in.person,
        may_review=signed_in is not None
        and RANKS[signed_in.person.role] >= RANKS["reviewer"],
        may_look=signed_in is not None and RANKS[signed_in.person.role] >= RANKS["viewer"],
        is_admin=signed_in is not None and signed_in.person.role == "admin",
        may_webhooks=signed_in is not None and has_scope(signed_in.person, "webhooks"),
        takes_files=console.match_store is not None,
        csrf="" if signed_in is None else signed_in.form_token,
        when=lambda instant: _when(instant, t.language),
        state_names=STATE_NAMES,
        order_names=ORDER_NAMES,
        scope_names=SCOPE_NAMES,
        reason_names=REASON_NAMES,
        verdict_names=VERDICT_NAMES,
        outcome_names=OUTCOME_NAMES,
        role_names=ROLE_NAMES,
        status_names=STATUS_NAMES,
        previews=own.previews,
        **values,
    )  # fmt: skip
    return HTMLResponse(text, status, dict(headers or {}) | {"Content-Language": t.language})


def _here(request: Request) -> str:
    """The page to come back to; what answers a form may be no page by itself."""
    if request.method != "GET":
        return "/queue"
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def render_problem(
    request: Request, status: int, detail: str, headers: Mapping[str, str]
) -> HTMLResponse:
    """The page of an error."""
    title = HTTPStatus(status).phrase
    return render(
        request, "problem.html", status=status, headers=headers, title=title, detail=detail
    )


def local(target: str | None, otherwise: str = "/queue") -> str:
    """A target of a redirect, if it is a page of ours."""
    # Browsers read `\` as `/`, and drop tabs and line ends: `/<tab>/evil.example` is a host.
    plain = target is not None and target.isprintable() and "\\" not in target
    if target is None or not plain or not target.startswith("/") or target.startswith("//"):
        return otherwise
    return target


def clock(seconds: float) -> str:
    """A time in a video, for people: `1:02:03.4`, `12.5`."""
    tenths = round(max(0.0, seconds) * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    tail = f"{rest // 10:02d}.{rest % 10}"
    return f"{hours}:{minutes:02d}:{tail}" if hours else f"{minutes}:{tail}"


def plays_seconds(segments: Sequence[MatchedSegment], side: Side, video: VideoView | None) -> float:
    """How long a video plays; as far as its last copied second where less, or nothing, is known."""
    known = 0.0 if video is None else video.duration_seconds or 0.0
    return max(known, *(float(getattr(each, f"{side}_end_seconds")) for each in segments))


def drawn(
    segments: Sequence[MatchedSegment], side: Side, seconds: float
) -> list[tuple[float, float]]:
    """Where segments begin on a bar that is 1000 wide, and how wide they are: enough to be seen."""
    spans = (
        (getattr(each, f"{side}_start_seconds"), getattr(each, f"{side}_end_seconds"))
        for each in segments
    )
    return [
        (round(1000 * start / seconds, 1), round(max(6, 1000 * (end - start) / seconds), 1))
        for start, end in spans
    ]


def _when(instant: datetime, language: str) -> str:
    return f"{format_datetime(instant.astimezone(UTC), 'medium', locale=language)} UTC"
