"""Frames to descriptors with an exported encoder; serves fingerprinting, without torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelFileError
from models.runtime import Network, Provider, multiplies_int8

WEIGHTS = Path(__file__).parent.parent / "weights"

Precision = Literal["auto", "float32", "int8"]


def default_encoder_path(precision: Precision = "float32", provider: Provider = "cpu") -> Path:
    """The encoder that is shipped.

    Both files are of one version: what one says of a frame is compared with what the other said.

    Args:
        precision: `auto` is int8 where the processor multiplies such numbers at once, at half the
            cost, and else float32. Without such instructions int8 costs as much and says less.
        provider: what runs it; a GPU has a precision of its own.

    Raises:
        ModelFileError: int8 for a GPU.
    """
    if precision == "int8" and provider != "cpu":
        raise ModelFileError(f"encoder.precision = int8 is for the CPU, got provider {provider}")
    small = precision == "auto" and provider == "cpu" and multiplies_int8()
    return WEIGHTS / ("encoder-int8.onnx" if small or precision == "int8" else "encoder.onnx")


@dataclass(frozen=True)
class EncodedFrames:
    """What an encoder says of frames.

    Attributes:
        descriptors: (N, D) float32, unit rows.
        score_biases: (N,) float32, signed: how much more similar than most a frame is to
            whatever there is. Half of both frames' biases is subtracted from their similarity.
    """

    descriptors: NDArray[np.float32]
    score_biases: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Refuse arrays of different lengths."""
        if self.score_biases.shape != self.descriptors.shape[:1]:
            raise ValueError(
                f"{self.score_biases.shape = }, expected ({len(self.descriptors)},) as "
                f"{self.descriptors.shape = }"
            )

    def __len__(self) -> int:
        return len(self.descriptors)


class Encoder(Protocol):
    """What turns frames into descriptors, wherever its weights come from. Thread-safe.

    Attributes:
        model_version: names the weights; travels in every fingerprint and alert.
        input_size: S, pixels.
        dimension: D.
    """

    model_version: str
    input_size: int
    dimension: int

    def encode(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Descriptors alone: (N, S, S, 3) uint8 RGB to (N, D) float32 unit rows."""
        ...

    def describe(self, frames: NDArray[np.uint8]) -> EncodedFrames:
        """Descriptors and score biases of (N, S, S, 3) uint8 RGB, N from 0 on.

        Raises:
            ValueError: another shape or type.
        """
        ...


def check_frames(frames: NDArray[np.uint8], size: int) -> None:
    """Refuse what isn't (N, size, size, 3) uint8.

    Raises:
        ValueError: says what it is.
    """
    if frames.dtype != np.uint8 or frames.shape[1:] != (size, size, 3):
        raise ValueError(
            f"{frames.shape = }, {frames.dtype = }, expected (N, {size}, {size}, 3) uint8"
        )


class FrameEncoder:
    """An exported frame encoder. Thread-safe.

    The file's contract: input `frames` (N, S, S, 3) uint8 RGB; output `descriptors` (N, D)
    float32 unit rows; output `score_offsets` (N,) float32, or none: then they are zeros; metadata
    `model_version`, `input_size`, `dimension`.

    Attributes:
        model_version: names the weights; travels in every fingerprint and alert.
        input_size: S, pixels.
        dimension: D.
    """

    def __init__(
        self,
        path: Path,
        *,
        provider: Provider = "cpu",
        threads: int = 1,
        batch: int = 32,
        engine_cache: Path | None = None,
    ) -> None:
        """Load the file.

        Args:
            path: what `samesource export encoder` wrote.
            provider: what runs it.
            threads: of one operator, on the CPU.
            batch: frames in one run.
            engine_cache: where TensorRT keeps what it builds.

        Raises:
            ModelFileError: missing, unreadable, or not what its metadata says.
            ProviderError: the provider can't run here.
        """
        self._network = Network(
            path,
            metadata=("input_size", "dimension"),
            provider=provider,
            threads=threads,
            batch=batch,
            engine_cache=engine_cache,
        )
        self.model_version = self._network.model_version
        try:
            self.input_size = int(self._network.metadata["input_size"])
            self.dimension = int(self._network.metadata["dimension"])
        except ValueError as error:
            raise ModelFileError(f"{path} has metadata that is no number: {error}") from error
        there = self._network.outputs
        if "descriptors" not in there:
            raise ModelFileError(
                f"{path} gives {', '.join(sorted(there))}, expected `descriptors`: export it again"
            )
        inputs = [(name, shape[1:]) for name, shape in self._network.inputs.items()]
        if inputs != [("frames", (self.input_size, self.input_size, 3))]:
            raise ModelFileError(
                f"{path} takes {inputs}, expected `frames` of (N, {self.input_size}, "
                f"{self.input_size}, 3): export it again"
            )

    def encode(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Descriptors alone; the rest is `describe`'s."""
        return self.describe(frames).descriptors

    def describe(self, frames: NDArray[np.uint8]) -> EncodedFrames:
        """Describe frames, a batch at a time.

        Args:
            frames: (N, S, S, 3) uint8 RGB, prepared by `models.video.frames.prepare`.

        Raises:
            ValueError: another shape or type.
        """
        check_frames(frames, self.input_size)
        none = np.zeros(len(frames), np.float32)
        if not len(frames):  # `Network` takes one row at least; blank videos have no frame
            return EncodedFrames(np.zeros((0, self.dimension), np.float32), none)
        found = dict(zip(self._network.outputs, self._network.run({"frames": frames}), strict=True))
        return EncodedFrames(found["descriptors"], found.get("score_offsets", none))
