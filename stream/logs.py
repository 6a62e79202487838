"""How the service logs: an object a line for machines, with the ids of what is in hand.

While Kafka is away its clients say so many times a second; `OncePerMinute` lets few through.
"""

import logging
import re
import threading
import time
from collections.abc import Callable

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.orjson import OrjsonFormatter
from rich.console import Console
from rich.logging import RichHandler

from stream.traces import in_hand
from stream.worker_settings import WorkerSettings

# Loggers of Kafka's clients and Faust; Faust's services log under the module of their class.
# That of SQLite would tell each statement with all that is written, signed addresses too.
CHATTY = (
    "aiokafka",
    "aiosqlite",
    "alembic",
    "faiss",
    "faust",
    "kafka",
    "mode",
    "stream.agents.join_table",
    "stream.agents.ordered_consumer",
)
REPEATING = (
    *CHATTY,
    "stream.agents.flood_claims",
    "stream.agents.publisher",
    "stream.agents.policy_follower",
    "stream.agents.probe_fingerprints",
    "stream.agents.restater.waiting",
    "stream.agents.topic_follower",
)
REPEAT_SECONDS = 60.0  # between two lines of one kind while Kafka is away
FORGET_SECONDS = 600.0  # of silence, after which the next such line is news


def set_up_logging(worker: WorkerSettings, console: Console) -> None:
    """Log to stderr as the settings say.

    Args:
        worker: names level and format.
        console: of stderr.
    """
    handler: logging.Handler
    if logs_json(worker, console):
        handler = logging.StreamHandler()
        handler.setFormatter(json_formatter())
        logging.captureWarnings(True)
        threading.excepthook = _log_end_of_thread
    else:
        handler = RichHandler(console=console, show_path=False)
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    handler.addFilter(WithIds())
    handler.addFilter(OncePerMinute())
    logging.basicConfig(level=worker.log_level, handlers=[handler])
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _log_end_of_thread(end: threading.ExceptHookArgs) -> None:
    """In place of a traceback over many lines; who needs the thread sees that it ended."""
    if end.exc_value is not None:
        name = "?" if end.thread is None else end.thread.name
        error = (end.exc_type, end.exc_value, end.exc_traceback)
        logging.getLogger(__name__).warning("thread %s ended", name, exc_info=error)


def logs_json(worker: WorkerSettings, console: Console) -> bool:
    """Whether an event of the log is a JSON object."""
    if worker.log_format == "auto":
        return not console.is_terminal
    return worker.log_format == "json"


def json_formatter() -> logging.Formatter:
    """Time, level, logger, message and the ids that are known, in one line; so is a traceback."""
    return OrjsonFormatter(
        "{asctime}{levelname}{name}{message}",
        style="{",
        rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        datefmt="%Y-%m-%dT%H:%M:%S%z",
        reserved_attrs=[*RESERVED_ATTRS, "color_message"],
    )


class WithIds(logging.Filter):
    """Gives each record the ids of what is in hand."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always passes."""
        for name, text in in_hand().items():
            if not hasattr(record, name):
                setattr(record, name, text)
        return True


class OncePerMinute(logging.Filter):
    """Passes what is new at once, and what repeats itself once a minute for all of a library.

    Kafka's clients say many things in turn while it is away: each of them passes the first time;
    then one line a minute tells the newest and how many were held back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._heard: dict[tuple[str, int, str], float] = {}
        self._last: float | None = None
        self._held = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is told."""
        if record.levelno < logging.WARNING or not record.name.startswith(REPEATING):
            return True
        now = self._clock()
        kind = (record.name, record.levelno, _kind(record.msg))
        heard = self._heard.get(kind)
        self._heard[kind] = now
        # Texts that are new each time must not fill the memory; to forget all costs a few repeated
        # lines.
        if len(self._heard) > 1000:
            self._heard = {kind: now}
        if heard is None or now - heard > FORGET_SECONDS:
            return self._told(record, now)
        if self._last is None or now - self._last >= REPEAT_SECONDS:
            return self._told(record, now)
        self._held += 1
        return False

    def _told(self, record: logging.LogRecord, now: float) -> bool:
        self._last = now
        if self._held:
            record.msg = f"{record.getMessage()} ({self._held} such lines were held back)"
            record.args = ()
            self._held = 0
        return True


def _kind(message: object) -> str:
    """What tells one kind of line from another: the text but for its numbers."""
    return re.sub(r"\d+", "0", str(message))
