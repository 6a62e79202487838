"""Policies: what each rights holder wants to hear of. A write replaces a whole policy."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import JSONResponse, Response

from stream.console.store.desk import Person
from stream.console.store.views import PolicyView
from stream.console.web.api.bodies import PageBody
from stream.console.web.api.common import Key, Limit, Note, Written, once, problems
from stream.console.web.api.conditional import IfNoneMatch, answered, names, tagged
from stream.console.web.api.policy_bodies import DryRunBody, PolicyBody, RulesBody, TrialBody
from stream.console.web.bounds import Cursor, PathId
from stream.console.web.console import Console, Here, after_writing
from stream.console.web.dry_run import dry_run
from stream.console.web.problems import Problem
from stream.console.web.signin.rights import at_least, visible_to
from stream.contract.events import PolicyUpdated
from stream.errors import BadEventError, QueryError
from stream.texts import Text

router = APIRouter(prefix="/api/v1/policies", tags=["policies"])
# Not below `/policies/`, where every path is the id of a rights holder.
trials = APIRouter(prefix="/api/v1/policy-dry-runs", tags=["policies"])
Reader = Annotated[Person, Depends(at_least("holder", "policies"))]
AllReader = Annotated[Person, Depends(at_least("viewer", "policies"))]
Editor = Annotated[Person, Depends(at_least("admin", "policies"))]
IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="The ETag of the policy that was read; `*` whatever it is. Without it, there "
        "may be none yet",
    ),
]
READ_FIRST = Text("there is a policy already: read it, and send its ETag as If-Match")
CHANGED = Text("the policy has changed since it was read: read it again")


@router.get("", responses=problems())
async def list_policies(
    console: Here, person: AllReader, cursor: Cursor = None, limit: Limit = 50
) -> PageBody[PolicyBody]:
    """Policies that hold, by rights holder."""
    try:
        page = await console.queries.policies(cursor, limit)
    except QueryError as error:
        raise Problem(422, error) from error
    items = [PolicyBody.of(each, each.policy) for each in page.items if each.policy is not None]
    return PageBody(items=items, next=page.next)


@router.get("/{owner_id:path}", response_model=PolicyBody, responses=problems(404) | tagged())
async def get_policy(
    console: Here, person: Reader, owner_id: PathId, if_none_match: IfNoneMatch = None
) -> Response:
    """A rights holder's policy, with an ETag to change it by."""
    mine = visible_to(person)
    found = await console.queries.policy(owner_id) if mine is None or owner_id in mine else None
    if found is None or found.policy is None:
        raise Problem(404, "this rights holder has no policy: what the settings say holds")
    return answered(PolicyBody.of(found, found.policy), if_none_match, tag=_tag(found))


@router.put(
    "/{owner_id:path}", response_model=PolicyBody, responses=problems(404, 409, 412, 428, 503)
)
async def set_policy(
    request: Request,
    console: Here,
    person: Editor,
    owner_id: PathId,
    body: RulesBody,
    if_match: IfMatch = None,
    key: Key = None,
    note: Note = None,
) -> Response:
    """Replace a rights holder's whole policy."""
    fields = body.model_dump(mode="json", exclude_none=True) | {"owner_id": owner_id}
    try:
        policy = PolicyUpdated.from_json(fields)
    except BadEventError as error:
        raise Problem(422, error) from error

    async def write() -> Written:
        async with console.policies():
            await _check_match(console, owner_id, if_match)
            places = await console.kafka.say([policy])
            # Before the wait: whoever cuts that short leaves no policy without its line.
            await console.note(person.name, "set policy", owner_id, note, fields)
            # Within the lock: the next who gets it compares with the rows.
            await console.come_back(places)
        found = None
        with after_writing("reading the policy's row"):
            found = await console.queries.policy(owner_id)
        headers = {} if found is None else {"ETag": _tag(found)}
        said_at = console.clock() if found is None else found.said_at
        answer = PolicyBody(owner_id=owner_id, policy=RulesBody.of(policy), said_at=said_at)
        return Written(JSONResponse(answer.model_dump(mode="json"), headers=headers))

    return await once(request, person, key, write)


@router.delete("/{owner_id:path}", status_code=204, responses=problems(404, 409, 412, 428, 503))
async def remove_policy(
    request: Request,
    console: Here,
    person: Editor,
    owner_id: PathId,
    if_match: IfMatch = None,
    key: Key = None,
    note: Note = None,
) -> Response:
    """Take a rights holder's policy back; what the settings say holds then."""

    async def write() -> Written:
        found = await console.queries.policy(owner_id)
        if found is None or found.policy is None:
            raise Problem(404, "this rights holder has no policy")
        async with console.policies():
            await _check_match(console, owner_id, if_match)
            places = await console.kafka.remove_policy(owner_id)
            await console.note(person.name, "remove policy", owner_id, note)
            await console.come_back(places)
        return Written(Response(status_code=204))

    return await once(request, person, key, write)


@trials.post("", responses=problems())
async def dry_run_policy(console: Here, person: AllReader, body: TrialBody) -> DryRunBody:
    """What a policy would have made of the last days' alerts; nothing is changed."""
    fields = body.policy.model_dump(mode="json", exclude_none=True) | {"owner_id": body.owner_id}
    try:
        policy = PolicyUpdated.from_json(fields)
    except BadEventError as error:
        raise Problem(422, error) from error
    found = await dry_run(console, body.owner_id, policy, body.days)
    names = DryRunBody.model_fields
    return DryRunBody.model_validate({name: getattr(found, name) for name in names})


async def _check_match(console: Console, owner_id: str, if_match: str | None) -> None:
    """Whether whoever writes has read what they replace.

    Raises:
        Problem: 428 where they don't say, 412 where it has changed.
    """
    found = await console.queries.policy(owner_id)
    holds = found is not None and found.policy is not None
    if if_match is None:
        if holds:
            raise Problem(428, READ_FIRST)
        return
    if if_match.strip() == "*":
        if not holds:
            raise Problem(412, "there is no policy to replace")
        return
    if found is None or not names(if_match, _tag(found)):
        raise Problem(412, CHANGED)


def _tag(policy: PolicyView) -> str:
    return f'"{policy.etag.strip(chr(34))}"'
