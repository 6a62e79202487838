"""Videos by what they show, in words: the search view that `samesource search` asks, kept open.

It is read when somebody first asks, and followed from then on: who never asks pays for nothing.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka.errors import KafkaError

from models.errors import ModelError
from models.text_video.serve import TextEncoder
from stream.agents.lifetime import Failure
from stream.agents.search_view import SearchFollower
from stream.errors import BrokerError, brief
from stream.fingerprint.embed import no_pair, open_text_encoder
from stream.search.query import TextQuery, text_query
from stream.search.rows import Floats
from stream.search.view import Hit
from stream.settings import Settings
from stream.texts import Text

log = logging.getLogger(__name__)

WAIT_SECONDS = 8.0  # for a view that is being read; whoever asks again finds it further on


class NoTextSearchError(Exception):
    """There is none here; the text says why, for people."""


class NotReadError(Exception):
    """The view is still being read."""


@dataclass(frozen=True)
class _Open:
    encoder: TextEncoder
    follower: SearchFollower
    failure: Failure


class TextSearch:
    """Asks a view of all videos that the settings' text–video pair has embedded."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is read yet."""
        self._settings = settings
        self._opening: asyncio.Task[_Open] | None = None

    async def question(self, text: str) -> "Question":
        """A question in words, which can be asked for as many videos as are wanted.

        Raises:
            NoTextSearchError: there is no text–video pair, or none that can be used.
            NotReadError: the view is still being read.
            QueryError: there is no word in the text.
            BrokerError: Kafka doesn't answer.
        """
        opened = await self._opened()
        query = await asyncio.to_thread(text_query, opened.encoder, text)
        return Question(opened, query)

    async def question_of(self, vector: Floats) -> "Question":
        """A question by a vector of the pair, (1, D).

        Raises:
            NoTextSearchError: as `question`, and the others of it but a `QueryError`.
        """
        return Question(await self._opened(), TextQuery(vector, ()))

    async def close(self) -> None:
        """Ask no more."""
        task, self._opening = self._opening, None
        if task is None:
            return
        # One that is being read is stopped by its own `finally`.
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled() and task.exception() is None:
            await task.result().follower.stop()

    async def _opened(self) -> _Open:
        if no_pair(self._settings.text_video):
            raise NoTextSearchError(
                Text("no text–video pair is shipped and text_video names none: set text_video.path")
            )
        if self._opening is not None and _has_ended(self._opening):
            log.warning("the search view of the console has ended, and is read anew")
            await self.close()
        if self._opening is None:
            self._opening = asyncio.create_task(self._open(), name="console-search")
        task = self._opening
        await asyncio.wait([task], timeout=WAIT_SECONDS)
        if not task.done():
            raise NotReadError(Text("the videos' vectors are being read: ask again in a moment"))
        try:
            return task.result()
        except KafkaError as error:
            raise BrokerError(f"the search view: {brief(error, 200)}") from error
        except ModelError as error:
            raise NoTextSearchError(
                Text("text_video can't be used: {error}", error=brief(error, 200))
            ) from error

    async def _open(self) -> _Open:
        encoder = await asyncio.to_thread(open_text_encoder, self._settings.text_video)
        failure: Failure = asyncio.get_running_loop().create_future()
        follower = SearchFollower(self._settings, encoder.model_version, encoder.dimension, failure)
        try:
            await follower.start()
        except BaseException:
            await asyncio.shield(follower.stop())
            raise
        return _Open(encoder, follower, failure)


@dataclass(frozen=True)
class Question:
    """A question that can be asked."""

    _opened: _Open
    _query: TextQuery

    @property
    def model_version(self) -> str:
        """Of the pair; videos of another one aren't found."""
        return self._opened.encoder.model_version

    @property
    def warnings(self) -> Sequence[str]:
        """Why what is found may not be what was meant."""
        return self._query.warnings

    @property
    def left_out(self) -> int:
        """How many videos have a vector of another model."""
        return sum(self._opened.follower.view.left_out.values())

    async def nearest(self, k: int) -> list[Hit]:
        """The videos that show it most."""
        [hits] = await asyncio.to_thread(self._opened.follower.view.search, self._query.vector, k)
        return hits


def _has_ended(task: "asyncio.Task[_Open]") -> bool:
    """Whether a view can't be asked any more, or never could."""
    if not task.done():
        return False
    if task.cancelled() or task.exception() is not None:
        return True
    return task.result().failure.done()
