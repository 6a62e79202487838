"""The exported key-frame network: thumbnails in order of time to scores, without torch."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelFileError
from models.keyframes.thumbnails import THUMBNAIL
from models.runtime import Provider, Span, open_session

WEIGHTS = Path(__file__).parent.parent / "weights"
CHUNK = 256  # frames in one run, 0.8 MB of thumbnails; `CONTEXT` makes the result the same for any
CONTEXT = 4  # frames to each side that a frame's quality may depend on; the network's reach is less


@dataclass(frozen=True)
class FrameScores:
    """What the network says of each frame.

    Attributes:
        quality: (N,) float32 in (0, 1), what share of a key frame's similarity to its
            surroundings edits leave.
        looks: (N, L) float32, unit rows; their cosines forecast those of descriptors.
    """

    quality: NDArray[np.float32]
    looks: NDArray[np.float32]


def default_scorer_path() -> Path:
    """The network that is shipped."""
    return WEIGHTS / "keyframes.onnx"


class FrameScorer:
    """An exported key-frame network. Thread-safe.

    The file's contract: input `thumbnails` (N, 32, 32, 3) uint8 RGB, N at least 2, in order of
    time; outputs `quality` (N,) and `looks` (N, L) float32; metadata `model_version`.

    Attributes:
        model_version: names the weights.
    """

    def __init__(
        self,
        path: Path,
        *,
        provider: Provider = "cpu",
        threads: int = 1,
        engine_cache: Path | None = None,
    ) -> None:
        """Load the file.

        Args:
            path: what `samesource export keyframes` wrote.
            provider: what runs it.
            threads: of one operator, on the CPU.
            engine_cache: where TensorRT keeps what it builds.

        Raises:
            ModelFileError: missing, unreadable, or not such a network.
            ProviderError: the provider can't run here.
        """
        most = CHUNK + 2 * CONTEXT
        self._session = open_session(
            path,
            provider=provider,
            threads=threads,
            rows=Span(2, most, most),
            engine_cache=engine_cache,
        )
        metadata = self._session.get_modelmeta().custom_metadata_map
        inputs = [(value.name, value.shape[1:]) for value in self._session.get_inputs()]
        outputs = [value.name for value in self._session.get_outputs()]
        expected = [("thumbnails", [THUMBNAIL, THUMBNAIL, 3])]
        if inputs != expected or outputs != ["quality", "looks"] or "model_version" not in metadata:
            raise ModelFileError(
                f"{path} takes {inputs}, gives {outputs} and says {sorted(metadata)}, expected "
                f"{expected}, ['quality', 'looks'] and model_version: export it again"
            )
        self.model_version = str(metadata["model_version"])

    def score(self, small: NDArray[np.uint8]) -> FrameScores:
        """Score one video's frames, a chunk at a time.

        Args:
            small: (N, 32, 32, 3) uint8 RGB, N ≥ 1, in order of time.

        Raises:
            ValueError: another shape or type.
        """
        if (
            small.dtype != np.uint8
            or small.shape[1:] != (THUMBNAIL, THUMBNAIL, 3)
            or not len(small)
        ):
            raise ValueError(
                f"{small.shape = }, {small.dtype = }, expected "
                f"(N, {THUMBNAIL}, {THUMBNAIL}, 3) uint8, N at least 1"
            )
        parts = [self._chunk(small, start) for start in range(0, len(small), CHUNK)]
        return FrameScores(
            np.concatenate([quality for quality, _ in parts]),
            np.concatenate([looks for _, looks in parts]),
        )

    def _chunk(
        self, small: NDArray[np.uint8], start: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Scores of `CHUNK` frames, seen with those around them."""
        end = min(start + CHUNK, len(small))
        first, last = max(start - CONTEXT, 0), min(end + CONTEXT, len(small))
        seen = small[first:last]
        if len(seen) == 1:  # the file takes two at least; beside itself a frame is still
            seen = np.repeat(seen, 2, axis=0)
        quality, looks = self._session.run(
            ["quality", "looks"], {"thumbnails": np.ascontiguousarray(seen)}
        )
        return quality[start - first : end - first], looks[start - first : end - first]
