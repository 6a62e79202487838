"""The demo as a client of the service: submits videos, one after the other, and reads the answers.

Which of two videos is the later one is decided by their order in the library log. So that the
demo's answers depend on its videos alone, a video is submitted when the one before it is in the
log; comparing and deciding go on meanwhile.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from stream.broker.client import Reader, submit, upload_of
from stream.contract.events import EVENTS, Event, VideoUploaded
from stream.demo.clips import Drawing
from stream.demo.screen import DemoScreen
from stream.settings import Settings

OUTCOME_TOPICS = (
    "video.fingerprinted",
    "video.compared",
    "video.decided",
    "alert.raised",
    "video.embedded",
    "video.rejected",
)
SPARE_SECONDS = 60.0  # beyond all limits of a video, for the queue before it
SAY_EVERY_SECONDS = 60.0  # without news: that it still waits
BATCH = 200  # events between two pictures of the screen


class Client:
    """Submits all videos of a demo and shows what comes of them."""

    def __init__(
        self,
        settings: Settings,
        clips: Drawing,
        reader: Reader,
        screen: DemoScreen,
        failure: asyncio.Future[None],
    ) -> None:
        """Nothing is submitted yet.

        Args:
            settings: where Kafka is, and how long the service may take for a video.
            clips: what to submit, and when it can be.
            reader: of `OUTCOME_TOPICS`.
            screen: where to show it.
            failure: of the workers.
        """
        self._kafka, self._clips = settings.kafka, clips
        self._reader, self._screen, self._failure = reader, screen, failure
        # By then a video that can't be fetched or decoded has been rejected.
        limits = settings.fetch.timeout_seconds + settings.decode.timeout_seconds
        self.patience_seconds = limits + SPARE_SECONDS

    async def submit_all(self) -> bool:
        """Submit wave after wave, each when the one before it is decided.

        Returns:
            Whether everything was answered; False after silence for too long.

        Raises:
            Exception: what made a worker fail, or why a video can't be drawn.
        """
        for wave in self._clips.demo.waves():
            for path in wave:
                if not await self._submit(path):
                    return False
            if not await self.follow(self._screen.tally.complete):
                return False
        return True

    async def _submit(self, path: Path) -> bool:
        """Submit a video when it is drawn, and wait until the log has it or it is rejected."""
        drawn = self._clips.drawn.get(path)
        if drawn is not None:
            if not await self.follow(drawn.done):
                return False
            drawn.result()
        upload = self._upload(path)
        self._screen.show(upload)
        await asyncio.to_thread(submit, self._kafka, [upload])
        story = self._screen.tally.stories[upload.video_id]
        return await self.follow(lambda: story.fingerprinted or story.rejection is not None)

    def _upload(self, path: Path) -> VideoUploaded:
        role = "reference" if path in self._clips.demo.references else "upload"
        video_id = self._clips.demo.video_id(path)
        return upload_of(str(path), owner_id=f"owner-of-{video_id}", role=role, video_id=video_id)

    async def follow(self, done: Callable[[], bool]) -> bool:
        """Show events until something is done, or nothing moves for too long.

        Returns:
            Whether it is done.

        Raises:
            Exception: what made a worker fail.
        """
        heard = said = time.monotonic()
        drawn = self._clips.done()
        while not done():
            news = await self.read()
            # Behind the events, so that what came before a failure is still shown.
            if self._failure.done():
                self._failure.result()
            now = time.monotonic()
            # Drawing is a sign of life too: on few cores nothing is submitted for a good while.
            if news or self._clips.done() > drawn:
                heard, drawn = now, self._clips.done()
            elif now - heard > self.patience_seconds:
                self._screen.say(
                    f"[red]nothing happened for {self.patience_seconds:.0f} s; giving up[/]"
                )
                return False
            elif now - max(heard, said) > SAY_EVERY_SECONDS:
                said = now
                self._screen.say(f"[dim]nothing new for {now - heard:.0f} s, still waiting[/]")
        return True

    async def read(self) -> int:
        """Show what has come by now; how many events that was."""
        events = await asyncio.to_thread(self._read)
        for event in events:
            self._screen.show(event)
        drawn = self._clips.drawn
        self._screen.drawn = (self._clips.done(), len(drawn)) if drawn else None
        return len(events)

    def _read(self) -> list[Event]:
        """What has come by now; waits a moment for the first."""
        events: list[Event] = []
        found = self._reader.poll(0.2)
        while found is not None:
            topic, message = found
            events.append(EVENTS[topic].from_bytes(message.value()))
            found = self._reader.poll(0) if len(events) < BATCH else None
        return events
