"""`samesource demo`: the whole service in one process, on made or given videos."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from stream.cli.output import stdout


def demo(
    context: typer.Context,
    videos: Annotated[
        Path | None, typer.Option(help="A folder of videos; clips are made when none is given.")
    ] = None,
    broker: Annotated[
        Literal["embedded", "kafka"], typer.Option(help="In this process, or a real Apache Kafka.")
    ] = "embedded",
    keep: Annotated[
        Path | None, typer.Option(help="Leave the made videos here, to look at them.")
    ] = None,
    console: Annotated[
        bool, typer.Option("--console", help="Look at the alerts in a browser, until Ctrl-C.")
    ] = False,
) -> None:
    """Submit videos through Kafka and watch decisions, alerts and embeddings come out."""
    from stream.demo.run import run_demo

    settings = context.obj
    kafka = settings.kafka.model_copy(update={"broker": broker})
    settings = settings.model_copy(update={"kafka": kafka})
    raise typer.Exit(run_demo(settings, videos, stdout, keep, with_console=console))
