"""A console on a read model that is filled, without Kafka; serves `pages`.

`python -m benchmarks.read_model.serving URL NOW` prints where it is and what signs in to it, as
JSON, and serves until it is killed. Its clock stands, so that the last day is that of the messages.
"""

import asyncio
import socket
import sys
from datetime import datetime

import orjson
import uvicorn

from benchmarks.read_model.made_messages import HOLDERS
from stream.console.kafka import ConsoleKafka
from stream.console.store.database import Database
from stream.console.store.sign_ins import MAX_OWNERS, Role
from stream.console.store.views import Place
from stream.console.web.app import create_app
from stream.console.web.console import Console, Store
from stream.console.web.signin.rights import SCOPES
from stream.loading import settled
from stream.settings import load_settings

DELIVERIES = 200  # of a webhook: more than a page of them
SECONDS = 86400.0  # for which the secrets hold


class Still:
    """Instead of a follower, where nothing is written."""

    async def until(self, place: Place, seconds: float) -> bool:
        """At once."""
        return True


async def serve(url: str, now: datetime) -> None:
    """Sign everybody in, say how, and serve."""
    settings = load_settings(console={"database_url": url, "requests_per_minute": 0})
    database = await Database.open(settings.console)
    store = Store.of(database, Still())
    kafka = ConsoleKafka(settings.kafka)
    console = Console(settings, store, kafka, clock=lambda: now)
    owners = [f"holder-{number}" for number in range(0, HOLDERS, HOLDERS // MAX_OWNERS)]
    people: dict[Role, list[str]] = {"admin": [], "holder": owners}
    secrets = {
        role: await store.desk.begin_session(role, role, owned, now, SECONDS)
        for role, owned in people.items()
    }
    token, _ = await store.desk.make_token("api", "admin", SCOPES, (), "console", now, SECONDS)
    told = ("https://hooks.example/", ["alert.raised"], None, None)
    hook = await store.desk.make_webhook(*told, "no key", "admin", now)
    for _ in range(DELIVERIES):
        await store.desk.put_test(hook.webhook_id, "admin", now)
    (letter,) = await store.desk.claim_deliveries(hook.webhook_id, now, 1, SECONDS)
    config = uvicorn.Config(create_app(console), lifespan="off", log_config=None, access_log=False)
    # Named, or asyncio wouldn't set TCP_NODELAY, and each answer would wait 40 ms for an ACK.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        settled()  # as the console is when it has started
        made = {
            "port": listening.getsockname()[1], "token": token, **secrets,
            "webhook": hook.webhook_id, "delivery": letter.message_id,
        }  # fmt: skip
        print(orjson.dumps(made).decode(), flush=True)
        await uvicorn.Server(config).serve(sockets=[listening])


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], datetime.fromisoformat(sys.argv[2])))
