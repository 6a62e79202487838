"""The queue: alerts grouped by upload, with filters, claims, verdicts on many at once, and undo."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from stream.console.store.desk import Person
from stream.console.store.views import STATES, AlertFilter, AlertView, Order, State
from stream.console.web.bounds import Cursor, Id, Word
from stream.console.web.claims import give_back, note_claims, take
from stream.console.web.console import Console, Here
from stream.console.web.pages.forms import Fields, Form
from stream.console.web.pages.render import local, render
from stream.console.web.problems import Problem
from stream.console.web.signin.rights import Looker, Reviewer, visible_to
from stream.console.web.verdicts import Given, Said, before, give, given_as
from stream.contract.events import Scope
from stream.errors import QueryError, SettingsError
from stream.texts import Text

router = APIRouter(include_in_schema=False)
GROUPS = 20  # uploads on a page; set by hand
ALERTS_EACH = 8  # of an upload; the others are on a page of their own
MAX_AT_ONCE = 500  # alerts that one form judges; set by hand
CLAIMED = ("nobody", "me", "others")
NOTICE = ("said", "number", "taken", "refused", "undo")  # of an address: what has just been done


@dataclass(frozen=True)
class View:
    """What part of the queue is looked at: all of it stands in the address.

    Attributes:
        score: least, in percent.
        days: raised within so many.
    """

    state: State = "open"
    sort: Order = "newest"
    owner: str | None = None
    reference: str | None = None
    video: str | None = None
    score: float | None = None
    days: float | None = None
    claimed: str | None = None

    @classmethod
    def of(cls, fields: Fields) -> "View":
        """The view of an address.

        Raises:
            Problem: a number is none.
        """
        state, sort, claimed = (fields.get(name) for name in ("state", "sort", "claimed"))
        days, score = fields.number("days"), fields.number("score")
        # Any number could lead out of the calendar: a 500 for an address that somebody made up.
        for name, number, most in (("days", days, 36500), ("score", score, 100)):
            if number is not None and not 0 <= number <= most:
                told = "{name} = {number}: expected 0 to {most}"
                raise Problem(422, Text(told, name=name, number=f"{number:g}", most=most))
        return cls(
            state=next((each for each in STATES if each == state), "open"),
            sort=next((each for each in get_args(Order) if each == sort), "newest"),
            owner=fields.get("owner"),
            reference=fields.get("reference"),
            video=fields.get("video"),
            score=score,
            days=days,
            claimed=claimed if claimed in CLAIMED else None,
        )

    def filter(self, console: Console, person: Person) -> AlertFilter:
        """The same, as the read model is asked."""
        claimed: Any = self.claimed
        return AlertFilter(
            states=(self.state,),
            owner_id=self.owner,
            reference_id=self.reference,
            video_id=self.video,
            visible_owner_ids=visible_to(person),
            min_score=None if self.score is None else self.score / 100,
            within=None if self.days is None else timedelta(days=self.days),
            claimed=claimed,
            reviewer=person.name,
            now=console.clock(),
        )

    def query(self, **changes: object) -> str:
        """The address' query, with some of it changed."""
        usual = View()
        values = vars(self) | changes
        said = {
            name: f"{value:g}" if isinstance(value, float) else value
            for name, value in values.items()
            if value not in (None, "") and value != getattr(usual, name, None)
        }
        return urlencode(said)


async def view_of(
    state: Word = "",
    sort: Word = "",
    owner: Id = "",
    reference: Id = "",
    video: Id = "",
    score: Word = "",
    days: Word = "",
    claimed: Word = "",
) -> View:
    """The part of the queue that an address names."""
    said = {
        "state": state, "sort": sort, "owner": owner, "reference": reference,
        "video": video, "score": score, "days": days, "claimed": claimed,
    }  # fmt: skip
    return View.of(Fields({name: [value] for name, value in said.items()}))


async def notice_of(
    said: Word = "", number: Word = "", taken: Word = "", refused: Word = "", undo: Id = ""
) -> dict[str, str] | None:
    """What has just been done, as the address tells it."""
    if not said:
        return None
    return dict(zip(NOTICE, (said, number, taken, refused, undo), strict=True))


Looked = Annotated[View, Depends(view_of)]
Noticed = Annotated[dict[str, str] | None, Depends(notice_of)]


@router.get("/")
async def root() -> Response:
    """The queue is where work begins."""
    return RedirectResponse("/queue", 303)


@router.get("/queue")
async def queue(
    request: Request,
    console: Here,
    person: Looker,
    view: Looked,
    notice: Noticed,
    cursor: Cursor = None,
) -> Response:
    """A page of the queue."""
    try:
        found = await console.queries.queue(
            view.filter(console, person),
            view.sort,
            cursor,
            GROUPS,
            ALERTS_EACH,
        )
    except QueryError as error:
        raise Problem(422, error) from error
    return render(
        request,
        "queue.html",
        view=view,
        page=found,
        references=found.references,
        numbers=found.numbers,
        notice=notice,
        now=console.clock(),
    )


@router.get("/queue/numbers")
async def numbers(request: Request, console: Here, person: Looker, view: Looked) -> Response:
    """How many alerts are in each state: asked for again and again by an open queue."""
    found = await console.queries.alert_numbers(visible_to(person))
    return render(request, "states.html", view=view, numbers=found)


@router.post("/queue/next")
async def take_next(console: Here, person: Reviewer, form: Form) -> Response:
    """Take the first alert that nobody works on, and open it."""
    view = View.of(form)
    async with console.desk.together():
        found = await console.desk.claim_next(
            person.name,
            console.clock(),
            view.filter(console, person),
            view.sort,
            1,
            console.settings.console.claim_seconds,
        )
        await note_claims(console, person, "take", [each.alert_id for each in found])
    if not found:
        return RedirectResponse(f"/queue?{view.query()}&said=none", 303)
    return RedirectResponse(f"/alerts/{found[0].alert_id}?{view.query()}", 303)


@router.post("/queue/claim")
async def claim(console: Here, person: Reviewer, form: Form) -> Response:
    """Take the chosen alerts, or give them back."""
    if not form.all("alert"):
        return back_with(form, said="nothing")
    alerts = await chosen(console, person, form)
    ids = [alert.alert_id for alert in alerts]
    if form.get("claim") == "release":
        await give_back(console, person, ids)
        return back_with(form, said="released")
    mine = await take(console, person, ids)
    return back_with(form, said="claimed" if mine else "taken", taken=len(ids) - len(mine))


@router.post("/queue/verdicts")
async def verdicts(console: Here, person: Reviewer, form: Form) -> Response:
    """One verdict on all alerts that are chosen."""
    if not form.all("alert"):
        return back_with(form, said="nothing")
    alerts = await chosen(console, person, form)
    given = await give_verdict(console, person, alerts, said_in(form))
    return back_with(
        form,
        said=form.get("verdict") if given.alert_ids else "taken",
        number=len(given.alert_ids),
        taken=len(given.taken),
        refused=len(given.refused),
        undo=given.undo,
    )


@router.post("/undo")
async def undo(console: Here, person: Reviewer, form: Form) -> Response:
    """Take back what was just said: what was said before holds again."""
    reviews = await given_as(console, form.get("undo") or "")
    if not reviews:
        raise Problem(404, "this verdict is not in the rows, or not yet: look at the alert again")
    again: dict[Said, list[str]] = {}
    for review in reviews:
        said = await before(console, review)
        if said is not None:
            again.setdefault(said, []).append(review.alert_id)
    number = taken = refused = 0
    for said, ids in again.items():
        given = await give_verdict(console, person, await _alerts(console, person, ids), said)
        number, taken = number + len(given.alert_ids), taken + len(given.taken)
        refused += len(given.refused)
    word = "withdrawn" if all(said.verdict == "withdrawn" for said in again) else "undone"
    word = word if number else "taken" if taken else "since"
    return back_with(form, said=word, number=number, taken=taken, refused=refused)


async def chosen(console: Console, person: Person, form: Fields) -> list[AlertView]:
    """The alerts whose boxes are ticked.

    Raises:
        Problem: none, or too many.
    """
    ids = list(dict.fromkeys(form.all("alert")))
    if not ids or len(ids) > MAX_AT_ONCE:
        raise Problem(
            422,
            Text(
                "{number} alerts are chosen, expected 1 to {most}",
                number=len(ids),
                most=MAX_AT_ONCE,
            ),
        )
    return await _alerts(console, person, ids)


async def _alerts(console: Console, person: Person, ids: list[str]) -> list[AlertView]:
    found = [await console.queries.alert(each, visible_to(person)) for each in ids]
    known = [alert for alert in found if alert is not None]
    if not known:
        raise Problem(404, "there is no such alert")
    return known


def said_in(form: Fields) -> Said:
    """The verdict of a form.

    Raises:
        Problem: it is none.
    """
    verdict, scope, note = form.get("verdict"), form.get("scope"), form.get("note")
    if verdict == "confirmed":
        return Said("confirmed", note=note)
    if verdict == "withdrawn":
        return Said("withdrawn", note=note)
    if verdict != "dismissed":
        raise Problem(422, "expected a verdict: confirmed, dismissed or withdrawn")
    known: Scope | None = next((each for each in get_args(Scope) if each == scope), None)
    if known is None:
        raise Problem(422, "expected how far the dismissal goes: alert, pair, span or uploader")
    start, end = form.number("start"), form.number("end")
    span = None if start is None or end is None else (start, end)
    # The fields stand there whatever is chosen.
    return Said("dismissed", known, span if known == "span" else None, note)


async def give_verdict(
    console: Console, person: Person, alerts: list[AlertView], said: Said
) -> Given:
    """As `give`; what can't be said is told to whoever filled in the form."""
    try:
        return await give(console, person, alerts, said, clicked=True)
    except SettingsError as error:
        raise Problem(422, error) from error


def back_with(form: Fields, **notice: object) -> Response:
    """To the page that sent the form, with what to say there."""
    page, _, query = local(form.get("back")).partition("?")
    kept = [each for each in query.split("&") if each and each.partition("=")[0] not in NOTICE]
    told = {name: value for name, value in notice.items() if value not in (None, 0)}
    return RedirectResponse(f"{page}?{'&'.join([*kept, urlencode(told)])}", 303)
