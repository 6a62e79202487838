"""A console on a read model that is filled, without Kafka; serves `pages`.

`python -m benchmarks.read_model.serving URL ALERTS` prints where it is and what signs in to it, as
JSON, and serves until it is killed. Its clock stands, so that the last day is that of the messages.
"""

import asyncio
import socket
import sys

import orjson
import uvicorn

from benchmarks.read_model.made_messages import HOLDERS, Made
from benchmarks.read_model.made_parts import MadeKafka, MadeSearch
from stream.console.store.database import Database
from stream.console.store.sign_ins import MAX_OWNERS, Role
from stream.console.store.views import Place
from stream.console.web.app import create_app
from stream.console.web.console import Console, Store
from stream.console.web.signin.limits import Requests
from stream.console.web.signin.rights import SCOPES
from stream.loading import settled
from stream.settings import load_settings

SECONDS = 86400.0  # for which the secrets hold


class Still:
    """Instead of a follower, where nothing is written."""

    async def until(self, place: Place, seconds: float) -> bool:
        """At once."""
        return True


async def serve(url: str, made: Made) -> None:
    """Sign everybody in, say how, and serve."""
    settings = load_settings(console={"database_url": url, "requests_per_minute": 0})
    database = await Database.open(settings.console)
    store = Store.of(database, Still())
    now = made.end
    console = Console(settings, store, MadeKafka(settings.kafka), clock=lambda: now)
    console.search = MadeSearch(settings, made)
    console.dear_forms = Requests(0)
    owners = [f"holder-{number}" for number in range(0, HOLDERS, HOLDERS // MAX_OWNERS)]
    people: dict[Role, list[str]] = {"admin": [], "holder": owners}
    secrets = {
        role: await store.desk.begin_session(role, role, owned, now, SECONDS)
        for role, owned in people.items()
    }
    token, _ = await store.desk.make_token("api", "admin", SCOPES, (), "console", now, SECONDS)
    config = uvicorn.Config(create_app(console), lifespan="off", log_config=None, access_log=False)
    # Named, or asyncio wouldn't set TCP_NODELAY, and each answer would wait 40 ms for an ACK.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        settled()  # as the console is when it has started
        told = {"port": listening.getsockname()[1], "token": token, **secrets}
        print(orjson.dumps(told).decode(), flush=True)
        await uvicorn.Server(config).serve(sockets=[listening])


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], Made(int(sys.argv[2]))))
