"""`samesource broker`: a real Apache Kafka on this machine, for trying out and for tests."""

from pathlib import Path
from typing import Annotated

import typer

from stream.cli.output import stderr, stdout

FOLDER = Path("var/kafka")
Folder = Annotated[Path, typer.Option(help="Where its data and logs are kept.")]

broker_app = typer.Typer(
    help="A real Apache Kafka on this machine (needs Java 17 and Maven).", no_args_is_help=True
)


@broker_app.command("start")
def start(
    context: typer.Context,
    folder: Folder = FOLDER,
    port: Annotated[int, typer.Option(help="The loopback port to listen on.")] = 9092,
) -> None:
    """Start it, make the topics, and leave it running."""
    from stream.broker.local import LocalKafka
    from stream.broker.topics import create_topics

    local = LocalKafka(folder, port)
    with stderr.status("starting Apache Kafka (the first time its jars are fetched)…"):
        local.start()
        create_topics(
            context.obj.kafka.model_copy(update={"bootstrap_servers": local.bootstrap_servers})
        )
    stdout.print(f"Apache Kafka is running on {local.bootstrap_servers}, data in {folder}")


@broker_app.command("stop")
def stop(folder: Folder = FOLDER) -> None:
    """Stop it cleanly; its data stays."""
    from stream.broker.local import LocalKafka

    LocalKafka(folder).stop()
    stdout.print("Apache Kafka is stopped")
