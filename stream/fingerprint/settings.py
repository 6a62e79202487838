"""Settings of the networks that see a video's frames: the encoder's, and the text–video pair's."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.encoder.outside import OutsideSettings
from models.encoder.serve import Precision
from models.runtime import Provider
from models.text_video.outside import OutsidePairSettings


class EncoderSettings(BaseModel):
    """The frame encoder: a file and what runs it.

    Attributes:
        path: the shipped encoder when left out.
        outside: what the file expects, if `samesource export encoder` didn't write it.
        provider: what runs it.
        threads: of one operator, on the CPU.
        batch: frames in one run.
        engine_cache: a folder where TensorRT keeps what it builds, so that a worker starts in
            seconds; it builds at every start when left out.
        precision: of the shipped encoder on the CPU: `int8` costs half of `float32` where the
            processor has instructions for it, which `auto` looks up. Libraries may mix them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path | None = None
    outside: OutsideSettings | None = None
    provider: Provider = "cpu"
    threads: int = Field(default=1, ge=1)
    batch: int = Field(default=32, ge=1)
    engine_cache: Path | None = None
    precision: Precision = "auto"


class TextVideoSettings(BaseModel):
    """The text–video pair and what it looks at.

    Attributes:
        path: folder of an exported pair (`video.onnx`, `text.onnx`, `tokenizer.json`); the
            shipped one when left out.
        outside: a CLIP-like pair from outside instead.
        provider: what runs it.
        threads: of one operator, on the CPU.
        frames: most key frames of a video that are looked at, those that differ from each other;
            each is a moment that a text can find.
        thumbnails: small pictures of a video that travel with its vector.
        engine_cache: a folder where TensorRT keeps what it builds.
        precision: of an exported pair's video tower on the CPU, as the encoder's; `auto` is float32
            too where the pair has no file in eight bits. A pair from outside runs as it is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path | None = None
    outside: OutsidePairSettings | None = None
    provider: Provider = "cpu"
    threads: int = Field(default=1, ge=1)
    frames: int = Field(default=12, ge=1, le=64)
    thumbnails: int = Field(default=3, ge=0, le=16)
    engine_cache: Path | None = None
    precision: Precision = "auto"

    @model_validator(mode="after")
    def _one_pair(self) -> "TextVideoSettings":
        if self.path is not None and self.outside is not None:
            raise ValueError("both path and outside name a pair; leave one out")
        return self
