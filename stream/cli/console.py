"""`samesource console`: the pages and the API, until SIGTERM or Ctrl-C."""

from typing import Annotated

import typer

from stream.cli.worker import run


def console(
    context: typer.Context,
    port: Annotated[
        int | None, typer.Option(help="Of the pages; console.port of the settings by default.")
    ] = None,
) -> None:
    """Run the console: a queue of alerts with their evidence, and the HTTP API."""
    settings = context.obj
    if port is not None:
        own = settings.console.model_copy(update={"port": port})
        settings = settings.model_copy(update={"console": own})
    run(settings, (), with_console=True)
