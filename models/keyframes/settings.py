"""Settings of the key-frame selectors: which candidate frames are stored, and which only search."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from models.runtime import Provider


class KeyFrameSettings(BaseModel):
    """Which candidate frames become key frames.

    `frames_per_hour` is a quarter of one frame a second: with twice as many an even choice finds
    as much, with fewer the cuts decide (docs/experiments.md, "The key-frame extractor").

    Attributes:
        selector: a name in `models.keyframes.SELECTORS`.
        path: the network of `learned`, an ONNX file; empty is the shipped one.
        provider: what runs it.
        engine_cache: a folder where TensorRT keeps what it builds.
        frames_per_hour: what `learned` stores of an hour of video; shots are kept even if there
            are more of them.
        min_frames: what `learned` stores of a short video, as far as it has as many candidates;
            `frames_per_hour` alone would leave two or three of ten seconds.
        every_seconds: distance of the frames that `even` stores; none is nearer than candidates
            are (`decode.frames_per_second`).
        max_gap_seconds: a still picture is stored again after so long.
        pooled: whether the mean descriptor of the frames that a key frame stands for is stored,
            instead of its own.
        query_every_seconds: distance of the frames that search the library and are not stored;
            as above.
        query_parts: most parts of a frame that search besides the whole, where it is put together
            of several pictures; each is encoded. 0 looks at whole frames alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    selector: Literal["learned", "even"] = "learned"
    path: Path | None = None
    provider: Provider = "cpu"
    engine_cache: Path | None = None
    frames_per_hour: float = Field(default=900.0, gt=0)
    min_frames: int = Field(default=12, ge=1)
    every_seconds: float = Field(default=1.0, gt=0)
    max_gap_seconds: float = Field(default=10.0, gt=0)
    pooled: bool = True
    query_every_seconds: float = Field(default=1.0, gt=0)
    query_parts: int = Field(default=4, ge=0, le=8)
