"""What each role may: routes name the least role, and see only what a rights holder may see."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request

from stream.console.store.desk import Person, Role
from stream.console.web.problems import Problem
from stream.console.web.signin.gate import SignedIn
from stream.texts import Text

RANKS: dict[Role, int] = {"holder": 0, "viewer": 1, "reviewer": 2, "admin": 3}
"""Each role may what those below may; a rights holder sees only what is about their references."""
SCOPES = ("pages", "alerts", "uploads", "references", "policies", "matches", "webhooks")
"""What a token may be bound to: the pages, and the nouns of the API."""


def signed_in(request: Request) -> SignedIn:
    """Who asks."""
    found = request.state.signed_in
    assert isinstance(found, SignedIn), "the gate let a stranger through"
    return found


def at_least(role: Role, *nouns: str) -> Callable[[Request], Awaitable[Person]]:
    """A dependency: somebody with that role or more, whose token may touch these nouns."""

    async def person_of(request: Request) -> Person:
        person = signed_in(request).person
        for noun in nouns:
            _scoped(person, noun)
        _ranked(person, role)
        return person

    return person_of


def has_scope(person: Person, noun: str) -> bool:
    """Whether a token may touch that noun, or a session that was begun by it."""
    return person.scopes is None or noun in person.scopes


def _scoped(person: Person, noun: str) -> None:
    if not has_scope(person, noun):
        raise Problem(
            403, Text("this token may not touch {noun}: make one with that scope", noun=noun)
        )


def _ranked(person: Person, least: Role) -> None:
    if RANKS[person.role] < RANKS[least]:
        raise Problem(
            403,
            Text(
                "{name} is {role}, expected {least} or more",
                name=person.name,
                role=Text(person.role),
                least=Text(least),
            ),
        )


def may_fetch(person: Person) -> None:
    """Whoever has the service fetch something by its address is a reviewer or more.

    Raises:
        Problem: 403.
    """
    _ranked(person, "reviewer")


def visible_to(person: Person) -> tuple[str, ...] | None:
    """The rights holders whose alerts somebody sees; None is all."""
    return person.owner_ids if person.role == "holder" else None


Looker = Annotated[Person, Depends(at_least("holder", "pages"))]
"""Whoever may look at alerts on pages."""
Viewer = Annotated[Person, Depends(at_least("viewer", "pages"))]
"""Whoever may look at everything."""
Reviewer = Annotated[Person, Depends(at_least("reviewer", "pages"))]
"""Whoever may give verdicts on pages."""
Admin = Annotated[Person, Depends(at_least("admin", "pages"))]
"""Whoever may change on pages what holds for everybody."""
WebhooksAdmin = Annotated[Person, Depends(at_least("admin", "pages", "webhooks"))]
"""The same of webhooks: tokens from before there were any may not touch them."""
