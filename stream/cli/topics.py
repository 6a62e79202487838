"""`samesource topics`: makes the contract's topics, or says how the cluster's differ."""

import typer
from rich.text import Text

from stream.cli.output import stdout

topics_app = typer.Typer(help="The topics of the contract.", no_args_is_help=True)


@topics_app.command("create")
def create(context: typer.Context) -> None:
    """Make the topics that are missing; those that are there stay as they are."""
    from stream.broker.topics import create_topics
    from stream.contract.topics import load_topics

    kafka = context.obj.kafka
    create_topics(kafka)
    stdout.print(f"{len(load_topics())} topics are on {kafka.bootstrap_servers}", markup=False)


@topics_app.command("check")
def check(context: typer.Context) -> None:
    """Compare the cluster's topics with the contract; exit code 1 when they differ."""
    from stream.broker.topics import check_topics

    problems = check_topics(context.obj.kafka)
    for problem in problems:
        stdout.print(Text.assemble(("✗ ", "red"), problem), soft_wrap=True)
    if problems:
        raise typer.Exit(1)
    stdout.print("[green]✓[/] all topics fit the contract")
