"""`samesource worker`: one role in this process, or all of them."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

from models.errors import ModelError
from stream.cli.output import stderr, stdout
from stream.cli.shard_option import with_shard
from stream.errors import SamesourceError
from stream.loading import loading
from stream.logs import logs_json
from stream.settings import Settings

if TYPE_CHECKING:  # its libraries take a while to import
    from stream.console.worker import ConsoleWorker

log = logging.getLogger("stream.worker")

worker_app = typer.Typer(help="Run a worker until SIGTERM or Ctrl-C.", no_args_is_help=True)


@worker_app.command("fingerprint")
def fingerprint(context: typer.Context) -> None:
    """Uploads in; fingerprints and embeddings out. Run as many as there are partitions."""
    run(context.obj, ("fingerprint",))


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
    run(settings, ("library",), shards)


@worker_app.command("decide")
def decide(context: typer.Context) -> None:
    """Joins the shards' answers into alerts and decisions."""
    run(context.obj, ("decide",))


@worker_app.command("lag")
def lag(context: typer.Context) -> None:
    """Tells Prometheus how far each group is behind, also while none of its workers runs."""
    from stream.agents.group_lags import LagWorker

    run(context.obj, (), beside={"lag": LagWorker})


@worker_app.command("all")
def everything(context: typer.Context) -> None:
    """All roles in one process. With `kafka.broker = "embedded"` the broker is in it too.

    With `console.port`, the console as well.
    """
    from stream.agents.run import ROLES

    run(context.obj, ROLES, with_console=context.obj.console.port is not None)


def run(
    settings: Settings,
    roles: Sequence[Any],
    shards: Sequence[int] | None = None,
    *,
    with_console: bool = False,
    beside: Mapping[str, Callable[[Settings], Any]] | None = None,
) -> None:
    """Run workers until they are told to stop.

    Args:
        settings: of the service.
        roles: to run.
        shards: of the library; all when left out.
        with_console: whether the console runs beside them.
        beside: makes other workers, by name.
    """
    from stream.agents.leaving import exit_on_signals

    # Before the imports below, which take a while: a stop meanwhile is no traceback.
    exit_on_signals()
    with loading():
        from stream.admin.machine import check_machine
        from stream.agents.run import run_until_stopped

    beside = beside or {}
    names = "+".join([*roles, *(["console"] if with_console else []), *beside])
    with _errors_in_log(settings), _broker(settings) as kafka:
        check_machine(settings, roles)
        settings = settings.model_copy(update={"kafka": kafka})

        consoles: list[Any] = []

        def console(settings: Settings) -> Any:
            from stream.console.worker import ConsoleWorker

            consoles.append(ConsoleWorker(settings))
            return consoles[-1]

        def started() -> None:
            _tell(
                settings,
                f"{names} worker is running on {kafka.bootstrap_servers}; Ctrl-C stops it",
            )
            for each in consoles:
                _tell_where(settings, each)

        others = [*([console] if with_console else []), *beside.values()]
        asyncio.run(run_until_stopped(settings, roles, shards, started, others))
        _tell(settings, f"{names} worker stopped")


def _tell_where(settings: Settings, console: "ConsoleWorker") -> None:
    """Where people sign in. The link is a secret: for who started it, never for the log."""
    link = console.sign_in_link()
    if link is None:
        _tell(
            settings,
            f"the console is at {console.url}; sign in with a token: `samesource token create`",
        )
    else:
        stdout.print(f"open {link}", markup=False, soft_wrap=True, highlight=False)


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
