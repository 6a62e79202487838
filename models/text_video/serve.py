"""Videos and texts to vectors of one space, with an exported pair; serves search, without torch.

`open_pair`, `open_video` and `open_text` give the shipped pair or one from outside.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from models.encoder.serve import WEIGHTS, Precision
from models.errors import ModelFileError
from models.runtime import Provider, multiplies_int8
from models.text_video.outside import OutsidePairSettings, OutsideTextTower, OutsideVideoTower
from models.text_video.towers import TextTower, VideoTower
from models.text_video.vectors import VideoVectors


class PairFiles(NamedTuple):
    """Where an exported pair lies."""

    video: Path
    text: Path
    tokenizer: Path

    @property
    def video_int8(self) -> Path:
        """The video tower in eight bits; a pair may be without."""
        return self.video.with_name("video-int8.onnx")

    @property
    def weights(self) -> Path:
        """What both graphs of the video tower share, where there are two."""
        return self.video.with_name("video.weights")

    @staticmethod
    def of(folder: Path) -> "PairFiles":
        """The files of a folder that `samesource export text-video` wrote."""
        return PairFiles(folder / "video.onnx", folder / "text.onnx", folder / "tokenizer.json")


def default_pair_files() -> PairFiles:
    """The pair that is shipped."""
    return PairFiles.of(WEIGHTS / "text-video")


class VideoEncoder(Protocol):
    """What turns a video into vectors, wherever its weights come from. Thread-safe.

    Attributes:
        model_version: of the pair; vectors of another version can't be compared.
        input_size: S, pixels.
        dimension: D.
    """

    model_version: str
    input_size: int
    dimension: int

    def embed(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """One vector for all frames of a video.

        Args:
            frames: (T, S, S, 3) uint8 RGB, T from 1 on, in order of time.

        Returns:
            (D,) float32, of unit length.

        Raises:
            ValueError: another shape or type, or no frame.
            ModelFileError: the network gives what is no vector.
        """
        ...

    def embed_frames(self, frames: NDArray[np.uint8]) -> VideoVectors:
        """The same vector, and one of each frame by itself; arguments and errors are `embed`'s."""
        ...


class TextEncoder(Protocol):
    """What turns texts into vectors of the videos' space. Thread-safe.

    Attributes:
        model_version: of the pair; vectors of another version can't be compared.
        dimension: D.
        max_tokens: where texts are cut.
    """

    model_version: str
    dimension: int
    max_tokens: int

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
        ...

    def tokens(self, text: str) -> int:
        """How many tokens the whole text has: above `max_tokens`, its end isn't read.

        Raises:
            ValueError: a text without a word.
        """
        ...

    def known_share(self, text: str) -> float:
        """Share in [0, 1] of the text's words, or tokens, that the vocabulary has.

        Raises:
            ValueError: a text without a word.
        """
        ...


@dataclass(frozen=True)
class Pair:
    """Both towers of one pair.

    Attributes:
        video: of videos.
        text: of texts.
        model_version: of both.
    """

    video: VideoEncoder
    text: TextEncoder
    model_version: str

    def __post_init__(self) -> None:
        """Refuse towers of two pairs.

        Raises:
            ModelFileError: their versions or dimensions differ.
        """
        versions = {self.model_version, self.video.model_version, self.text.model_version}
        if len(versions) > 1 or self.video.dimension != self.text.dimension:
            raise ModelFileError(
                f"the video tower is {self.video.model_version} with {self.video.dimension} "
                f"dimensions, the text tower {self.text.model_version} with "
                f"{self.text.dimension}: use both files of one export"
            )


def open_pair(
    files: Path | PairFiles | None = None,
    outside: OutsidePairSettings | None = None,
    *,
    provider: Provider = "cpu",
    precision: Precision = "auto",
    threads: int = 1,
    engine_cache: Path | None = None,
) -> Pair:
    """Both towers of the pair that settings name.

    Args:
        files: an exported pair, or the folder where it lies; the shipped one when left out.
        outside: a pair from outside instead, which names its own files.
        provider: what runs it.
        precision: of an exported video tower on the CPU, as `default_encoder_path` has it; `auto`
            is float32 too where the pair has no file in eight bits.
        threads: of one operator, on the CPU.
        engine_cache: where TensorRT keeps what it builds.

    Raises:
        ModelFileError: missing, unreadable, not what was said of it, or towers of two pairs.
        ProviderError: the provider can't run here.
    """
    video = open_video(
        files,
        outside,
        provider=provider,
        precision=precision,
        threads=threads,
        engine_cache=engine_cache,
    )
    text = open_text(files, outside, provider=provider, threads=threads, engine_cache=engine_cache)
    return Pair(video, text, video.model_version)


def open_video(
    files: Path | PairFiles | None = None,
    outside: OutsidePairSettings | None = None,
    *,
    provider: Provider = "cpu",
    precision: Precision = "auto",
    threads: int = 1,
    engine_cache: Path | None = None,
) -> VideoEncoder:
    """The video tower alone, as a worker needs it; arguments and errors are `open_pair`'s.

    Its `model_version` is the pair's all the same. Whether the text tower fits isn't looked at.
    """
    named = _files(files, outside)
    if outside is not None:
        return OutsideVideoTower(
            outside, provider=provider, threads=threads, engine_cache=engine_cache
        )
    path = _video_file(named, precision, provider)
    return VideoTower(path, provider=provider, threads=threads, engine_cache=engine_cache)


def open_text(
    files: Path | PairFiles | None = None,
    outside: OutsidePairSettings | None = None,
    *,
    provider: Provider = "cpu",
    threads: int = 1,
    engine_cache: Path | None = None,
) -> TextEncoder:
    """The text tower alone, as search needs it; arguments and errors are `open_pair`'s.

    Its `model_version` is the pair's all the same. Whether the video tower fits isn't looked at.
    """
    named = _files(files, outside)
    if outside is not None:
        return OutsideTextTower(
            outside, provider=provider, threads=threads, engine_cache=engine_cache
        )
    return TextTower(
        named.text, named.tokenizer, provider=provider, threads=threads, engine_cache=engine_cache
    )


def _video_file(files: PairFiles, precision: Precision, provider: Provider) -> Path:
    if precision == "int8" and provider != "cpu":
        raise ModelFileError(f"text_video.precision = int8 is for the CPU, got provider {provider}")
    fits = precision == "auto" and provider == "cpu" and multiplies_int8()
    small = precision == "int8" or (fits and files.video_int8.is_file())
    return files.video_int8 if small else files.video


def _files(files: Path | PairFiles | None, outside: OutsidePairSettings | None) -> PairFiles:
    if files is not None and outside is not None:
        raise ModelFileError(
            f"both an exported pair ({files}) and one from outside ({outside.image}): leave one out"
        )
    if files is None:
        return default_pair_files()
    return PairFiles.of(files) if isinstance(files, Path) else files
