"""A labelled set, decoded once and every candidate frame described once, kept between runs.

Serves `same_source` and `tune_aligners`, which look at one set through many choices of frames.
Uses the service's decoder and encoder; what is chosen, stored and searched is the caller's.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from models.encoder.serve import FrameEncoder, default_encoder_path
from models.keyframes.base import CandidateFrames
from models.video.frames import is_blank, is_repeat
from stream.contract.events import Role
from stream.decode.decoder import Decoder
from stream.errors import RejectedError
from stream.evaluate.copy_set import CopySet, read_copy_set
from stream.fingerprint.batched_encoder import BatchedEncoder
from stream.settings import Settings

PDQ_BITS = 256  # of a frame's hash, by its definition
FRAMES_FORMAT = "3"  # of what is kept: files of an older one are made anew


@dataclass(frozen=True)
class VideoFrames:
    """One video's candidate frames and what each encoder says of them.

    Attributes:
        role: `reference`, or `upload` for a query.
        frames: (N, S, S, 3) uint8 RGB, prepared; mapped from disk.
        seconds: (N,) float32, ascending; repeats are among them.
        duration_seconds: length of the video.
        cut_seconds: (C,) float32, where shots begin.
        motion: (M,) uint8, how much moves, as `models.video.motion` writes it down.
        blank: (N,) which frames show nothing.
        unrepeated: (M,) ascending indices of the frames that the service's decoder gives, which
            leaves out those of a still picture.
        descriptors: (N, D) float32, unit rows.
        score_biases: (N,) float32.
        hashes: (N, 256) int8, PDQ bits as -1 and 1; zero columns where it isn't installed.
        qualities: (N,) int64, of the hashes, 0 to 100.
        decode_cpu_seconds: of the decoder's child, for these frames.
    """

    video_id: str
    role: Role
    path: Path
    frames: NDArray[np.uint8]
    seconds: NDArray[np.float32]
    duration_seconds: float
    cut_seconds: NDArray[np.float32]
    motion: NDArray[np.uint8]
    blank: NDArray[np.bool_]
    unrepeated: NDArray[np.intp]
    descriptors: NDArray[np.float32]
    score_biases: NDArray[np.float32]
    hashes: NDArray[np.int8]
    qualities: NDArray[np.int64]
    decode_cpu_seconds: float

    def candidates(self, among: NDArray[np.intp]) -> CandidateFrames:
        """As a key-frame selector takes them; nothing is encoded yet.

        Args:
            among: (M,) ascending indices of the frames that there are.
        """
        return CandidateFrames(
            self.frames[among],
            self.seconds[among],
            self.duration_seconds,
            cut_seconds=self.cut_seconds,
        )


@dataclass(frozen=True)
class SetFrames:
    """All videos of a set.

    Attributes:
        videos: references first, each half in order of the id.
        unanswered: why there are no frames, by video id.
        model_version: of the encoder.
        encode_frame_seconds: CPU seconds of this process for one frame, measured when the frames
            were described.
        hash_frame_seconds: as `encode_frame_seconds`, of a PDQ hash.
        encoder: for other looks at the frames; None where there is none.
    """

    copies: CopySet
    videos: list[VideoFrames]
    unanswered: dict[str, str]
    model_version: str
    encode_frame_seconds: float
    hash_frame_seconds: float
    encoder: BatchedEncoder | None = None

    @property
    def video_hours(self) -> float:
        """Length of all videos."""
        return sum(video.duration_seconds for video in self.videos) / 3600


def read_set_frames(folder: Path, settings: Settings, kept: Path, console: Console) -> SetFrames:
    """Decode and describe every video of a set.

    Args:
        folder: as `stream.evaluate.copy_set` reads it.
        settings: of the service.
        kept: where frames and descriptors lie between runs; made anew when the file, the
            decoder's settings or the encoder has changed.
        console: for the progress bar.

    Raises:
        SettingsError: the set is incomplete.
        ModelFileError: the encoder can't be used.
    """
    copies = read_copy_set(folder)
    own = settings.encoder
    file = own.path or default_encoder_path(own.precision, own.provider)
    encoder = FrameEncoder(
        file,
        provider=own.provider,
        threads=own.threads,
        batch=own.batch,
    )
    # Exact repeats stay, for rows that store them; `unrepeated` are the others.
    decode = settings.decode.model_copy(update={"repeat_gap_seconds": 0.0})
    # By the file too: both precisions are one version.
    name = f"{encoder.model_version}-{file.stem}"
    describer = _Describer(encoder, name, own.batch, settings.decode.repeat_gap_seconds)
    videos, unanswered = [], {}
    with Decoder(decode, encoder.input_size) as decoder:
        for video_id, path, role in track(
            list(_files(copies)), "frames", console=console, transient=True
        ):
            place = kept / _name(path, encoder.input_size, decode.model_dump_json())
            try:
                decoded = _decoded(decoder, path, place)
            except RejectedError as error:
                unanswered[video_id] = f"{error.code}: {error}"
                continue
            videos.append(describer.describe(video_id, role, path, place, decoded))
    return SetFrames(
        copies,
        videos,
        unanswered,
        encoder.model_version,
        describer.seconds_each("encoder"),
        describer.seconds_each("pdq"),
        describer.encoder,
    )


def _files(copies: CopySet) -> Iterator[tuple[str, Path, Role]]:
    for video_id, path in copies.references.items():
        yield video_id, path, "reference"
    for video_id, path in copies.queries.items():
        yield video_id, path, "upload"


Arrays = dict[str, NDArray[np.generic]]


def _decoded(decoder: Decoder, path: Path, place: Path) -> Arrays:
    """What the decoder gives, from disk where it lies there."""
    file, frames = place.with_suffix(".npz"), place.with_suffix(".npy")
    if not (file.exists() and frames.exists()):
        place.parent.mkdir(parents=True, exist_ok=True)
        with decoder.decode(path) as video:
            np.save(frames, video.frames)
            np.savez(
                file,
                seconds=video.seconds,
                duration_seconds=np.float64(video.duration_seconds),
                cut_seconds=video.cut_seconds,
                motion=video.motion,
                blank=np.array([is_blank(frame) for frame in video.frames]),
                decode_cpu_seconds=np.float64(video.decode_cpu_seconds),
            )
    return {**np.load(file), "frames": np.load(frames, mmap_mode="r")}


def unrepeated(
    frames: NDArray[np.uint8], seconds: NDArray[np.float32], gap_seconds: float
) -> NDArray[np.intp]:
    """The frames that the service's decoder gives, by `DecodeSettings.repeat_gap_seconds`.

    Args:
        frames: (N, S, S, 3) uint8, all samples.
        seconds: (N,) ascending.
        gap_seconds: a repeat is left out until so long after the last kept frame.
    """
    kept = [0]
    for index in range(1, len(seconds)):
        near = float(seconds[index]) - float(seconds[kept[-1]]) < gap_seconds
        if not (near and is_repeat(frames[kept[-1]], frames[index])):
            kept.append(index)
    return np.array(kept, np.intp)


class _Describer:
    """Descriptors and hashes of all frames, and what one costs."""

    def __init__(
        self, encoder: FrameEncoder, name: str, batch: int, repeat_gap_seconds: float
    ) -> None:
        self._name, self._repeat_gap = name, repeat_gap_seconds
        self.encoder = BatchedEncoder(encoder, batch)
        self._costs: dict[str, list[float]] = {"encoder": [], "pdq": []}

    def describe(
        self, video_id: str, role: Role, path: Path, place: Path, decoded: Arrays
    ) -> VideoFrames:
        """Add what the encoder and PDQ say of the frames."""
        frames = np.asarray(decoded.pop("frames"), np.uint8)
        file = place.with_name(f"{place.name}-{self._name}.npz")
        ours = self._kept(file, "encoder", len(frames), lambda: self._encoded(frames))
        theirs = self._kept(
            place.with_name(f"{place.name}-pdq.npz"), "pdq", len(frames), lambda: _hashed(frames)
        )
        seconds = np.asarray(decoded["seconds"], np.float32)
        return VideoFrames(
            video_id=video_id,
            role=role,
            path=path,
            frames=frames,
            seconds=seconds,
            duration_seconds=float(decoded["duration_seconds"]),
            cut_seconds=np.asarray(decoded["cut_seconds"], np.float32),
            motion=np.asarray(decoded["motion"], np.uint8),
            blank=np.asarray(decoded["blank"], np.bool_),
            unrepeated=unrepeated(frames, seconds, self._repeat_gap),
            descriptors=np.asarray(ours["descriptors"], np.float32),
            score_biases=np.asarray(ours["score_offsets"], np.float32),
            hashes=np.asarray(theirs["hashes"], np.int8),
            qualities=np.asarray(theirs["qualities"], np.int64),
            decode_cpu_seconds=float(decoded["decode_cpu_seconds"]),
        )

    def seconds_each(self, kind: str) -> float:
        """CPU seconds of one frame: the median video, so that a busy moment doesn't count."""
        return float(np.median(self._costs[kind])) if self._costs[kind] else 0.0

    def _encoded(self, frames: NDArray[np.uint8]) -> Arrays:
        made = self.encoder.describe(frames, np.arange(len(frames)))
        return {"descriptors": made.descriptors, "score_offsets": made.score_biases}

    def _kept(self, file: Path, kind: str, frames: int, make: Callable[[], Arrays]) -> Arrays:
        if not file.exists():
            before = time.process_time()
            arrays = make()
            spent = np.float64((time.process_time() - before) / frames)
            np.savez(file, **{**arrays, "frame_seconds": spent})  # type: ignore[arg-type]
        found: Arrays = dict(np.load(file))
        self._costs[kind].append(float(found["frame_seconds"]))
        return found


def _hashed(frames: NDArray[np.uint8]) -> Arrays:
    """PDQ hashes of the prepared frames: borders are cut, which helps it."""
    try:
        import pdqhash
    except ImportError:
        empty = np.empty((len(frames), 0), np.int8)
        return {"hashes": empty, "qualities": np.zeros(len(frames), np.int64)}
    found = [pdqhash.compute(np.ascontiguousarray(frame)) for frame in frames]
    bits = np.array([bits for bits, _ in found]).reshape(len(frames), PDQ_BITS)
    return {
        "hashes": (2 * bits - 1).astype(np.int8),
        "qualities": np.array([quality for _, quality in found], np.int64),
    }


def _name(path: Path, size: int, decode: str) -> str:
    """A file name that changes with whatever the frames depend on."""
    stat = path.stat()
    parts = (
        FRAMES_FORMAT, str(path.resolve()), str(stat.st_size), str(stat.st_mtime_ns), str(size),
        decode,
    )  # fmt: skip
    return f"{path.stem}-{hashlib.blake2b(chr(10).join(parts).encode(), digest_size=8).hexdigest()}"
