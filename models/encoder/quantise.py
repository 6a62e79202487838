"""An exported encoder in whole numbers of eight bits, for processors that multiply such at once.

After Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-
Only Inference" (CVPR 2018): weights by channel, activations by the range that they take on real
frames. Needs `onnx`; what it writes, `models.encoder.serve` runs.
"""

import io
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.calibrate import CalibrationDataReader

from models.encoder.serve import FrameEncoder
from models.errors import MissingDataError, ModelError
from models.video.frames import prepare

BATCH = 8  # frames at a time while ranges are noted
FRAMES_PER_CLIP = 3
# What the trunk is made of. The head stays in floating point: it is no cost, and all of what it
# gives is stored.
OPERATORS = ["Conv", "Add", "Clip"]
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


class _Frames(CalibrationDataReader):  # type: ignore[misc]  # has no types
    """Frames in batches, as the calibration asks for them."""

    def __init__(self, frames: NDArray[np.uint8]) -> None:
        whole = len(frames) // BATCH * BATCH  # batches of two sizes can't be put together
        self._batches = iter(np.split(frames[:whole], whole // BATCH))

    def get_next(self) -> dict[str, Any] | None:
        """The next batch; None behind the last one."""
        batch = next(self._batches, None)
        return None if batch is None else {"frames": batch}


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
    with tempfile.TemporaryDirectory() as folder, _quiet():
        folded = Path(folder) / "folded.onnx"
        _fold(source, folded)
        quantize_static(
            folded,
            out,
            _Frames(seen),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            # Unsigned by signed is what the instructions take.
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=OPERATORS,
            calibrate_method=CalibrationMethod.Percentile,
        )
    _keep_metadata(source, out)
    cosines: NDArray[np.float32] = (FrameEncoder(out).encode(asked) * wanted).sum(axis=1)
    least = float(np.percentile(cosines, MIN_COSINE_PERCENTILE))
    if least < MIN_COSINE:
        raise ModelError(
            f"in eight bits a twentieth of {len(asked)} frames has a cosine under {least:.3f} to "
            f"{source}, expected at least {MIN_COSINE}: calibrate on other frames"
        )
    return cosines


def _fold(source: Path, target: Path) -> None:
    """The network in float32 throughout: casts of what is stored in half of it are worked out."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


def _keep_metadata(source: Path, out: Path) -> None:
    kept, model = onnx.load(str(source)).metadata_props, onnx.load(str(out))
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    onnx.save(model, str(out))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's hints, which come by the root logger and by print."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
