"""What a console has besides its database, made: what it reads of Kafka, and its search view.

Serves `serving`. Of Kafka's own time nothing is counted.
"""

import asyncio
import zlib

import numpy as np

from benchmarks.read_model.made_messages import Made
from benchmarks.text.questions import questions
from benchmarks.text.view import centres, made_view
from models.text_video.serve import TextEncoder
from stream.agents.search_view import SearchFollower
from stream.console.kafka import ConsoleKafka
from stream.console.web.text_search import TextSearch, _Open
from stream.contract.events import VideoFingerprinted
from stream.contract.fingerprint import Fingerprint
from stream.contract.packed import pack_codes, pack_times, quantise
from stream.fingerprint.embed import open_text_encoder
from stream.settings import Settings
from tests.stream.console.web.site import jpeg

FRAMES, DIMENSION, SECONDS = 128, 256, 600.0
QUESTIONS = 400  # around whose vectors those of the videos are drawn
THUMBNAILS = [jpeg(colour, (128, 72)) for colour in ("red", "lime", "blue")]


class MadeKafka(ConsoleKafka):
    """Has a fingerprint and three pictures of every video."""

    async def fingerprint(self, video_id: str, partition: int, offset: int) -> Fingerprint:
        """Unpacked each time, as one that was read."""
        return await self._on_thread(Fingerprint.from_bytes, _fingerprint(video_id).to_bytes())

    async def thumbnails(self, video_id: str, partition: int, offset: int) -> list[bytes]:
        """The same of every video."""
        return THUMBNAILS


class MadeSearch(TextSearch):
    """Finds all videos of the read model; the view is made when somebody first asks."""

    def __init__(self, settings: Settings, made: Made) -> None:
        super().__init__(settings)
        self._made, self._making = made, asyncio.Lock()
        self._view: _Open | None = None

    async def _opened(self) -> _Open:
        async with self._making:
            if self._view is None:
                follower, encoder = await asyncio.to_thread(self._make)
                never = asyncio.get_running_loop().create_future()
                self._view = _Open(encoder, follower, never)
            return self._view

    def _make(self) -> tuple[SearchFollower, TextEncoder]:
        pair, search = self._settings.text_video, self._settings.search
        encoder = open_text_encoder(pair)
        asked = encoder.embed([each.text for each in questions(QUESTIONS, None)])
        alike = centres(pair, asked, None)
        follower = SearchFollower(self._settings, encoder.model_version, encoder.dimension)
        follower.view = made_view(
            search, encoder.model_version, alike, self._made.videos, self._made.name_of
        )
        return follower, encoder


def _fingerprint(video_id: str) -> VideoFingerprinted:
    random = np.random.default_rng(zlib.crc32(video_id.encode()))
    rows = random.standard_normal((FRAMES, DIMENSION)).astype(np.float32)
    codes = quantise(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    return VideoFingerprinted(
        video_id=video_id, content_version=1, owner_id="holder-1", role="upload",
        request_id="made", model_version="m", duration_seconds=SECONDS, dimension=DIMENSION,
        key_frame_seconds=pack_times(np.linspace(0, SECONDS - 1, FRAMES, dtype=np.float32)),
        descriptors=pack_codes(codes),
    )  # fmt: skip
