"""`samesource worker`: one role in this process, or all of them."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated, Any

import typer

from stream.cli.console import stderr
from stream.cli.shard_option import with_shard
from stream.settings import Settings

worker_app = typer.Typer(help="Run a worker until SIGTERM or Ctrl-C.", no_args_is_help=True)


@worker_app.command("fingerprint")
def fingerprint(context: typer.Context) -> None:
    """Uploads in; fingerprints and embeddings out. Run as many as there are partitions."""
    _run(context.obj, ("fingerprint",))


@worker_app.command("library")
def library(
    context: typer.Context,
    shard: Annotated[
        str | None,
        typer.Option(help="`i/S`: shard i (from 0) of S. All shards of the settings by default."),
    ] = None,
) -> None:
    """One shard of the library, or all of them. A second worker of a shard is a replica."""
    settings, shards = (context.obj, None) if shard is None else with_shard(context.obj, shard)
    _run(settings, ("library",), shards)


@worker_app.command("decide")
def decide(context: typer.Context) -> None:
    """Joins the shards' answers into alerts and decisions."""
    _run(context.obj, ("decide",))


@worker_app.command("all")
def everything(context: typer.Context) -> None:
    """All roles in one process. With `kafka.broker = "embedded"` the broker is in it too."""
    from stream.agents.run import ROLES

    _run(context.obj, ROLES)


def _run(settings: Settings, roles: Sequence[Any], shards: Sequence[int] | None = None) -> None:
    from stream.agents.run import run_until_stopped
    from stream.machine import check_machine

    check_machine(settings, roles)
    with _broker(settings) as kafka:
        settings = settings.model_copy(update={"kafka": kafka})
        names = "+".join(roles)

        def started() -> None:
            stderr.print(f"{names} worker is running on {kafka.bootstrap_servers}; Ctrl-C stops it")

        asyncio.run(run_until_stopped(settings, roles, shards, started))
        stderr.print(f"{names} worker stopped")


def _broker(settings: Settings) -> AbstractContextManager[Any]:
    if settings.kafka.broker == "kafka":
        return nullcontext(settings.kafka)
    from stream.broker.embedded import embedded_kafka

    return embedded_kafka(settings.kafka)
