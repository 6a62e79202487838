"""Processes that follow the topics until they are killed; serves the tests of kills.

`python -m tests.stream.console.store.following` reads lines `URL SERVERS PREFIX`. For each it forks
one that follows, and prints its process id.
"""

import asyncio
import os
import signal
import sys

from stream.console.settings import ConsoleSettings
from stream.console.store.database import Database
from stream.console.store.follower import StoreFollower
from stream.settings import Settings, load_settings


def settings_of(url: str, servers: str, prefix: str, *, batch_messages: int = 7) -> Settings:
    """Small batches: many transactions to die in."""
    return load_settings(
        kafka={"broker": "embedded", "bootstrap_servers": servers, "topic_prefix": prefix},
        console=ConsoleSettings.model_validate(
            {"database_url": url, "batch_messages": batch_messages}
        ),
    )


async def _follow(url: str, servers: str, prefix: str) -> None:
    settings = settings_of(url, servers, prefix)
    database = await Database.open(settings.console)
    failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    follower = StoreFollower(settings, database, failure)
    await follower.start()
    await failure


def _begin(url: str, servers: str, prefix: str) -> int:
    """Returns in the parent alone."""
    if pid := os.fork():
        return pid
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        asyncio.run(_follow(url, servers, prefix))
    finally:
        os._exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are gone, and nobody has to wait
    for line in sys.stdin:
        print(_begin(*line.split()), flush=True)
