"""An exported encoder in eight bits, its ranges taken from training clips.

Needs `onnx`; what it writes, `models.encoder.serve` runs.
"""

from itertools import islice
from pathlib import Path

import av
import numpy as np
import onnx
from numpy.typing import NDArray

from models.encoder.eight_bits import in_eight_bits
from models.encoder.serve import FrameEncoder
from models.errors import MissingDataError, ModelError
from models.video.frames import prepare

FRAMES_PER_CLIP = 3
MIN_COSINE = 0.9  # to the descriptor in floating point, of nineteen frames in twenty
MIN_COSINE_PERCENTILE = 5


def frames_of(data: Path, size: int) -> NDArray[np.uint8]:
    """Some frames of every training clip, as the encoder takes them.

    Args:
        data: holds `clips/*.mp4`.
        size: S, pixels.

    Returns:
        (N, S, S, 3) uint8 RGB, clip by clip.

    Raises:
        MissingDataError: no clips there.
    """
    paths = sorted((data / "clips").glob("*.mp4"))
    if not paths:
        raise MissingDataError(f"no clips/*.mp4 in {data}: name the data folder")
    return np.stack([prepare(rgb, size) for path in paths for rgb in _some(path)])


def _some(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.skip_frame = "NONKEY"
        frames = islice(container.decode(stream), FRAMES_PER_CLIP)
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in frames]


def quantise(
    source: Path, out: Path, seen: NDArray[np.uint8], asked: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Write an encoder in eight bits; it keeps its version, for it says the same.

    Args:
        source: what `samesource export encoder` wrote.
        out: the file to write.
        seen: (N, S, S, 3) uint8 RGB: real frames, a hundred or more, whose ranges are taken.
        asked: (M, S, S, 3): others, to compare both files on.

    Returns:
        (M,) cosines of both files' descriptors.

    Raises:
        ModelError: the file says something else than its source.
        ModelFileError: `source` is no encoder.
    """
    wanted = FrameEncoder(source).encode(asked)
    out.parent.mkdir(parents=True, exist_ok=True)
    # The head stays in floating point: it is no cost, and all of what it gives is stored.
    small, _ = in_eight_bits(source, seen)
    onnx.save(small, str(out))
    cosines: NDArray[np.float32] = (FrameEncoder(out).encode(asked) * wanted).sum(axis=1)
    least = float(np.percentile(cosines, MIN_COSINE_PERCENTILE))
    if least < MIN_COSINE:
        raise ModelError(
            f"in eight bits a twentieth of {len(asked)} frames has a cosine under {least:.3f} to "
            f"{source}, expected at least {MIN_COSINE}: calibrate on other frames"
        )
    return cosines
