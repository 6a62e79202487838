"""Frames to descriptors with an exported encoder; serves fingerprinting, without torch."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelFileError
from models.runtime import Provider, open_session

WEIGHTS = Path(__file__).parent / "weights"


def default_encoder_path() -> Path:
    """The encoder that is shipped."""
    return WEIGHTS / "encoder.onnx"


class FrameEncoder:
    """An exported frame encoder. Thread-safe.

    The file's contract: input `frames` (N, S, S, 3) uint8 RGB; output `descriptors` (N, D)
    float32 unit rows; metadata `model_version`, `input_size`, `dimension`.

    Attributes:
        model_version: names the weights; travels in every fingerprint and alert.
        input_size: S, pixels.
        dimension: D.
    """

    def __init__(
        self, path: Path, *, provider: Provider = "cpu", threads: int = 1, batch: int = 32
    ) -> None:
        """Load the file.

        Raises:
            ModelFileError: missing, unreadable, or not what its metadata says.
            ProviderError: the provider can't run here.
        """
        self._session = open_session(path, provider=provider, threads=threads)
        self._batch = batch
        metadata = self._session.get_modelmeta().custom_metadata_map
        missing = {"model_version", "input_size", "dimension"} - metadata.keys()
        if missing:
            raise ModelFileError(
                f"{path} lacks the metadata {', '.join(sorted(missing))}: export it again"
            )
        self.model_version = str(metadata["model_version"])
        try:
            self.input_size = int(metadata["input_size"])
            self.dimension = int(metadata["dimension"])
        except ValueError as error:
            raise ModelFileError(f"{path} has metadata that is no number: {error}") from error
        inputs = [(value.name, value.shape[1:]) for value in self._session.get_inputs()]
        if inputs != [("frames", [self.input_size, self.input_size, 3])]:
            raise ModelFileError(
                f"{path} takes {inputs}, expected `frames` of (N, {self.input_size}, "
                f"{self.input_size}, 3): export it again"
            )

    def encode(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Describe frames, a batch at a time.

        Args:
            frames: (N, S, S, 3) uint8 RGB, prepared by `models.frames.prepare`.

        Returns:
            (N, D) float32, unit rows.

        Raises:
            ValueError: another shape or type.
        """
        size = self.input_size
        if frames.dtype != np.uint8 or frames.shape[1:] != (size, size, 3):
            raise ValueError(
                f"{frames.shape = }, {frames.dtype = }, expected (N, {size}, {size}, 3) uint8"
            )
        if len(frames) == 0:
            return np.empty((0, self.dimension), np.float32)
        return np.concatenate(
            [
                self._session.run(None, {"frames": np.ascontiguousarray(part)})[0]
                for part in np.split(frames, range(self._batch, len(frames), self._batch))
            ]
        )
