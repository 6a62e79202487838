"""The fingerprint step: an upload event in, its fingerprint and embedding out.

fetch ▸ decode ▸ key frames ▸ encode. Serves the fingerprint worker and `evaluate`.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.encode import FrameEncoder, default_encoder_path
from models.keyframes.even import EvenSelector
from models.select import CandidateFrames
from stream.decode.decoder import DecodedVideo, Decoder
from stream.errors import NoVideoError
from stream.events import (
    VideoEmbedded,
    VideoFingerprinted,
    VideoUploaded,
    pack_codes,
    pack_times,
)
from stream.fetch import fetch
from stream.settings import Settings
from stream.times import timed

CODE_SCALE = 127.0


@dataclass(frozen=True)
class Fingerprinted:
    """What one upload gives: the library's entry and the vector for search.

    Attributes:
        decode_cpu_seconds: CPU of the child process, which the parent's clock doesn't see.
    """

    event: VideoFingerprinted
    embedding: VideoEmbedded
    decode_cpu_seconds: float


class Fingerprinter:
    """Turns uploads into fingerprints. Thread-safe: several uploads at a time.

    Owns the decoder's child processes: close it, or use it as a context manager.
    """

    def __init__(self, settings: Settings) -> None:
        encoder = settings.encoder
        self._settings = settings
        self._encoder = FrameEncoder(
            encoder.path or default_encoder_path(),
            provider=encoder.provider,
            threads=encoder.threads,
            batch=encoder.batch,
        )
        self._selector = EvenSelector(settings.key_frames)
        self._decoder = Decoder(settings.decode, self._encoder.input_size)

    @property
    def model_version(self) -> str:
        """The encoder that made the descriptors."""
        return self._encoder.model_version

    def fingerprint(
        self, upload: VideoUploaded, request_id: str, stages: dict[str, float] | None = None
    ) -> Fingerprinted:
        """Fetch, decode, select and encode one video.

        Args:
            upload: the event.
            request_id: travels with every later event of this upload.
            stages: filled with seconds by stage, also when a stage raises.

        Raises:
            RejectedError: the video can't be processed; its code says why.
        """
        stages = {} if stages is None else stages
        with self._decoded(upload.uri, stages) as video:
            with timed(stages, "select"):
                chosen = self._selector.select(
                    CandidateFrames(video.frames, video.seconds, video.duration_seconds)
                )
            if len(chosen) == 0:
                raise NoVideoError(f"all {len(video.frames)} sampled frames are blank")
            with timed(stages, "encode"):
                descriptors = self._encode(video.frames, chosen)
            seconds = video.seconds[chosen]
            duration, cpu = video.duration_seconds, video.decode_cpu_seconds
        event = VideoFingerprinted(
            video_id=upload.video_id,
            content_version=upload.content_version,
            owner_id=upload.owner_id,
            role=upload.role,
            request_id=request_id,
            model_version=self.model_version,
            duration_seconds=duration,
            dimension=descriptors.shape[1],
            key_frame_seconds=pack_times(seconds),
            descriptors=pack_codes(quantise(descriptors)),
            stage_seconds=stages,
        )
        return Fingerprinted(event, self._embedding(upload, descriptors, duration), cpu)

    @contextmanager
    def _decoded(self, uri: str, stages: dict[str, float]) -> Iterator[DecodedVideo]:
        with tempfile.TemporaryDirectory(prefix="samesource-") as folder:
            with timed(stages, "fetch"):
                fetched = fetch(uri, self._settings.fetch, Path(folder))
            with timed(stages, "decode"):
                decoded = self._decoder.decode(fetched.path)
            with decoded as video:
                yield video

    def _encode(self, frames: NDArray[np.uint8], chosen: NDArray[np.intp]) -> NDArray[np.float32]:
        """Descriptors of the chosen frames, (K, D) float32, a batch in memory at a time."""
        batch = self._settings.encoder.batch
        parts = [
            self._encoder.encode(np.ascontiguousarray(frames[chosen[start : start + batch]]))
            for start in range(0, len(chosen), batch)
        ]
        return np.concatenate(parts)

    def _embedding(
        self, upload: VideoUploaded, descriptors: NDArray[np.float32], duration_seconds: float
    ) -> VideoEmbedded:
        pooled = descriptors.mean(axis=0, dtype=np.float64)
        norm = float(np.linalg.norm(pooled))
        vector = pooled / norm if norm > 0 else descriptors[0].astype(np.float64)
        return VideoEmbedded(
            video_id=upload.video_id,
            model_version=self.model_version,
            dimension=len(vector),
            vector=vector.tolist(),
            duration_seconds=duration_seconds,
        )

    def close(self) -> None:
        """End the decoder's child processes."""
        self._decoder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def quantise(descriptors: NDArray[np.float32]) -> NDArray[np.int8]:
    """Unit descriptors (N, D) float32 as int8 codes: times 127, rounded."""
    codes: NDArray[np.int8] = np.clip(np.rint(descriptors * CODE_SCALE), -127, 127).astype(np.int8)
    return codes
