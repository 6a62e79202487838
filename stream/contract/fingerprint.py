"""An upload as the steps pass it on: what its frames look like and when, as arrays.

The fingerprint step makes a `Fingerprint`, `VideoFingerprinted` carries it over the library log,
and shards search, compare and keep it. Each array is unpacked once and checked once, when the
object is made.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from models.video.motion import RATE, curve_of
from stream.contract.events import (
    ContentVersion,
    Place,
    Role,
    Submission,
    VideoFingerprinted,
)
from stream.contract.packed import (
    CODES,
    MOTION,
    TIMES,
    pack_codes,
    pack_motion,
    pack_times,
    unpack,
)
from stream.errors import BadEventError, brief

SPARE_MOTION_CODES = 4  # beyond the duration: one second, for writers that round it


class _Fields(NamedTuple):
    """What the event calls the arrays of some frames."""

    seconds: str
    codes: str
    bias_codes: str


KEY_FIELDS = _Fields("key_frame_seconds", "descriptors", "score_offsets")
QUERY_FIELDS = _Fields("query_frame_seconds", "query_descriptors", "query_score_offsets")


# No `==`: of arrays it gives arrays, which are neither true nor false.
@dataclass(frozen=True, eq=False)
class CodedFrames:
    """Some frames of one video, as codes.

    Of frames that search there may be several looks at one moment: the whole picture, and parts of
    it.

    Attributes:
        seconds: (N,) float32, ascending; equal for looks at one moment.
        codes: (N, D) int8, unit descriptors times 127, rounded.
        bias_codes: (N,) int8, score biases times 127, rounded; zeros without score normalisation.
    """

    seconds: NDArray[np.float32]
    codes: NDArray[np.int8]
    bias_codes: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.seconds)

    def __repr__(self) -> str:
        return f"CodedFrames({self.codes.shape = })"

    @cached_property
    def whole(self) -> NDArray[np.float32]:
        """`codes` as (N, D) float32 whole numbers, made once for all candidates."""
        return self.codes.astype(np.float32)

    def beside(self, others: "CodedFrames") -> "CodedFrames":
        """These and others, in order of time; at one moment these come first."""
        seconds = np.concatenate([self.seconds, others.seconds])
        order = np.argsort(seconds, kind="stable")
        return CodedFrames(
            seconds[order],
            np.concatenate([self.codes, others.codes])[order],
            np.concatenate([self.bias_codes, others.bias_codes])[order],
        )

    @cached_property
    def moments(self) -> NDArray[np.intp]:
        """(N,) a number for each look, from 0: the same for looks at one moment."""
        # A slice, so that it also holds of no frames.
        return np.cumsum(np.diff(self.seconds, prepend=self.seconds[:1]) > 0)


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """One version of one video. Its arrays are read-only from then on.

    Attributes:
        request_id: names the delivery of the upload; travels in every later event.
        model_version: the encoder that made the descriptors.
        key_frames_version: what chose the key frames; None where a writer doesn't say.
        key_frames: what the library keeps.
        query_frames: the denser frames that search; the key frames themselves where there are none.
        cut_seconds: (C,) float32, ascending: where one shot ends and the next begins.
        motion_codes: (M,) uint8, 4 a second, how much the picture changes; empty where unknown.
        submission: where the upload lay, so that what was submitted first is known.
        embedded_at: where its vector is, on `video.embedded`.
        uri: where the upload said that the video is; None where a writer doesn't say.
        title: the upload's.
        stage_seconds: wall-clock by stage so far.

    Raises:
        ValueError: arrays that don't fit each other, or times that go back; names the field.
    """

    video_id: str
    content_version: ContentVersion
    owner_id: str
    role: Role
    request_id: str
    model_version: str
    duration_seconds: float
    key_frames: CodedFrames
    query_frames: CodedFrames
    cut_seconds: NDArray[np.float32]
    motion_codes: NDArray[np.uint8]
    key_frames_version: str | None = None
    submission: Submission | None = None
    embedded_at: Place | None = None
    uri: str | None = None
    title: str | None = None
    stage_seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_frames(self.key_frames, KEY_FIELDS)
        _check_times("cut_seconds", self.cut_seconds)
        _check_motion(self.motion_codes, self.duration_seconds)
        if self.has_denser_query:
            _check_frames(self.query_frames, QUERY_FIELDS)
        for array in self._arrays():
            # Threads, and all candidates of an upload, share them.
            array.setflags(write=False)

    @classmethod
    def from_bytes(cls, data: bytes | None) -> Self:
        """Read it from the value of a message of the library log.

        Raises:
            BadEventError: as `VideoFingerprinted.from_bytes` and `from_event`.
        """
        return cls.from_event(VideoFingerprinted.from_bytes(data))

    @classmethod
    def from_event(cls, event: VideoFingerprinted) -> Self:
        """Unpack and check what has travelled.

        Raises:
            BadEventError: an array isn't what it should be, or doesn't fit the others (named).
        """
        try:
            key = _key_frames(event)
            return cls(
                video_id=event.video_id,
                content_version=event.content_version,
                owner_id=event.owner_id,
                role=event.role,
                request_id=event.request_id,
                model_version=event.model_version,
                duration_seconds=event.duration_seconds,
                key_frames=key,
                query_frames=_query_frames(event, key),
                cut_seconds=unpack("cut_seconds", event.cut_seconds or "", TIMES),
                motion_codes=unpack("motion", event.motion or "", MOTION),
                key_frames_version=event.key_frames_version,
                submission=event.submission,
                embedded_at=event.embedded_at,
                uri=event.uri,
                title=event.title,
                stage_seconds=event.stage_seconds,
            )
        except ValueError as error:
            raise BadEventError(brief(f"VideoFingerprinted: {error}")) from None

    def to_event(self) -> VideoFingerprinted:
        """What travels on the library log; `from_event` gives the same arrays again."""
        key, query = self.key_frames, self.query_frames if self.has_denser_query else None
        return VideoFingerprinted(
            video_id=self.video_id,
            content_version=self.content_version,
            owner_id=self.owner_id,
            role=self.role,
            request_id=self.request_id,
            model_version=self.model_version,
            key_frames_version=self.key_frames_version,
            duration_seconds=self.duration_seconds,
            dimension=self.dimension,
            key_frame_seconds=pack_times(key.seconds),
            descriptors=pack_codes(key.codes),
            score_offsets=pack_codes(key.bias_codes),
            cut_seconds=pack_times(self.cut_seconds),
            motion=pack_motion(self.motion_codes),
            query_frame_seconds=None if query is None else pack_times(query.seconds),
            query_descriptors=None if query is None else pack_codes(query.codes),
            query_score_offsets=None if query is None else pack_codes(query.bias_codes),
            submission=self.submission,
            embedded_at=self.embedded_at,
            uri=self.uri,
            title=self.title,
            stage_seconds=self.stage_seconds,
        )

    @property
    def is_picture(self) -> bool:
        """Whether all that searches is one moment: a still picture, or a video as short as one."""
        return int(self.query_frames.moments.max(initial=0)) == 0

    @property
    def dimension(self) -> int:
        """D of its descriptors."""
        return int(self.key_frames.codes.shape[1])

    @property
    def has_denser_query(self) -> bool:
        """Whether other frames search than those that are kept."""
        return self.query_frames is not self.key_frames

    @cached_property
    def motion(self) -> NDArray[np.float32]:
        """`motion_codes` as the aligner sees them, (M,) float32, made once for all candidates."""
        return curve_of(self.motion_codes)

    def _arrays(self) -> Iterator[NDArray[Any]]:
        for frames in (self.key_frames, self.query_frames):
            yield from (frames.seconds, frames.codes, frames.bias_codes)
        yield from (self.cut_seconds, self.motion_codes)


def _key_frames(event: VideoFingerprinted) -> CodedFrames:
    return _unpacked(
        KEY_FIELDS, event.key_frame_seconds, event.descriptors, event.score_offsets, event.dimension
    )


def _query_frames(event: VideoFingerprinted, key_frames: CodedFrames) -> CodedFrames:
    """The key frames search where a writer sent no others."""
    seconds, codes = event.query_frame_seconds, event.query_descriptors
    if seconds is None or codes is None:  # the event has both or neither
        return key_frames
    return _unpacked(QUERY_FIELDS, seconds, codes, event.query_score_offsets, event.dimension)


def _unpacked(
    names: _Fields, seconds: str, codes: str, bias_codes: str | None, dimension: int
) -> CodedFrames:
    times = unpack(names.seconds, seconds, TIMES)
    flat = unpack(names.codes, codes, CODES)
    if len(flat) % dimension:
        raise ValueError(f"{len(flat)} bytes of {names.codes} are no multiple of {dimension = }")
    biases = np.zeros(len(times), np.int8)
    if bias_codes is not None:
        biases = unpack(names.bias_codes, bias_codes, CODES)
    return CodedFrames(times, flat.reshape(-1, dimension), biases)


def _check_frames(frames: CodedFrames, names: _Fields) -> None:
    _check_times(names.seconds, frames.seconds)
    for name, values in ((names.codes, frames.codes), (names.bias_codes, frames.bias_codes)):
        if len(values) != len(frames.seconds):
            raise ValueError(f"{len(frames.seconds)} {names.seconds} for {len(values)} {name}")


def _check_times(name: str, times: NDArray[np.float32]) -> None:
    # Finite too: every comparison with NaN is false, so that the order alone lets it pass.
    if not np.isfinite(times).all() or (np.diff(times) < 0).any():
        raise ValueError(f"{name} are not ascending finite numbers")


def _check_motion(codes: NDArray[np.uint8], duration_seconds: float) -> None:
    most = np.ceil(duration_seconds * RATE) + SPARE_MOTION_CODES
    if len(codes) > most:
        raise ValueError(
            f"{len(codes)} codes of motion for duration_seconds = {duration_seconds:g}, expected "
            f"{RATE:g} a second, {most:.0f} at most"
        )
