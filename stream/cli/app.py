"""Joins the commands into one, and reads the settings once for all of them."""

from pathlib import Path
from typing import Annotated

import typer

from stream.cli import (
    alerts,
    broker,
    console,
    demo,
    evaluate,
    export,
    library,
    match,
    policy,
    rejected,
    remove,
    resubmit,
    review,
    search,
    show,
    skip,
    submit,
    token,
    topics,
    train,
    worker,
)
from stream.cli.config import config_app
from stream.cli.output import stderr

app = typer.Typer(
    name="samesource",
    help="Finds which seconds of an uploaded video copy which seconds of which known video.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.add_typer(worker.worker_app, name="worker")
app.add_typer(topics.topics_app, name="topics")
app.add_typer(library.library_app, name="library")
app.add_typer(broker.broker_app, name="broker")
app.add_typer(config_app, name="config")
app.add_typer(policy.policy_app, name="policy")
app.add_typer(evaluate.evaluate_app, name="evaluate")
app.add_typer(train.train_app, name="train")
app.add_typer(export.export_app, name="export")
app.add_typer(token.token_app, name="token")
app.command("demo")(demo.demo)
app.command("console")(console.console)
app.command("submit")(submit.submit)
app.command("resubmit")(resubmit.resubmit)
app.command("remove")(remove.remove)
app.command("match")(match.match)
app.command("search")(search.search)
app.command("alerts")(alerts.alerts)
app.command("review")(review.review)
app.command("show")(show.show)
app.command("rejected")(rejected.rejected)
app.command("skip")(skip.skip)


@app.callback()
def _root(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(help="Settings file (TOML). Environment variables win over it.")
    ] = None,
) -> None:
    from stream.logs import set_up_logging
    from stream.settings import load_settings

    settings = load_settings(config)
    context.obj = settings
    set_up_logging(settings.worker, stderr)
