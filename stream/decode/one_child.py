"""One child process with a decoder's limits, for what the console does with videos now and then."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from pebble import ProcessPool

from stream.decode.child import prepare_child
from stream.decode.decoder import rejections
from stream.decode.room import NoRoomError
from stream.decode.settings import DecodeSettings
from stream.decode.spawned import AloneContext

T = TypeVar("T")
VIDEOS_PER_PROCESS = 20  # what a codec leaks ends with it; set by hand


class OneChild:
    """Does one thing after the other. The process starts with the first, and anew when it dies."""

    def __init__(self, settings: DecodeSettings) -> None:
        """Nothing is started yet; `settings` are the limits."""
        self._settings = settings
        self._pool: Any = None
        self.doing: Future[Any] | None = None

    def do(self, work: Callable[..., T], *arguments: Any) -> T:
        """Call a function there, and wait for it; of one thread at a time.

        Raises:
            RejectedError: the video can't be used, or a limit was passed.
            NoRoomError: there is no room for what it makes.
        """
        if self._pool is None or not self._pool.active:
            self._pool = ProcessPool(
                max_workers=1,
                max_tasks=VIDEOS_PER_PROCESS,
                initializer=prepare_child,
                initargs=(self._settings,),
                context=AloneContext(),
            )
        short: NoRoomError | None = None
        with rejections(self._settings):
            self.doing = self._pool.schedule(work, args=arguments)
            try:
                found: T = self.doing.result()
                return found
            except NoRoomError as error:
                short = error
        raise short

    def close(self) -> None:
        """End the process; what it does is cancelled."""
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()
        if self.doing is not None:  # a stopped pool leaves it as it is, for ever
            self.doing.cancel()
