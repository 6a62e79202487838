"""An input gets two attempts: one that fails twice is rejected, and the worker goes on.

Serves every agent that handles one message at a time. What the machine lacks is not the input's
fault: those errors pass through, and the message is not left behind.
"""

import errno
import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from stream.agents.publisher import Publisher
from stream.contract.events import Event
from stream.contract.message import Source
from stream.errors import InternalError, RejectedError, SamesourceError, TooLargeError, brief

log = logging.getLogger(__name__)

T = TypeVar("T")

# Taken for an input's fault, a full disk would turn a whole topic into dead letters.
LACKING = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.EIO,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.EAGAIN,
    }
)


def is_the_machines(error: BaseException) -> bool:
    """Whether an error says what the machine or Kafka lacks, rather than what an input is."""
    # First, as aiokafka's is a `KafkaError` too: asking again makes no message smaller.
    if isinstance(error, MessageSizeTooLargeError | RejectedError):
        return False
    if isinstance(error, MemoryError | KafkaError | ConnectionError | SamesourceError):
        return True
    return isinstance(error, OSError) and error.errno in LACKING


def attempted(source: Source, work: Callable[[], T]) -> T:
    """What `work` makes of a message, tried once more where it fails.

    Args:
        source: the message, for the log.
        work: leaves nothing half done where it raises.

    Raises:
        RejectedError: as `work` raised it, at once; an `InternalError` where it failed twice.
        Exception: what the machine lacks, at once.
    """
    failure: Exception | None = None
    try:
        for outlook in ("is tried once more", "is left behind"):
            try:
                return work()
            except RejectedError:
                raise
            except Exception as error:
                if is_the_machines(error):
                    raise
                log.warning("%s failed and %s: %s", source, outlook, _said(error), exc_info=True)
                failure = error
        assert failure is not None
        raise InternalError(_said(failure)) from failure
    finally:
        failure = None  # it would hold this frame, and that the message, as a cycle


async def publish_or_reject(
    publisher: Publisher, source: Source, outputs: Sequence[Event], *, request_id: str | None = None
) -> list[Event]:
    """Publish what was made of a message; where that is too large for its topic, a dead letter.

    Returns:
        What is on the broker now.
    """
    try:
        await publisher.publish(outputs)
    except MessageSizeTooLargeError as error:
        log.warning("what was made of %s is too large: %s", source, brief(error))
        problem = TooLargeError(f"what was made of it is too large for its topic: {error}")
        letter = source.rejected(problem, request_id=request_id)
        await publisher.publish([letter])
        return [letter]
    return list(outputs)


def _said(error: Exception) -> str:
    return brief(f"{type(error).__name__}: {error}")
