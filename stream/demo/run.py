"""Runs the demo: a broker, all workers, and a client that submits videos and reads the answers."""

import asyncio
import logging
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from stream.agents.run import running_workers
from stream.broker.client import Reader
from stream.broker.clients import ANSWER_SECONDS, admin, answers
from stream.broker.patience import patient
from stream.broker.settings import KafkaSettings
from stream.broker.topics import create_topics
from stream.demo.client import OUTCOME_TOPICS, Client
from stream.demo.clips import Drawing, drawing
from stream.demo.demo_set import DemoSet
from stream.demo.folder import open_folder
from stream.demo.report import NEXT, closing_table, problems_of, times, totals
from stream.demo.screen import DemoScreen
from stream.settings import Settings

if TYPE_CHECKING:
    from stream.console.worker import ConsoleWorker

SHARDS = 2  # so that joining their answers is seen
PROBE_SECONDS = 3.0  # for an answer of a Kafka that may be there, before one is started
INTERRUPTED = 130  # the shell's code of a program that Ctrl-C ended
LOG_COLUMNS = 120  # of a table in a file, where nobody has set a width
SESSION_TIMEOUT_SECONDS = 60.0
"""Nobody else is in the groups, so that no worker need be taken for dead on a slow machine."""
DELETE_SECONDS = 30.0  # for Kafka to delete the demo's topics
GRUMBLERS = (
    "aiokafka",
    "faust",
    "mode",
    "stream.agents.join_table",  # Faust's services log under the module of their class
    "stream.agents.ordered_consumer",
)


def run_demo(
    settings: Settings,
    videos: Path | None,
    console: Console,
    keep: Path | None = None,
    *,
    with_console: bool = False,
) -> int:
    """Run the whole service on made or given videos and show what happens.

    Args:
        settings: the broker, the limits of the decoder, and so on; the folders, the topic prefix
            and the number of shards are the demo's own.
        videos: a folder of videos; None to make some.
        console: where to show it.
        keep: where made videos go; a temporary folder by default.
        with_console: whether the pages are served too, until Ctrl-C.

    Returns:
        The exit code: 0 when every video got exactly one decision and, of the made videos, each
        copy was found and nothing else; 130 after Ctrl-C.

    Raises:
        SamesourceError: the folder or the broker can't be used; the text says what to do.
    """
    began = time.monotonic()
    if not console.is_terminal:
        console.width = max(console.width, LOG_COLUMNS)
    try:
        with (
            _stopped_as_by_ctrl_c(),
            TemporaryDirectory(prefix="samesource-demo-", ignore_cleanup_errors=True) as scratch,
            _videos(videos, keep or Path(scratch), console) as clips,
        ):
            if settings.worker.log_level == "INFO":
                _quieten()
            with _broker(settings.kafka, Path(scratch), console) as kafka:
                own = _own_settings(settings, kafka, clips.demo, Path(scratch))
                return asyncio.run(_run(own, clips, console, began, with_console))
    except KeyboardInterrupt:
        console.print("stopped; nothing is left running")
        return INTERRUPTED


@contextmanager
def _stopped_as_by_ctrl_c() -> Iterator[None]:
    """A signal to end, or a terminal that is closed, stops the demo as Ctrl-C does."""

    def interrupt(number: int, frame: object) -> None:
        # The one signal that asyncio turns into a clean end of what runs.
        signal.raise_signal(signal.SIGINT)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {
        signal.SIGTERM: interrupt,
        signal.SIGHUP: interrupt,
        # A shell that starts it in the background has it ignore SIGINT, and asyncio would then too.
        signal.SIGINT: signal.default_int_handler,
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _quieten() -> None:
    """Leave it to the screen to say what happens; a level other than INFO was asked for.

    On a slow machine Kafka's clients and Faust's threads complain of each other, and go on; a
    fresh broker has no coordinator until the first consumer has asked for one. What ends a worker
    ends the demo, and is told.
    """
    logging.getLogger().setLevel(logging.WARNING)
    for name in GRUMBLERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def _videos(videos: Path | None, folder: Path, console: Console) -> Iterator[Drawing]:
    """Clips that are drawn during the block, or a folder with copies that are edited before it."""
    if videos is None:
        with drawing(folder) as clips:
            yield clips
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task("editing copies", total=None)
        demo = open_folder(
            videos, folder, lambda done, total: bar.update(task, completed=done, total=total)
        )
    yield Drawing(demo, {})


@contextmanager
def _broker(kafka: KafkaSettings, scratch: Path, console: Console) -> Iterator[KafkaSettings]:
    """Kafka with the topics of this run, which nobody else uses; gone after the block."""
    kafka = kafka.model_copy(update={"topic_prefix": f"demo-{uuid.uuid4().hex[:8]}."})
    if kafka.broker == "embedded":
        from stream.broker.embedded import embedded_kafka

        with embedded_kafka(kafka) as embedded:
            console.print("An embedded broker is running in this process.")
            yield embedded
    elif answers(kafka, PROBE_SECONDS):
        console.print(f"Using the Kafka at {kafka.bootstrap_servers}.")
        create_topics(kafka)
        try:
            yield kafka
        finally:
            _delete_topics(kafka)
    else:
        from stream.broker.local import LocalKafka

        with console.status(f"no Kafka at {kafka.bootstrap_servers}; starting one for the demo…"):
            local = LocalKafka(scratch / "kafka")
            local.start()
        with local:
            # Not a copy of the settings, whose security is of the cluster that didn't answer.
            kafka = KafkaSettings(
                bootstrap_servers=local.bootstrap_servers, topic_prefix=kafka.topic_prefix
            )
            console.print(f"A real Apache Kafka is running on {local.bootstrap_servers}.")
            create_topics(kafka)
            yield kafka


@patient
def _delete_topics(kafka: KafkaSettings) -> None:
    client = admin(kafka)
    # By the prefix and not by the contract: the workers' own topics go as well.
    names = [
        name
        for name in client.list_topics(timeout=ANSWER_SECONDS).topics
        if name.startswith(kafka.topic_prefix)
    ]
    deletions = client.delete_topics(names, operation_timeout=DELETE_SECONDS) if names else {}
    for deletion in deletions.values():
        deletion.result()


def _own_settings(
    settings: Settings, kafka: KafkaSettings, demo: DemoSet, scratch: Path
) -> Settings:
    folders = {path.resolve().parent for wave in demo.waves() for path in wave}
    asked = scratch / "asked"  # files that somebody asks the console about
    library: dict[str, Any] = {
        "shards": SHARDS,
        "snapshot_folder": scratch / "snapshots",
        # Nothing of a demo belongs into the store that somebody's shards restore from.
        "snapshot_store": None,
    }
    return settings.model_copy(
        update={
            "kafka": kafka,
            # Whoever starts it named these folders, and need not have allowed them.
            "fetch": settings.fetch.model_copy(update={"roots": (*sorted(folders), asked)}),
            "search": settings.search.model_copy(update={"snapshot_folder": scratch / "search"}),
            "library": settings.library.model_copy(update=library),
            "worker": settings.worker.model_copy(
                update={
                    "data_folder": scratch / "workers",
                    "session_timeout_seconds": SESSION_TIMEOUT_SECONDS,
                }
            ),
            "console": settings.console.model_copy(
                update={
                    # The printed link signs in whoever opens it: nobody on another machine may.
                    "host": "127.0.0.1",
                    "public_url": None,
                    "port": settings.console.port or 0,
                    "match_store": str(asked),
                    "database_url": SecretStr(f"sqlite:///{scratch / 'console.db'}"),
                }
            ),
        }
    )


async def _run(
    settings: Settings, clips: Drawing, console: Console, began: float, with_console: bool
) -> int:
    demo, pages = clips.demo, list["ConsoleWorker"]()

    def make_pages(settings: Settings) -> "ConsoleWorker":
        # Here, as its libraries take seconds to load, and most demos have no pages.
        from stream.console.worker import ConsoleWorker

        pages.append(ConsoleWorker(settings))
        return pages[-1]

    with DemoScreen(console) as screen:
        if clips.drawn:
            screen.say(f"Drawing {len(clips.drawn)} videos.")
        screen.say("Starting the workers: fingerprint, library shards 0 and 1, decide.")
        others = [make_pages] if with_console else []
        async with running_workers(settings, others=others) as failure:
            for each in pages:
                screen.say(f"open {each.sign_in_link()}")
            with Reader(settings.kafka, *OUTCOME_TOPICS) as reader:
                client = Client(settings, clips, reader, screen, failure)
                await client.submit_all()
                done = time.monotonic()
                await client.read()  # an answer that was given twice comes now
            for each in pages:
                screen.close()
                _print_report(demo, screen, console, began, done)
                console.print(f"The console goes on at {each.url}; Ctrl-C stops it.")
                await failure  # which only ever fails: a signal ends the wait
    return _print_report(demo, screen, console, began, done)


def _print_report(
    demo: DemoSet, screen: DemoScreen, console: Console, began: float, done: float
) -> int:
    """What was found; the exit code."""
    console.print(closing_table(demo, screen.tally))
    for words in (totals(demo, screen.tally), times(screen.tally, began, done), NEXT):
        console.print(words, soft_wrap=True)
    problems = problems_of(demo, screen.tally)
    for problem in problems:
        console.print(Text.assemble(("✗ ", "red"), problem))
    return 1 if problems else 0
