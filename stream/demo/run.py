"""Runs the demo: a broker, all workers, and a client that submits videos and reads the answers."""

import asyncio
import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from stream.agents.run import running_workers
from stream.broker.settings import KafkaSettings
from stream.client import Reader, submit, upload_of
from stream.demo.clips import make_demo_videos
from stream.demo.demo_set import DemoSet
from stream.demo.folder import open_folder
from stream.demo.report import closing_table, problems_of, totals
from stream.demo.screen import DemoScreen
from stream.events import EVENTS, Event, VideoUploaded
from stream.settings import Settings
from stream.topics import create_topics

OUTCOME_TOPICS = (
    "video.fingerprinted",
    "video.compared",
    "video.decided",
    "alert.raised",
    "video.embedded",
    "video.rejected",
)
SHARDS = 2
MADE_LEAST_SCORE = 0.8
"""Scenes drawn by one hand resemble each other more than filmed ones: only sure finds count."""
PROBE_SECONDS = 3.0
SPARE_SECONDS = 60.0
MADE_PATIENCE_SECONDS = 180.0
BATCH = 200
INTERRUPTED = 130
LOG_COLUMNS = 120


def run_demo(
    settings: Settings, videos: Path | None, console: Console, keep: Path | None = None
) -> int:
    """Run the whole service on made or given videos and show what happens.

    Args:
        settings: the broker, the limits of the decoder, and so on; the folders, the topic prefix
            and the number of shards are the demo's own.
        videos: a folder of videos; None to make some.
        console: where to show it.
        keep: where made videos go; a temporary folder by default.

    Returns:
        The exit code: 0 when every video got exactly one decision and, of the made videos, each
        copy was found and nothing else; 130 after Ctrl-C.

    Raises:
        SamesourceError: the folder or the broker can't be used; the text says what to do.
    """
    if not console.is_terminal:
        console.width = max(console.width, LOG_COLUMNS)
    try:
        with TemporaryDirectory(prefix="samesource-demo-") as scratch:
            demo = _videos(videos, keep or Path(scratch), console)
            if settings.worker.log_level == "INFO":
                _quieten()
            with _broker(settings.kafka, Path(scratch), console) as kafka:
                own = _own_settings(settings, kafka, demo, Path(scratch))
                return asyncio.run(_run(own, demo, console))
    except KeyboardInterrupt:
        console.print("stopped; nothing is left running")
        return INTERRUPTED


def _quieten() -> None:
    """Leave it to the screen to say what happens; a level other than INFO was asked for."""
    logging.getLogger().setLevel(logging.WARNING)
    # a fresh broker has no coordinator until the first consumer has asked for one, which is tried
    # again, but logged as an error
    logging.getLogger("aiokafka.consumer.group_coordinator").setLevel(logging.CRITICAL)


def _videos(videos: Path | None, folder: Path, console: Console) -> DemoSet:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        making = "drawing videos" if videos is None else "editing copies"
        task = bar.add_task(making, total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        if videos is None:
            return make_demo_videos(folder, progress)
        return open_folder(videos, folder, progress)


@contextmanager
def _broker(kafka: KafkaSettings, scratch: Path, console: Console) -> Iterator[KafkaSettings]:
    """Kafka with the topics of this run, which nobody else uses; gone after the block."""
    kafka = kafka.model_copy(update={"topic_prefix": f"demo-{uuid.uuid4().hex[:8]}."})
    if kafka.broker == "embedded":
        from stream.broker.embedded import embedded_kafka

        with embedded_kafka(kafka) as embedded:
            console.print("An embedded broker is running in this process.")
            yield embedded
    elif _answers(kafka):
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
            kafka = KafkaSettings(
                bootstrap_servers=local.bootstrap_servers, topic_prefix=kafka.topic_prefix
            )
            console.print(f"A real Apache Kafka is running on {local.bootstrap_servers}.")
            create_topics(kafka)
            yield kafka


def _answers(kafka: KafkaSettings) -> bool:
    try:
        admin = AdminClient({**kafka.librdkafka_options(), "log_level": 0})
        return bool(admin.list_topics(timeout=PROBE_SECONDS).brokers)
    except KafkaException:
        return False


def _delete_topics(kafka: KafkaSettings) -> None:
    admin = AdminClient({**kafka.librdkafka_options(), "log_level": 0})
    names = [
        name for name in admin.list_topics(timeout=30).topics if name.startswith(kafka.topic_prefix)
    ]
    for deletion in admin.delete_topics(names, operation_timeout=30).values() if names else ():
        deletion.result()


def _own_settings(
    settings: Settings, kafka: KafkaSettings, demo: DemoSet, scratch: Path
) -> Settings:
    folders = {path.resolve().parent for wave in demo.waves() for path in wave}
    library: dict[str, Any] = {"shards": SHARDS, "snapshot_folder": scratch / "snapshots"}
    if demo.made:
        library["least_score"] = MADE_LEAST_SCORE
    return settings.model_copy(
        update={
            "kafka": kafka,
            "fetch": settings.fetch.model_copy(update={"roots": tuple(sorted(folders))}),
            "library": settings.library.model_copy(update=library),
            "worker": settings.worker.model_copy(update={"data_folder": scratch / "workers"}),
        }
    )


async def _run(settings: Settings, demo: DemoSet, console: Console) -> int:
    patience_seconds = MADE_PATIENCE_SECONDS if demo.made else _patience_seconds(settings)
    with DemoScreen(console) as screen:
        screen.say("Starting the workers: fingerprint, library shards 0 and 1, decide.")
        async with running_workers(settings) as failure:
            start = time.monotonic()
            with Reader(settings.kafka, *OUTCOME_TOPICS) as reader:
                for wave in demo.waves():
                    uploads = [_upload(demo, path) for path in wave]
                    for upload in uploads:
                        screen.show(upload)
                    await asyncio.to_thread(submit, settings.kafka, uploads)
                    await follow(reader, screen, failure, patience_seconds)
                    if not screen.tally.complete():
                        break
                wall_seconds = time.monotonic() - start
                await _show_more(reader, screen)  # an answer that was given twice comes now
    console.print(closing_table(demo, screen.tally), totals(demo, screen.tally, wall_seconds))
    problems = problems_of(demo, screen.tally)
    for problem in problems:
        console.print(Text.assemble(("✗ ", "red"), problem))
    return 1 if problems else 0


def _upload(demo: DemoSet, path: Path) -> VideoUploaded:
    role = "reference" if path in demo.references else "upload"
    video_id = demo.video_id(path)
    return upload_of(str(path), owner_id=f"owner-of-{video_id}", role=role, video_id=video_id)


async def follow(
    reader: Reader, screen: DemoScreen, failure: asyncio.Future[None], patience_seconds: float
) -> None:
    """Show events until all that was submitted is answered, or nothing moves for too long.

    Raises:
        Exception: what made a worker fail.
    """
    heard = time.monotonic()
    while not screen.tally.complete():
        news = await _show_more(reader, screen)
        if failure.done():
            failure.result()
        if news:
            heard = time.monotonic()
        elif time.monotonic() - heard > patience_seconds:
            screen.say(f"[red]nothing happened for {patience_seconds:.0f} s; giving up[/]")
            return


async def _show_more(reader: Reader, screen: DemoScreen) -> int:
    """Show what has come by now; how many events that was."""
    events = await asyncio.to_thread(_read, reader)
    for event in events:
        screen.show(event)
    return len(events)


def _read(reader: Reader) -> list[Event]:
    """What has come by now; waits a moment for the first."""
    events: list[Event] = []
    found = reader.poll(0.2)
    while found is not None:
        topic, message = found
        events.append(EVENTS[topic].from_bytes(message.value()))
        found = reader.poll(0) if len(events) < BATCH else None
    return events


def _patience_seconds(settings: Settings) -> float:
    """By then a video that can't be fetched or decoded has been rejected."""
    return settings.fetch.timeout_seconds + settings.decode.timeout_seconds + SPARE_SECONDS
