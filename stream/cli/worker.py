"""`samesource worker`: one role in this process, or all of them."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Annotated, Any

import typer

from models.errors import ModelError
from stream.cli.output import stderr
from stream.cli.shard_option import with_shard
from stream.errors import SamesourceError
from stream.logs import logs_json
from stream.settings import Settings

log = logging.getLogger("stream.worker")

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
    from stream.agents.leaving import exit_on_signals

    # Before the imports below, which take a while: a stop meanwhile is no traceback.
    exit_on_signals()
    from stream.admin.machine import check_machine
    from stream.agents.run import run_until_stopped

    names = "+".join(roles)
    with _errors_in_log(settings), _broker(settings) as kafka:
        check_machine(settings, roles)
        settings = settings.model_copy(update={"kafka": kafka})

        def started() -> None:
            _tell(
                settings,
                f"{names} worker is running on {kafka.bootstrap_servers}; Ctrl-C stops it",
            )

        asyncio.run(run_until_stopped(settings, roles, shards, started))
        _tell(settings, f"{names} worker stopped")


def _tell(settings: Settings, text: str) -> None:
    """A line for people, or an event of the log for machines."""
    if logs_json(settings.worker, stderr):
        log.setLevel(logging.INFO)  # that it runs is told at every level
        log.info("%s", text)
    else:
        stderr.print(text, markup=False, soft_wrap=True)


@contextmanager
def _errors_in_log(settings: Settings) -> Iterator[None]:
    """For machines, what ends the worker is the log's last event."""
    try:
        yield
    except (SamesourceError, ModelError) as error:
        if not logs_json(settings.worker, stderr):
            raise
        log.critical("%s", error)
        raise typer.Exit(1) from error


def _broker(settings: Settings) -> AbstractContextManager[Any]:
    if settings.kafka.broker == "kafka":
        return nullcontext(settings.kafka)
    from stream.broker.embedded import embedded_kafka

    return embedded_kafka(settings.kafka)
