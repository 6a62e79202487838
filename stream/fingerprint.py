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
from models.keyframes import make_selector
from models.keyframes.even import EvenSelector
from models.select import CandidateFrames
from stream.decode.decoder import DecodedVideo, Decoder
from stream.describe import FrameDescriber
from stream.errors import NoVideoError
from stream.events import VideoEmbedded, VideoFingerprinted, VideoUploaded
from stream.fetch import fetch
from stream.packed import pack_codes, pack_times, quantise
from stream.settings import Settings
from stream.times import timed


@dataclass(frozen=True)
class Fingerprinted:
    """What one upload gives: the library's entry and the vector for search.

    Attributes:
        decode_cpu_seconds: CPU of the child process, which the parent's clock doesn't see.
    """

    event: VideoFingerprinted
    embedding: VideoEmbedded
    decode_cpu_seconds: float


@dataclass(frozen=True)
class _ChosenFrames:
    """Indices of candidate frames: `key` are stored, `encoded` search; both ascending."""

    key: NDArray[np.intp]
    encoded: NDArray[np.intp]

    @property
    def key_rows(self) -> NDArray[np.intp]:
        """Where the key frames are among the encoded ones."""
        return np.searchsorted(self.encoded, self.key)

    @property
    def denser(self) -> bool:
        """Whether more frames search than are stored."""
        return len(self.encoded) > len(self.key)


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
        self._describer = FrameDescriber(self._encoder, encoder.batch)
        key_frames = settings.key_frames
        self._selector = make_selector(key_frames)
        self._query = EvenSelector(
            key_frames.model_copy(update={"every_seconds": key_frames.query_every_seconds})
        )
        self._decoder = Decoder(settings.decode, self._encoder.input_size)

    @property
    def model_version(self) -> str:
        """The encoder that made the descriptors."""
        return self._encoder.model_version

    @property
    def key_frames_version(self) -> str:
        """What chose the key frames: a network's version, or the name of a rule."""
        return str(getattr(self._selector, "version", self._settings.key_frames.selector))

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
                frames = self._select(video)
            with timed(stages, "encode"):
                described = self._describer.describe(video.frames, frames.encoded)
            seconds, cuts = video.seconds, video.cut_seconds
            duration, cpu = video.duration_seconds, video.decode_cpu_seconds
        codes, offsets = quantise(described.descriptors), quantise(described.score_offsets)
        event = VideoFingerprinted(
            video_id=upload.video_id,
            content_version=upload.content_version,
            owner_id=upload.owner_id,
            role=upload.role,
            request_id=request_id,
            model_version=self.model_version,
            key_frames_version=self.key_frames_version,
            duration_seconds=duration,
            dimension=codes.shape[1],
            key_frame_seconds=pack_times(seconds[frames.key]),
            descriptors=pack_codes(codes[frames.key_rows]),
            score_offsets=pack_codes(offsets[frames.key_rows]),
            cut_seconds=pack_times(cuts),
            query_frame_seconds=pack_times(seconds[frames.encoded]) if frames.denser else None,
            query_descriptors=pack_codes(codes) if frames.denser else None,
            query_score_offsets=pack_codes(offsets) if frames.denser else None,
            stage_seconds=stages,
        )
        key_descriptors = described.descriptors[frames.key_rows]
        return Fingerprinted(event, self._embedding(upload, key_descriptors, duration), cpu)

    @contextmanager
    def _decoded(self, uri: str, stages: dict[str, float]) -> Iterator[DecodedVideo]:
        with tempfile.TemporaryDirectory(prefix="samesource-") as folder:
            with timed(stages, "fetch"):
                fetched = fetch(uri, self._settings.fetch, Path(folder))
            with timed(stages, "decode"):
                decoded = self._decoder.decode(fetched.path)
            with decoded as video:
                yield video

    def _select(self, video: DecodedVideo) -> "_ChosenFrames":
        """Key frames, and the denser frames that search with them.

        Raises:
            NoVideoError: every frame is blank.
        """
        candidates = CandidateFrames(
            video.frames, video.seconds, video.duration_seconds, cut_seconds=video.cut_seconds
        )
        key = self._selector.select(candidates)
        if len(key) == 0:
            raise NoVideoError(f"all {len(video.frames)} sampled frames are blank")
        return _ChosenFrames(key, np.union1d(key, self._query.select(candidates)))

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
