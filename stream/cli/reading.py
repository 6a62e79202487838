"""The events on a topic, for the commands that list them."""

from collections.abc import Iterator
from typing import TypeVar

from confluent_kafka import Message

from stream.cli.output import stderr
from stream.contract.events import Event
from stream.errors import BadEventError

E = TypeVar("E", bound=Event)


def events_of(kind: type[E], message: Message) -> Iterator[E]:
    """The event of a message; none where anyone wrote something else there, which is said."""
    try:
        yield kind.from_bytes(message.value())
    except BadEventError as error:
        where = f"{message.topic()}[{message.partition()}]@{message.offset()}"
        stderr.print(f"passed over {where}: {error}", soft_wrap=True, markup=False)
