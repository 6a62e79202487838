"""`samesource token`: how machines, and people without another way, sign in to the console."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, Literal

import typer

from stream.cli.output import printable, stderr, stdout
from stream.errors import SettingsError

token_app = typer.Typer(
    help="Tokens of the console, for machines and people.", no_args_is_help=True
)
DAY_SECONDS = 86400.0


@token_app.command("create")
def create(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(help="Whose it is: stands beside what is written with it.")
    ],
    role: Annotated[
        Literal["holder", "viewer", "reviewer", "admin"], typer.Option(help="What it may.")
    ] = "viewer",
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="What it may touch: alerts, uploads, references, policies, matches, webhooks, or "
            "pages; repeatable. All by default."
        ),
    ] = None,
    owner: Annotated[
        list[str] | None,
        typer.Option(
            help="With `--role holder`: whose references' alerts it sees; repeatable, 50 at most."
        ),
    ] = None,
    days: Annotated[float, typer.Option(min=0.001, max=3650, help="Until it expires.")] = 90.0,
) -> None:
    """Make a token and print it, once: nobody can read it again."""
    from stream.console.store.sign_ins import MAX_OWNERS
    from stream.console.web.signin.rights import SCOPES
    from stream.times import now

    scopes = scope or list(SCOPES)
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown:
        raise SettingsError(f"no scope {', '.join(unknown)}; there are: {', '.join(SCOPES)}")
    if (role == "holder") != bool(owner):
        raise SettingsError("--role holder and --owner go together: a rights holder sees their own")
    owners = list(dict.fromkeys(owner or ()))
    if len(owners) > MAX_OWNERS:
        raise SettingsError(
            f"{len(owners)} owner ids, expected {MAX_OWNERS} at most: make several tokens"
        )

    async def make(desk: Any) -> Any:
        detail = {"name": name, "role": role, "scopes": scopes, "owner_ids": owners, "days": days}
        seconds = days * DAY_SECONDS
        async with desk.together():
            made = await desk.make_token(name, role, scopes, owners, _me(), now(), seconds)
            await desk.note(_me(), "make token", made[1].token_id, now(), detail=detail)
        return made

    secret, view = _asked(context, make)
    stderr.print(
        f"{view.token_id}: {role}, until {view.expires_at:%Y-%m-%d}. This is shown once:",
        markup=False,
    )
    # Alone on stdout, where a script can take it as it is.
    stdout.print(secret, markup=False, highlight=False, soft_wrap=True)


@token_app.command("list")
def show(context: typer.Context) -> None:
    """Print all tokens without their secrets."""
    tokens: tuple[Any, ...] = _asked(context, lambda desk: desk.tokens())
    if not tokens:
        stderr.print("no tokens yet: `samesource token create NAME` makes one")
    for each in tokens:
        ends = "revoked" if each.revoked_at else f"until {each.expires_at:%Y-%m-%d}"
        owners = f" of {', '.join(each.owner_ids)}" if each.owner_ids else ""
        text = f"{each.token_id} {each.name}: {each.role}{owners}, {ends}, {_used(each.used_at)}"
        stdout.print(f"{printable(text)}: {', '.join(each.scopes)}", markup=False, soft_wrap=True)


@token_app.command("revoke")
def revoke(
    context: typer.Context,
    token_id: Annotated[str, typer.Argument(metavar="TOKEN_ID", help="As `token list` has it.")],
) -> None:
    """End a token, and the sessions of whoever has its name."""
    from stream.times import now

    async def end(desk: Any) -> bool:
        names = [each.name for each in await desk.tokens() if each.token_id == token_id]
        async with desk.together():
            ended: bool = await desk.revoke_token(token_id, now())
            for name in names:
                await desk.end_sessions_of(name)
            if ended:
                await desk.note(_me(), "revoke token", token_id, now(), detail={"name": names[0]})
        return ended

    if not _asked(context, end):
        raise SettingsError(f"no token {token_id} to revoke: `samesource token list` has them all")
    stdout.print(f"{token_id} is revoked", markup=False)


def _asked(context: typer.Context, ask: Callable[[Any], Awaitable[Any]]) -> Any:
    """What the console's database answers."""
    from stream.console.store.database import Database
    from stream.console.store.desk import Desk

    async def run() -> Any:
        database = await Database.open(context.obj.console)
        try:
            return await ask(Desk(database))
        finally:
            await database.close()

    return asyncio.run(run())


def _used(used_at: datetime | None) -> str:
    return "never used" if used_at is None else f"used {used_at:%Y-%m-%d}"


def _me() -> str:
    from stream.console.worker import user

    return user()
