"""A picture or a clip as the vector that videos are found by; what looks like it is near.

The network, and the process that decodes, start with the first question: who never asks pays for
nothing.
"""

import asyncio
from pathlib import Path

import numpy as np

from models.errors import ModelError
from models.text_video.serve import VideoEncoder
from stream.decode.decoder import Decoder
from stream.errors import brief
from stream.fingerprint.embed import open_video_encoder, spread
from stream.search.rows import Floats
from stream.settings import Settings
from stream.texts import Text


class NoPictureSearchError(Exception):
    """There is none here; the text says why, for people."""


class PictureVectors:
    """Makes vectors by the settings' text–video pair, one question at a time."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is opened yet."""
        self._settings = settings
        self._opened: tuple[VideoEncoder, Decoder] | None = None
        self._asking = asyncio.Lock()

    async def vector(self, path: Path) -> Floats:
        """(1, D) float32, a unit row.

        Args:
            path: a picture or a video, of any format that uploads may have.

        Raises:
            RejectedError: it can't be decoded.
            NoPictureSearchError: the pair can't be used.
        """
        async with self._asking:
            return await asyncio.to_thread(self._vector, path)

    def _vector(self, path: Path) -> Floats:
        if self._opened is None:
            self._opened = self._open()
        encoder, decoder = self._opened
        with decoder.decode(path) as video:
            looked_at = spread(np.arange(len(video.frames)), self._settings.text_video.frames)
            found: Floats = encoder.embed(np.ascontiguousarray(video.frames[looked_at]))[None]
            return found

    def _open(self) -> tuple[VideoEncoder, Decoder]:
        try:
            encoder = open_video_encoder(self._settings.text_video)
        except ModelError as error:
            raise NoPictureSearchError(
                Text("text_video can't be used: {error}", error=brief(error, 200))
            ) from error
        alone = self._settings.decode.model_copy(update={"processes": 1})
        return encoder, Decoder(alone, encoder.input_size)

    def close(self) -> None:
        """End the process that decodes."""
        if self._opened is not None:
            self._opened[1].close()
