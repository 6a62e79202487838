"""The fingerprint step: an upload in, its fingerprint and embedding out.

fetch ▸ decode ▸ key frames ▸ encode ▸ embed. Serves the fingerprint worker and `evaluate`.
"""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore, Event
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.encoder.outside import open_encoder
from models.encoder.serve import EncodedFrames
from models.keyframes import make_selector
from models.keyframes.base import CandidateFrames
from models.keyframes.even import EvenSelector
from models.keyframes.settings import KeyFrameSettings
from models.keyframes.stored import stored_frames
from models.video.views import views_of
from stream.contract.events import VideoEmbedded, VideoUploaded
from stream.contract.fingerprint import CodedFrames, Fingerprint
from stream.contract.packed import quantise
from stream.decode.decoded_video import DecodedVideo
from stream.decode.decoder import Decoder
from stream.decode.room import CrowdedError, Room, Turn, is_shortage
from stream.errors import NoVideoError
from stream.fetch.fetch import FetchedVideo, fetch
from stream.fetch.permits import Permit
from stream.fingerprint.batched_encoder import BatchedEncoder
from stream.fingerprint.embed import open_embedder
from stream.scratch import Scratch
from stream.settings import Settings
from stream.times import timed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fingerprinted:
    """What one upload gives: what the library keeps and the vector for search.

    Attributes:
        embedding: None where it failed, or no text–video pair is there.
        decode_cpu_seconds: CPU of the child process, which the parent's clock doesn't see.
    """

    fingerprint: Fingerprint
    embedding: VideoEmbedded | None
    decode_cpu_seconds: float


class Fingerprinter:
    """Turns uploads into fingerprints. Thread-safe: several uploads at a time.

    Owns the decoder's child processes: close it, or use it as a context manager.
    """

    def __init__(self, settings: Settings, *, embed: bool = True) -> None:
        """Load the networks.

        Args:
            settings: of the service.
            embed: whether to make vectors for search too.

        Raises:
            ModelError: a network is missing or can't run here.
        """
        encoder = settings.encoder
        self._settings = settings
        self._stop = Event()
        self._slots = BoundedSemaphore(settings.worker.fingerprint_concurrency)
        self._encoder = open_encoder(
            encoder.path,
            encoder.outside,
            provider=encoder.provider,
            threads=encoder.threads,
            batch=encoder.batch,
            engine_cache=encoder.engine_cache,
            precision=encoder.precision,
        )
        # A GPU idles in a batch that isn't full; a CPU is kept busy by a thread for each upload.
        self._batched = BatchedEncoder(
            self._encoder, encoder.batch, shared=encoder.provider != "cpu"
        )
        key_frames = settings.key_frames
        self._selector = make_selector(key_frames)
        self._query = EvenSelector(
            key_frames.model_copy(update={"every_seconds": _searching_every(key_frames)})
        )
        self._embedder = open_embedder(settings.text_video) if embed else None
        size, preview_size = self._encoder.input_size, None
        if self._embedder is not None and self._embedder.input_size != size:
            preview_size = self._embedder.input_size
        self._decoder = Decoder(settings.decode, size, preview_size)
        self._room = Room(None)
        self._scratch = Scratch(None)

    @property
    def model_version(self) -> str:
        """The encoder that made the descriptors."""
        return self._encoder.model_version

    @property
    def networks(self) -> dict[str, str | None]:
        """The version of each network, or the rule in its place; None where there is none."""
        return {
            "encoder": self.model_version,
            "key_frames": self.key_frames_version,
            "text_video": None if self._embedder is None else self._embedder.model_version,
        }

    @property
    def embeds(self) -> bool:
        """Whether it makes vectors for search."""
        return self._embedder is not None

    @property
    def key_frames_version(self) -> str:
        """What chose the key frames: a network's version, or the name of a rule."""
        return str(getattr(self._selector, "version", self._settings.key_frames.selector))

    def fingerprint(
        self,
        upload: VideoUploaded,
        request_id: str,
        stages: dict[str, float] | None = None,
        permit: Permit | None = None,
        *,
        embed: bool = True,
    ) -> Fingerprinted:
        """Fetch, decode, select, encode and embed one video.

        A failure of the embedding alone is logged and costs the embedding alone.

        Args:
            upload: the event.
            request_id: travels with every later event of this upload.
            stages: filled with seconds by stage, also when a stage raises.
            permit: for a large download; without one it needn't wait.
            embed: whether to make a vector for search too, where there is a pair.

        Raises:
            RejectedError: the video can't be processed; its code says why.
            NoPermitError: its download is large, and must wait for its permit.
        """
        stages = {} if stages is None else stages
        with self._decoded(upload.uri, permit, stages) as video:
            candidates = CandidateFrames(
                video.frames, video.seconds, video.duration_seconds, cut_seconds=video.cut_seconds
            )
            with timed(stages, "select"):
                # Key frames are chosen among these, so that no frame passes the encoder twice.
                encoded = self._searching(candidates)
            with timed(stages, "encode"):
                described = self._batched.describe(video.frames, encoded)
            with timed(stages, "select"):
                key, stored = self._stored(candidates, encoded, described)
            searching = self._looks(video, encoded, described, stages)
            embedding = (
                self._embedded(upload, video, key, stored.descriptors, stages) if embed else None
            )
        key_frames = _coded(video.seconds[key], stored)
        # Key frames are among those that search: as many of both are the same, sent once.
        denser = len(searching) > len(key)
        fingerprint = Fingerprint(
            video_id=upload.video_id,
            content_version=upload.content_version,
            owner_id=upload.owner_id,
            role=upload.role,
            request_id=request_id,
            model_version=self.model_version,
            key_frames_version=self.key_frames_version,
            duration_seconds=video.duration_seconds,
            key_frames=key_frames,
            query_frames=searching if denser else key_frames,
            cut_seconds=video.cut_seconds,
            motion_codes=video.motion,
            uri=upload.uri,
            title=upload.title,
            # Copied, as the dictionary stays the caller's, who may go on filling it.
            stage_seconds=dict(stages),
        )
        return Fingerprinted(fingerprint, embedding, video.decode_cpu_seconds)

    @contextmanager
    def _decoded(
        self, uri: str, permit: Permit | None, stages: dict[str, float]
    ) -> Iterator[DecodedVideo]:
        fetching = self._room.enter()  # one for all tries: its pauses get longer
        while True:
            with self._fetched(uri, fetching, permit, stages) as fetched, self._slots:
                # Slots come after the download: a slow one holds none.
                try:
                    with timed(stages, "decode"):
                        decoded = self._decoder.decode(
                            fetched.path, self._aside, takes_room=self._takes_room(fetched)
                        )
                except CrowdedError as error:
                    needed = error.bytes + fetched.size_bytes
                else:
                    with decoded as video:
                        yield video
                    return
            # Its copy is gone by now: downloads that wait for room can take all that there is.
            with timed(stages, "fetch"), fetching:
                fetching.reserve = False  # not at once: others should decode first
                fetching.wait(needed)

    def _takes_room(self, fetched: FetchedVideo) -> bool:
        """Whether a video is a copy on the disk of the decoded frames."""
        spools = self._settings.decode.spool_folder or Path(tempfile.gettempdir())
        return fetched.is_copy and fetched.path.stat().st_dev == spools.stat().st_dev

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """Let another upload have the slot for the time of the block."""
        self._slots.release()
        try:
            yield
        finally:
            self._slots.acquire()

    @contextmanager
    def _fetched(
        self, uri: str, turn: Turn, permit: Permit | None, stages: dict[str, float]
    ) -> Iterator[FetchedVideo]:
        """The video as a file; where this machine has no room for it, tried again and again."""
        with ExitStack() as files:
            with timed(stages, "fetch"), turn:
                while True:
                    try:
                        folder = tempfile.TemporaryDirectory(dir=self._scratch.folder)
                        files.enter_context(folder)
                        video = fetch(
                            uri, self._settings.fetch, Path(folder.name), self._stop, permit
                        )
                        break
                    except OSError as error:
                        # Before it waits: what was half fetched takes the very room that is short.
                        files.close()
                        if not is_shortage(error):
                            raise
                    turn.wait(self._settings.fetch.max_bytes)
            yield video

    def _searching(self, candidates: CandidateFrames) -> NDArray[np.intp]:
        """Indices of the frames that are encoded and search; key frames are chosen among them.

        Raises:
            NoVideoError: every frame is blank.
        """
        encoded = self._query.select(candidates)
        if len(encoded) == 0:
            raise NoVideoError(f"all {len(candidates)} sampled frames are blank")
        return encoded

    def _stored(
        self, candidates: CandidateFrames, encoded: NDArray[np.intp], described: EncodedFrames
    ) -> tuple[NDArray[np.intp], EncodedFrames]:
        return stored_frames(
            self._selector,
            candidates,
            encoded,
            described,
            pooled=self._settings.key_frames.pooled,
        )

    def _looks(
        self,
        video: DecodedVideo,
        encoded: NDArray[np.intp],
        described: EncodedFrames,
        stages: dict[str, float],
    ) -> CodedFrames:
        """The frames that search, and parts of those that are put together of several pictures."""
        whole = _coded(video.seconds[encoded], described)
        with timed(stages, "select"):
            views = views_of(video.frames, encoded, self._settings.key_frames.query_parts)
        if len(views) == 0:
            return whole
        with timed(stages, "encode"):
            parts = self._batched.describe(views, np.arange(len(views)))
        return whole.beside(_coded(video.seconds[encoded[views.places]], parts))

    def _embedded(
        self,
        upload: VideoUploaded,
        video: DecodedVideo,
        key: NDArray[np.intp],
        descriptors: NDArray[np.float32],
        stages: dict[str, float],
    ) -> VideoEmbedded | None:
        if self._embedder is None:
            return None
        with timed(stages, "embed"):
            try:
                return self._embedder.embed(upload, video, key, descriptors)
            except Exception:
                log.exception("%s can't be embedded: text won't find it", upload.video_id)
                return None

    def close(self) -> None:
        """End the downloads and the decoder's child processes."""
        self._stop.set()
        self._room.close()
        self._decoder.close()
        self._scratch.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _coded(seconds: NDArray[np.float32], described: EncodedFrames) -> CodedFrames:
    return CodedFrames(seconds, quantise(described.descriptors), quantise(described.score_biases))


def _searching_every(settings: KeyFrameSettings) -> float:
    """Seconds between the frames that search: all that `even` stores are among them."""
    if settings.selector == "even":
        return min(settings.every_seconds, settings.query_every_seconds)
    return settings.query_every_seconds
