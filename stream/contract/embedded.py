"""The event that search and recommendation read: a video's vector, and those of its moments.

Everybody imports it from `stream.contract.events`.
"""

from typing import Annotated, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, FailFast, Field, model_validator

from stream.contract.base import MAX_DIMENSIONS, ContentVersion, Event, Identifier, Seconds
from stream.contract.fingerprinted import Submission
from stream.contract.packed import CODE_SCALE, CODES, TIMES, pack_codes, pack_times, unpack

MAX_MOMENTS = 64  # of a message; as many as `text_video.frames` and `search.moments` allow


class Moments(NamedTuple):
    """Frames of a video that differ from each other, and what each shows by itself.

    Attributes:
        seconds: (M,) float32, ascending.
        vectors: (M, D) float32, unit rows of the video's vector's space; (0, D) where M is 0.
    """

    seconds: NDArray[np.float32]
    vectors: NDArray[np.float32]


class VideoEmbedded(Event):
    """A vector for the whole video, for search and recommendation, and some of its moments."""

    model_config = ConfigDict(
        json_schema_extra={
            "dependentRequired": {
                "moment_seconds": ["moment_vectors"],
                "moment_vectors": ["moment_seconds"],
            }
        }
    )
    topic = "video.embedded"

    video_id: Identifier
    content_version: Annotated[
        ContentVersion | None, Field(description="Of the upload; older messages lack it")
    ] = None
    submission: Annotated[
        Submission | None, Field(description="Of the upload; without it, content_version counts")
    ] = None
    model_version: Identifier
    dimension: Annotated[int, Field(gt=0, le=MAX_DIMENSIONS)]
    vector: Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], FailFast()]
    duration_seconds: Seconds
    thumbnails: Annotated[
        list[str],
        Field(description="base64 of small JPEGs, in order of time; may be empty"),
        FailFast(),
    ] = Field(default_factory=list)
    moment_seconds: Annotated[
        str | None,
        Field(
            description=f"base64 of little-endian float32 (M,), ascending, M up to {MAX_MOMENTS}: "
            "frames that differ from each other; older messages and videos of one picture lack them"
        ),
    ] = None
    moment_vectors: Annotated[
        str | None,
        Field(
            description="base64 of int8 (M, dimension): the vector of each of these frames by "
            "itself, times what makes its largest number 127"
        ),
    ] = None

    @model_validator(mode="after")
    def _vectors_fit(self) -> Self:
        if len(self.vector) != self.dimension:
            raise ValueError(f"{len(self.vector) = }, expected {self.dimension = }")
        if (self.moment_seconds is None) != (self.moment_vectors is None):
            raise ValueError("moment_seconds and moment_vectors: expected both or neither")
        self.moments()
        return self

    def moments(self) -> Moments:
        """Unpacked; none where the writer doesn't say.

        Raises:
            ValueError: they don't fit each other, which no checked event's do.
        """
        if self.moment_seconds is None or self.moment_vectors is None:
            return Moments(np.empty(0, np.float32), np.empty((0, self.dimension), np.float32))
        seconds = unpack("moment_seconds", self.moment_seconds, TIMES)
        codes = unpack("moment_vectors", self.moment_vectors, CODES)
        if len(seconds) > MAX_MOMENTS or len(codes) != len(seconds) * self.dimension:
            raise ValueError(
                f"{len(seconds)} moment_seconds and {len(codes)} bytes of moment_vectors: expected "
                f"up to {MAX_MOMENTS}, and {self.dimension} bytes for each"
            )
        # Finite too: every comparison with NaN is false, so that the order alone lets it pass.
        if not np.isfinite(seconds).all() or (np.diff(seconds) < 0).any():
            raise ValueError("moment_seconds are not ascending finite numbers")
        vectors = codes.reshape(-1, self.dimension).astype(np.float32)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not norms.all():
            raise ValueError("a moment's vector is zero")
        return Moments(seconds, vectors / norms)


def packed_moments(moments: Moments) -> tuple[str, str] | tuple[None, None]:
    """Moments as the event's `moment_seconds` and `moment_vectors`; None of no moments."""
    if not len(moments.seconds):
        return None, None
    largest = np.abs(moments.vectors).max(axis=1, keepdims=True)
    codes = np.rint(moments.vectors / largest * CODE_SCALE).astype(np.int8)
    return pack_times(moments.seconds), pack_codes(codes)
