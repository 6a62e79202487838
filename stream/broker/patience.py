"""Lets nobody wait for an answer of librdkafka for longer than a minute, whatever its clock says.

Serves every client of confluent-kafka: whoever makes one, asks it, or has to let it go.
"""

import faulthandler
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import wraps
from typing import ParamSpec, TypeVar

from stream.errors import UnreachableError

P = ParamSpec("P")
T = TypeVar("T")

PATIENT_SECONDS = 60.0
"""For all requests of one function together; each of them takes `ANSWER_SECONDS` at the most."""
FROZEN_SECONDS = 15.0
"""After those: what stands still for longer can't even hear a signal any more."""
STDERR = 2

_in_use: list[object] = []
"""What was given to calls that never came back: they would find it freed when they do."""


class _FrozenTimer:
    """Ends a process in which no Python has run until everybody's time was up.

    There is one such timer in a process: each who waits sets it anew, and the last to go stops it.
    Whoever set it goes before it is due, so that what is due means that nobody could go.
    """

    def __init__(self) -> None:
        self._lock, self._waiting = threading.Lock(), 0

    def __enter__(self) -> None:
        with self._lock:
            self._waiting += 1
            seconds = PATIENT_SECONDS + FROZEN_SECONDS
            faulthandler.dump_traceback_later(seconds, file=STDERR, exit=True)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._waiting -= 1
            if not self._waiting:
                faulthandler.cancel_dump_traceback_later()


_frozen_timer = _FrozenTimer()


def patient(ask: Callable[P, T]) -> Callable[P, T]:
    """Let nobody wait for a function's answer longer than `PATIENT_SECONDS`.

    librdkafka counts its seconds by the wall clock: where that is set back meanwhile, ten seconds
    are ten seconds and an hour, and a worker would never start. What comes later is thrown away.
    Where it waits with Python's lock, as it makes a client, no thread of this process goes on: a
    timer outside of Python ends it, with the stack of each thread and exit code 1. So it ends a
    process that goes on after a SIGSTOP of as long, if that came while something was asked: the
    timer can't tell the two, and nothing but Python could give it more time.
    """

    @wraps(ask)
    def asked(*args: P.args, **named: P.kwargs) -> T:
        answer: Future[T] = Future()

        def answers() -> None:
            try:
                answer.set_result(ask(*args, **named))
            except BaseException as error:  # noqa: BLE001  # whoever waits raises it
                answer.set_exception(error)

        with _frozen_timer:
            # A daemon: it may never come back, and neither waits for it nor frees what it holds.
            threading.Thread(target=answers, name=ask.__name__, daemon=True).start()
            try:
                return answer.result(PATIENT_SECONDS)
            except TimeoutError:
                _in_use.extend(args)
                raise UnreachableError(
                    f"Kafka's client gave no answer within {PATIENT_SECONDS:.0f} s, which it does "
                    "when the machine's clock is set back: start again"
                ) from None

    return asked


def in_use(client: object) -> bool:
    """Whether a call that nobody waits for any more still uses a client, which can't be closed."""
    return any(client is each for each in _in_use)
