"""Which candidate frames a row of a benchmark stores and searches, as fingerprints."""

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.copies.set_frames import VideoFrames
from models.encoder.serve import EncodedFrames
from models.keyframes.base import KeyFrameSelector
from models.keyframes.even import EvenSelector
from models.keyframes.settings import KeyFrameSettings
from models.keyframes.stored import stored_frames
from models.video.views import views_of
from stream.contract.fingerprint import CodedFrames, Fingerprint
from stream.contract.packed import quantise
from stream.fingerprint.batched_encoder import BatchedEncoder

MIN_PDQ_QUALITY = 50  # of 100: PDQ's authors advise to leave out frames below it
# Bits as -1 and 1 over the square root of 256 are a unit row: its product is 1 - hamming / 128.
PDQ_CODE = 8
NO_GAP_SECONDS = 1e-6  # shorter than any frame: repeats are stored too


@dataclass(frozen=True)
class Choice:
    """What is stored and searched of one video; indices among its candidates ascend.

    Attributes:
        stored: (K,) indices of the frames that the library keeps.
        codes: (K, D) int8, what it keeps of them.
        biases: (K,) int8.
        searching: (Q,) indices of the frames that are compared with it.
        searching_codes: (Q, D) int8.
        searching_biases: (Q,) int8.
        motion: whether the video's motion goes with them.
        parts: of the frames that search, that search too; None where nobody looked for any.
        select_cpu_seconds: of choosing, and of finding the parts.
    """

    stored: NDArray[np.intp]
    codes: NDArray[np.int8]
    biases: NDArray[np.int8]
    searching: NDArray[np.intp]
    searching_codes: NDArray[np.int8]
    searching_biases: NDArray[np.int8]
    motion: bool = True
    parts: CodedFrames | None = None
    select_cpu_seconds: float = 0.0

    @property
    def described(self) -> int:
        """How many frames and parts the encoder has to see."""
        parts = 0 if self.parts is None else len(self.parts)
        return len(np.union1d(self.stored, self.searching)) + parts


@dataclass
class Parts:
    """Parts of put-together pictures, as the service searches with them.

    Attributes:
        encoder: describes them.
        most: of a frame.
    """

    encoder: BatchedEncoder
    most: int
    _found: dict[tuple[Path, bytes], tuple[CodedFrames, float]] = field(default_factory=dict)

    def beside(self, video: VideoFrames, choice: Choice) -> Choice:
        """The same choice with the parts of its frames that search; these are found once."""
        key = (video.path, choice.searching.tobytes())
        if key not in self._found:
            self._found[key] = self._of(video, choice.searching)
        parts, seconds = self._found[key]
        spent = choice.select_cpu_seconds + seconds
        return replace(choice, parts=parts, select_cpu_seconds=spent)

    def _of(self, video: VideoFrames, searching: NDArray[np.intp]) -> tuple[CodedFrames, float]:
        before = time.process_time()
        views = views_of(video.frames, searching, self.most)
        seconds = time.process_time() - before  # describing them counts by the frame
        codes = np.empty((0, video.descriptors.shape[1]), np.int8)
        biases = np.empty(0, np.int8)
        if len(views):
            described = self.encoder.describe(views, np.arange(len(views)))
            codes, biases = quantise(described.descriptors), quantise(described.score_biases)
        return CodedFrames(video.seconds[searching[views.places]], codes, biases), seconds


def choose(
    video: VideoFrames,
    selector: KeyFrameSelector,
    query: KeyFrameSelector,
    *,
    pooled: bool,
    repeats: bool = True,
    motion: bool = True,
) -> Choice:
    """Choose as the fingerprint step does: key frames among those that search.

    Args:
        video: its candidates.
        selector: of the key frames.
        query: of the frames that search.
        pooled: whether a key frame's descriptor is the mean over what it stands for.
        repeats: whether repeats of a still picture are candidates; to the service they aren't.
        motion: whether the video's motion goes with them.
    """
    before = time.process_time()
    among = np.arange(len(video.seconds)) if repeats else video.unrepeated
    candidates = video.candidates(among)
    encoded = query.select(candidates)
    described = EncodedFrames(video.descriptors[among[encoded]], video.score_biases[among[encoded]])
    key, kept = stored_frames(selector, candidates, encoded, described, pooled=pooled)
    return Choice(
        among[key],
        quantise(kept.descriptors),
        quantise(kept.score_biases),
        among[encoded],
        quantise(described.descriptors),
        quantise(described.score_biases),
        motion,
        select_cpu_seconds=time.process_time() - before,
    )


def even_selector(every_seconds: float, *, repeats: bool = True) -> EvenSelector:
    """The service's even choice.

    Args:
        every_seconds: distance of the frames.
        repeats: whether exact repeats of a still picture are chosen like other frames.
    """
    settings = KeyFrameSettings(selector="even", every_seconds=every_seconds)
    gap = NO_GAP_SECONDS if repeats else settings.max_gap_seconds
    return EvenSelector(settings.model_copy(update={"max_gap_seconds": gap}))


def choose_hashes(video: VideoFrames, every_seconds: float) -> Choice:
    """PDQ hashes of even frames, without motion; those of low quality are left out."""
    chosen = even(video, every_seconds)
    chosen = chosen[video.qualities[chosen] >= MIN_PDQ_QUALITY]
    codes = (PDQ_CODE * video.hashes[chosen]).astype(np.int8)
    none = np.zeros(len(chosen), np.int8)
    return Choice(chosen, codes, none, chosen, codes, none, motion=False)


def even(video: VideoFrames, every_seconds: float) -> NDArray[np.intp]:
    """The candidate nearest to each multiple of `every_seconds`; blank ones are left out."""
    wanted = np.arange(0.0, video.duration_seconds, every_seconds)
    middles = (video.seconds[1:] + video.seconds[:-1]) / 2
    nearest = np.unique(np.searchsorted(middles, wanted, side="right"))
    return nearest[~video.blank[nearest]]


def fingerprint_of(video: VideoFrames, choice: Choice, model_version: str) -> Fingerprint:
    """The video as a library shard reads it."""
    same = np.array_equal(choice.stored, choice.searching)
    denser = bool(choice.parts) or not (
        same and np.array_equal(choice.codes, choice.searching_codes)
    )
    key = CodedFrames(video.seconds[choice.stored], choice.codes, choice.biases)
    query = CodedFrames(
        video.seconds[choice.searching], choice.searching_codes, choice.searching_biases
    )
    if choice.parts is not None:
        query = query.beside(choice.parts)
    return Fingerprint(
        video_id=video.video_id,
        content_version=1,
        owner_id=video.role,
        role=video.role,
        request_id=f"benchmark-{video.video_id}",
        model_version=model_version,
        duration_seconds=video.duration_seconds,
        key_frames=key,
        query_frames=query if denser else key,
        cut_seconds=video.cut_seconds,
        motion_codes=video.motion if choice.motion else np.empty(0, np.uint8),
    )
