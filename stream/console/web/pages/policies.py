"""Policies: what each rights holder wants to hear of, and what a change would have made of it."""

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from stream.admin.exclusions import exclusion_of, written
from stream.console.store.desk import Person
from stream.console.store.views import PolicyView
from stream.console.web.bounds import Cursor, Word
from stream.console.web.console import Console, Here
from stream.console.web.dry_run import DryRun, dry_run
from stream.console.web.pages.forms import Fields, Form
from stream.console.web.pages.render import render
from stream.console.web.problems import Problem
from stream.console.web.signin.rights import Admin, Viewer
from stream.contract.events import PolicyUpdated
from stream.errors import BadEventError, QueryError, SettingsError
from stream.texts import Text, text_of

router = APIRouter(include_in_schema=False)
NUMBERS = ("least_seconds", "least_score", "least_video_share", "least_reference_share")
SHARES = NUMBERS[1:]  # which people write in percent
DAYS = 7.0  # of a dry run, where nobody names others; set by hand


@dataclass(frozen=True)
class Filled:
    """The fields of the form, as text."""

    values: dict[str, str]

    @classmethod
    def of(cls, policy: PolicyUpdated | None) -> "Filled":
        """As a policy has them."""
        if policy is None:
            return cls({})
        shown = {name: getattr(policy, name) for name in NUMBERS}
        values = {
            # Twelve digits, since 100 * 0.07 is 7.000000000000001.
            name: f"{100 * value if name in SHARES else value:.12g}"
            for name, value in shown.items()
            if value is not None
        }
        if policy.alerts_per_hour is not None:
            values["alerts_per_hour"] = str(policy.alerts_per_hour)
        values["licensed"] = "\n".join(policy.licensed_owner_ids)
        values["exclusions"] = "\n".join(written(each) for each in policy.exclusions)
        return cls(values)

    def get(self, name: str) -> str:
        """The text of a field."""
        return self.values.get(name, "")


@router.get("/policies")
async def page(request: Request, console: Here, person: Viewer, cursor: Cursor = None) -> Response:
    """Policies that hold, by rights holder."""
    try:
        found = await console.queries.policies(cursor)
    except QueryError as error:
        raise Problem(422, error) from error
    return render(request, "policies.html", page=found)


@router.get("/policies/edit")
async def edit(
    request: Request,
    console: Here,
    person: Viewer,
    owner: Annotated[str, Query(min_length=1, max_length=512)],
    said: Word = "",
) -> Response:
    """The policy of a rights holder, in a form."""
    found = await console.queries.policy(owner)
    policy = None if found is None else found.policy
    return _form(request, console, owner, Filled.of(policy), _tag(found), said=said)


@router.post("/policies/edit")
async def save(request: Request, console: Here, person: Admin, form: Form) -> Response:
    """Try a policy, save it, or take it back."""
    owner, tag = form.get("owner") or "", form.get("etag") or ""
    if not owner:
        raise Problem(422, "expected the owner id of a rights holder")
    filled = Filled({name: next(iter(form.all(name)), "") for name in FIELDS})
    removes = form.get("do") == "remove"
    try:
        policy = None if removes else policy_of(owner, form)
    except (BadEventError, SettingsError, Problem) as error:
        told = error.detail if isinstance(error, Problem) else text_of(error)
        return _form(request, console, owner, filled, tag, problem=told, status=422)
    if form.get("do") == "try":
        days = form.number("days")
        if days is None or not 0 < days <= 366:
            raise Problem(422, "expected 1 to 366 days")
        result = await dry_run(console, owner, policy, days)
        return _form(request, console, owner, filled, tag, result=result)
    async with console.policies():
        if _tag(await console.queries.policy(owner)) != tag:
            told = Text("the policy has changed since it was read: read it again")
            return _form(request, console, owner, filled, tag, problem=told, status=412)
        await _write(console, person, owner, policy, form.get("note"))
    said = "removed" if removes else "saved"
    return RedirectResponse(f"/policies/edit?{urlencode({'owner': owner, 'said': said})}", 303)


FIELDS = (*NUMBERS, "alerts_per_hour", "licensed", "exclusions", "days", "note")


def policy_of(owner: str, form: Fields) -> PolicyUpdated:
    """The policy in a form.

    Raises:
        Problem: what should be a number is none.
        SettingsError: an exclusion isn't written as it should be.
        BadEventError: it is no policy.
    """
    fields: dict[str, Any] = {"owner_id": owner}
    for name in NUMBERS:
        if (value := form.number(name)) is not None:
            fields[name] = value / 100 if name in SHARES else value
    if (hourly := form.number("alerts_per_hour")) is not None:
        # What is no whole number goes on as it is, and the contract says what it expects.
        fields["alerts_per_hour"] = int(hourly) if hourly.is_integer() else hourly
    fields["licensed_owner_ids"] = _lines(form, "licensed")
    fields["exclusions"] = [exclusion_of(line) for line in _lines(form, "exclusions")]
    return PolicyUpdated.from_json(fields)


def _lines(form: Fields, name: str) -> list[str]:
    text = next(iter(form.all(name)), "")
    return [line.strip() for line in text.splitlines() if line.strip()]


async def _write(
    console: Console, person: Person, owner: str, policy: PolicyUpdated | None, note: str | None
) -> None:
    if policy is None:
        places = await console.kafka.remove_policy(owner)
    else:
        places = await console.kafka.say([policy])
    action = "remove policy" if policy is None else "set policy"
    detail = {} if policy is None else policy.model_dump(mode="json", exclude_none=True)
    # Before the wait: whoever cuts that short leaves no policy without its line.
    await console.note(person.name, action, owner, note, detail)
    await console.come_back(places)


def _form(
    request: Request,
    console: Console,
    owner: str,
    filled: Filled,
    tag: str,
    *,
    problem: str | None = None,
    result: DryRun | None = None,
    said: str = "",
    status: int = 200,
) -> Response:
    return render(
        request,
        "policy.html",
        status=status,
        owner=owner,
        filled=filled,
        tag=tag,
        problem=problem,
        result=result,
        said=said,
        days=filled.get("days") or f"{DAYS:g}",
        defaults=Filled.of(
            PolicyUpdated.model_validate(
                {"owner_id": owner}
                | console.settings.policy.model_dump(include={*NUMBERS, "alerts_per_hour"})
            )
        ),
    )


def _tag(found: PolicyView | None) -> str:
    """What names the state that was read; nothing where there never was a policy."""
    return "" if found is None else found.etag
