"""Which spans of an alert are mirrored, as its two videos show: pages and API ask.

Both are fetched as for the players, and looked at in a child process with a decoder's limits
(`stream.decode.mirrored`). No page waits for it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from stream.console.store.views import AlertView, VideoView
from stream.console.web.matches import BusyError
from stream.console.web.media import NO_ROOM, Videos
from stream.console.web.problems import Problem
from stream.console.web.shared_work import SharedWork
from stream.decode.mirrored import mirrored_in_time
from stream.decode.one_child import OneChild
from stream.decode.room import NoRoomError
from stream.decode.settings import DecodeSettings
from stream.errors import RejectedError
from stream.fetch.fetch import DiskError
from stream.texts import Text

Mirrored = Sequence[bool | None]

MAX_SPANS = 16  # of an alert that are looked at, the longest; set by hand, as the rest
MAX_SECONDS = 120.0  # of the child, for one alert
MAX_WAITING = 8  # alerts that are looked at or wait for it: more would come too late
KEPT = 4096  # answers, some 200 bytes each


class Mirrors:
    """Looks at one alert at a time, and keeps the newest answers."""

    def __init__(self, settings: DecodeSettings, videos: Videos) -> None:
        """Nothing is looked at yet.

        Args:
            settings: limits of the child.
            videos: where files come from.
        """
        seconds = min(MAX_SECONDS, settings.timeout_seconds)
        self._settings = settings.model_copy(update={"timeout_seconds": seconds})
        self._videos = videos
        self._known: OrderedDict[object, Mirrored] = OrderedDict()
        full = Text("many videos are being looked at: try again in a moment")
        self._looking = SharedWork[Mirrored]("console-mirrored", MAX_WAITING, full)
        self._thread = ThreadPoolExecutor(1, "console-mirrored")
        self._child = OneChild(self._settings)

    async def spans(
        self, alert: AlertView, video: VideoView | None, reference: VideoView | None
    ) -> Mirrored:
        """Whether each span is mirrored; None where it isn't known.

        Of videos that can't be had or decoded nothing is known. Who asks for the same alert at the
        same time waits for one look.

        Raises:
            Problem: 429 where too many wait already, 503 where there is no room for the videos.
        """
        if video is None or reference is None or video.uri is None or reference.uri is None:
            return [None] * len(alert.segments)
        video_uri, reference_uri = video.uri, reference.uri
        key = (alert.alert_id, video_uri, video.fingerprint, reference_uri, reference.fingerprint)
        if (known := self._known.get(key)) is not None:
            self._known.move_to_end(key)
            return known

        async def look() -> Mirrored:
            found = await self._look(alert, video_uri, reference_uri)
            self._known[key] = found
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
            return found

        try:
            return await self._looking.once(key, look)
        except BusyError as error:
            raise Problem(429, error, {"Retry-After": "10"}) from error
        except RejectedError:
            return [None] * len(alert.segments)
        except (DiskError, NoRoomError) as error:
            raise Problem(503, NO_ROOM) from error

    async def _look(self, alert: AlertView, video_uri: str, reference_uri: str) -> Mirrored:
        # The page asks for both at the same time: as there, none drives the other out.
        files = await asyncio.gather(
            self._videos.file(video_uri, reference_uri), self._videos.file(reference_uri, video_uri)
        )
        found: list[bool | None] = [None] * len(alert.segments)
        longest = sorted(
            range(len(found)),
            key=lambda place: (
                alert.segments[place].video_start_seconds - alert.segments[place].video_end_seconds
            ),
        )[:MAX_SPANS]
        spans = [alert.segments[place] for place in longest]
        answers = await asyncio.get_running_loop().run_in_executor(
            self._thread, self._child.do, mirrored_in_time, *files, spans, self._settings
        )
        for place, answer in zip(longest, answers, strict=True):
            found[place] = answer
        return found

    def close(self) -> None:
        """End the process."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._child.close()
