"""A text–video pair from outside: ONNX files of a CLIP-like model and its tokenizer.

`models.text_video.serve` opens it, or the exported pair, behind one interface.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from models.encoder.outside import OutsideEncoder, OutsideSettings
from models.errors import ModelFileError
from models.runtime import Provider
from models.text_video.text_network import TextNetwork
from models.text_video.tokenizer_file import TokenizerFile
from models.text_video.vectors import VideoVectors, unit_rows

BATCH = 32  # frames in one run, as many as `encoder.batch` by default
# Where exporters put weights that they leave out of the ONNX file.
WEIGHTS_BESIDE = (".data", "_data", ".extra_file")
TRIED = "a"


class OutsidePairSettings(BaseModel):
    """What a pair from outside consists of and expects; its files say little of it.

    Attributes:
        image: ONNX file, pictures to vectors.
        text: ONNX file, ids to vectors.
        tokenizer: tokenizer.json of the library `tokenizers`.
        name: starts the `model_version`, of letters, digits and `._-`; the image file's name when
            left out.
        input_size: side of the square input in pixels.
        dimension: length of the vectors.
        mean: of each channel, subtracted from values in [0, 1]; CLIP's by default.
        std: of each channel, by which they are divided then.
        max_tokens: to which every text is cut or filled up.
        pad_id: fills up; what tokenizer.json names, or 0, when left out.
        image_output: the output that holds the vectors; the first when left out.
        text_output: the same of the text file.
        former_keys: what keys were called before; settings of then are still read.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    former_keys: ClassVar[dict[str, str]] = {"most_tokens": "max_tokens"}

    image: Path
    text: Path
    tokenizer: Path
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]{1,64}$")
    input_size: int = Field(ge=16, le=1024)
    dimension: int = Field(ge=2, le=4096)
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)
    max_tokens: int = Field(ge=2, le=2048, serialization_alias="most_tokens")
    pad_id: int | None = Field(default=None, ge=0)
    image_output: str | None = None
    text_output: str | None = None

    @property
    def files(self) -> dict[str, Path]:
        """The files by the names of their keys."""
        return {"image": self.image, "text": self.text, "tokenizer": self.tokenizer}


class OutsideVideoTower:
    """An image tower from outside as a video tower. Thread-safe.

    A video's vector is the mean of its frames' unit vectors, brought to unit length. A frame
    without a direction (zero or not finite) doesn't count.

    Attributes:
        model_version: of the pair, see `pair_version`.
        input_size: S, pixels.
        dimension: D.
    """

    def __init__(
        self,
        settings: OutsidePairSettings,
        *,
        provider: Provider = "cpu",
        threads: int = 1,
        engine_cache: Path | None = None,
    ) -> None:
        """Load the image file and try it.

        Raises:
            ModelFileError: a file of the pair is missing, or the image file is unreadable or has
                other inputs or outputs than the settings say.
            ProviderError: the provider can't run here.
        """
        self.model_version = pair_version(settings)
        self.input_size, self.dimension = settings.input_size, settings.dimension
        self._path = settings.image
        pictures = OutsideSettings(
            input_size=settings.input_size,
            dimension=settings.dimension,
            mean=settings.mean,
            std=settings.std,
            output=settings.image_output,
        )
        try:
            self._encoder = OutsideEncoder(
                settings.image,
                pictures,
                provider=provider,
                threads=threads,
                batch=BATCH,
                engine_cache=engine_cache,
            )
        except ModelFileError as error:
            raise ModelFileError(_with_our_keys(str(error))) from error

    def embed(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """One vector for all frames of a video.

        Args:
            frames: (T, S, S, 3) uint8 RGB, T from 1 on.

        Returns:
            (D,) float32, of unit length.

        Raises:
            ValueError: another shape or type, or no frame.
            ModelFileError: no frame has a direction.
        """
        return self.embed_frames(frames).vector

    def embed_frames(self, frames: NDArray[np.uint8]) -> VideoVectors:
        """The same, and the vector of each frame, of which it is the mean."""
        rows = self._encoder.encode(frames)  # (T, D) unit rows
        if not len(rows):
            raise ValueError("a video without a frame: give at least one")
        return VideoVectors(unit_rows(rows.mean(0, keepdims=True), self._path)[0], rows)


class OutsideTextTower:
    """A text tower from outside with its tokenizer. Thread-safe.

    What the file takes besides ids is found from its inputs, see `TextNetwork`.

    Attributes:
        model_version: of the pair, see `pair_version`.
        dimension: D.
        max_tokens: where texts are cut.
    """

    def __init__(
        self,
        settings: OutsidePairSettings,
        *,
        provider: Provider = "cpu",
        threads: int = 1,
        engine_cache: Path | None = None,
    ) -> None:
        """Load the text file and the tokenizer and try them.

        Raises:
            ModelFileError: a file of the pair is missing, or one of these two is unreadable or
                has other inputs or outputs than the settings say.
            ProviderError: the provider can't run here.
        """
        self.model_version = pair_version(settings)
        self.dimension, self.max_tokens = settings.dimension, settings.max_tokens
        self._path, length = settings.text, settings.max_tokens
        self._tokenizer = TokenizerFile(settings.tokenizer, length, settings.pad_id)
        self._network = TextNetwork(
            settings.text,
            length=length,
            output=settings.text_output,
            provider=provider,
            threads=threads,
            engine_cache=engine_cache,
        )
        self._try()  # at the start of a worker, not at the first question

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """A vector for each text; what exceeds `max_tokens` is cut off.

        Args:
            texts: N texts, N from 0 on.

        Returns:
            (N, D) float32, unit rows.

        Raises:
            ValueError: a text without a word.
            ModelFileError: the network gives what is no vector.
        """
        if not len(texts):
            return np.zeros((0, self.dimension), np.float32)
        rows = self._tokenizer.encode(texts, self.max_tokens)
        return unit_rows(self._network.run(rows), self._path)

    def tokens(self, text: str) -> int:
        """How many tokens the whole text has; ValueError if it has none."""
        return self._tokenizer.tokens(text)

    def known_share(self, text: str) -> float:
        """Share in [0, 1] of a text's tokens that the vocabulary has; ValueError if it has none."""
        return self._tokenizer.known_share(text)

    def _try(self) -> None:
        rows = self._tokenizer.encode([TRIED], self.max_tokens)
        try:
            found = self._network.run(rows)
        except Exception as error:
            raise ModelFileError(
                f"{self._path} fails on ids of {rows.ids.shape}: {error}: see "
                "text_video.outside.max_tokens and text_video.outside.tokenizer"
            ) from error
        if found.shape != (1, self.dimension):
            raise ModelFileError(
                f"{self._path} gives {found.shape} for 1 text, expected (1, {self.dimension}): set "
                "text_video.outside.dimension or text_video.outside.text_output"
            )
        unit_rows(found, self._path)


def pair_version(settings: OutsidePairSettings) -> str:
    """The pair's name and a hash of its files' content and of how they are fed.

    Each tower alone has it too, so all files are read, weights beside an ONNX file included.

    Raises:
        ModelFileError: a file is missing; the text names its key.
    """
    digest = hashlib.sha256()
    for key, path in settings.files.items():
        if not path.is_file():
            raise ModelFileError(
                f"text_video.outside.{key} = {path}: no such file: both towers and the tokenizer "
                "make the pair's version, wherever one of them runs"
            )
        # An ONNX file above 2 GB has its weights in another one: other weights, other version.
        beside = [path.with_name(path.name + suffix) for suffix in WEIGHTS_BESIDE]
        for part in [path, *(other for other in beside if other.is_file())]:
            with part.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    # By the keys of the first release: a pair's version outlives a setting's name.
    fed = settings.model_dump_json(exclude={"image", "text", "tokenizer", "name"}, by_alias=True)
    digest.update(fed.encode())
    return f"{settings.name or settings.image.stem}-{digest.hexdigest()[:8]}"


def _with_our_keys(text: str) -> str:
    """What `OutsideEncoder` says, with the keys of the pair's settings."""
    text = text.replace("encoder.outside.output", "text_video.outside.image_output")
    return text.replace("encoder.outside", "text_video.outside")
