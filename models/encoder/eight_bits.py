"""A network in whole numbers of eight bits, for processors that multiply such at once.

After Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-
Only Inference" (CVPR 2018): weights by channel, activations by the range that they take on real
frames. Needs `onnx`; serves `models.encoder.quantise` and `models.text_video.quantise`.
"""

import io
import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.calibrate import CalibrationDataReader

BATCH = 8  # frames at a time while ranges are noted
OPERATORS = ("Conv", "Add", "Clip")  # what the trunks are made of

Names = list[str]


class _Frames(CalibrationDataReader):  # type: ignore[misc]  # has no types
    """Frames in batches, as the calibration asks for them."""

    def __init__(self, frames: NDArray[np.uint8]) -> None:
        whole = len(frames) // BATCH * BATCH  # batches of two sizes can't be put together
        self._batches = np.split(frames[:whole], whole // BATCH)
        self.set_range(0, len(self))

    def __len__(self) -> int:
        return len(self._batches)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Which batches come next."""
        self._left = iter(self._batches[start_index:end_index])

    def get_next(self) -> dict[str, Any] | None:
        """The next batch; None behind the last one."""
        batch = next(self._left, None)
        return None if batch is None else {"frames": batch}


def in_eight_bits(
    source: Path,
    seen: NDArray[np.uint8],
    nodes: Callable[[onnx.ModelProto], Names] | None = None,
) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """A network in eight bits, and the same in float32, both with its metadata.

    Args:
        source: an ONNX file that takes `frames`.
        seen: (N, S, S, 3) uint8 RGB: real frames, a hundred or more, whose ranges are taken.
        nodes: names of what is done in eight bits; of `OPERATORS` all by default.
    """
    with tempfile.TemporaryDirectory() as folder, _quiet():
        folded, out = Path(folder) / "folded.onnx", Path(folder) / "out.onnx"
        _fold(source, folded)
        plain = onnx.load(str(folded))
        quantize_static(
            folded,
            out,
            _Frames(seen),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            # Unsigned by signed is what the instructions take.
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=list(OPERATORS),
            nodes_to_quantize=None if nodes is None else nodes(plain),
            calibrate_method=CalibrationMethod.Percentile,
            # A batch at a time: all that the layers give of hundreds of frames is tens of GB.
            extra_options={"CalibStridedMinMax": 1},
        )
        small = onnx.load(str(out))
    kept = onnx.load(str(source)).metadata_props
    for model in (small, plain):
        del model.metadata_props[:]
        model.metadata_props.extend(kept)
    return small, plain


def _fold(source: Path, target: Path) -> None:
    """The network in float32 throughout: casts of what is stored in half of it are worked out."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


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
