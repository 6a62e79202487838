"""`samesource token`: made once, listed without its secret, ended."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from stream.console.store.audit import AuditView
from stream.console.store.database import Database
from stream.console.store.desk import Desk
from stream.settings import load_settings
from tests.stream.command import Command


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAMESOURCE_CONSOLE__DATABASE_URL", f"sqlite:///{tmp_path / 'c.db'}")
    return Command(monkeypatch, capfd)


def test_a_token_is_shown_once(command: Command) -> None:
    made = command("token", "create", "robot", "--role", "reviewer", "--scope", "uploads")
    assert made.code == 0, made.err
    secret = made.out.strip()
    assert len(secret) > 40 and " " not in secret and secret not in made.err
    listed = command("token", "list").out
    assert "robot: reviewer" in listed and "never used: uploads" in listed
    assert secret not in listed


def test_a_token_is_ended_once(command: Command) -> None:
    token_id = command("token", "create", "robot").err.partition(":")[0]
    assert command("token", "revoke", token_id).out == f"{token_id} is revoked\n"
    assert "revoked" in command("token", "list").out
    again = command("token", "revoke", token_id)
    assert again.code == 1 and "samesource token list" in again.err


def test_making_and_ending_a_token_is_in_the_audit_log(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "olga")
    made = command("token", "create", "robot", "--role", "reviewer", "--scope", "uploads")
    token_id = made.err.partition(":")[0]
    command("token", "revoke", token_id)
    command("token", "revoke", token_id)  # in vain

    async def lines() -> Sequence[AuditView]:
        database = await Database.open(load_settings().console)
        try:
            return (await Desk(database).audit(about=token_id)).items
        finally:
            await database.close()

    found = asyncio.run(lines())
    assert [(each.person, each.action) for each in found] == [
        ("olga", "revoke token"), ("olga", "make token"),
    ]  # fmt: skip
    assert found[1].detail == {
        "name": "robot", "role": "reviewer", "scopes": ["uploads"], "owner_ids": [], "days": 90.0,
    }  # fmt: skip
    assert made.out.strip() not in str(found)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["--scope", "everything"], "no scope everything; there are: pages, alerts"),
     (["--role", "holder"], "--role holder and --owner go together"),
     (["--role", "admin", "--owner", "league"], "--role holder and --owner go together"),
     (["--role", "holder", *(f"--owner={each}" for each in range(51))],
      "51 owner ids, expected 50 at most")],
)  # fmt: skip
def test_a_token_that_says_nothing_is_refused(
    command: Command, arguments: list[str], told: str
) -> None:
    done = command("token", "create", "robot", *arguments)
    assert done.code == 1 and told in done.err
    assert command("token", "list").out == ""


def test_without_tokens_the_list_says_how_to_make_one(command: Command) -> None:
    assert "samesource token create" in command("token", "list").err
