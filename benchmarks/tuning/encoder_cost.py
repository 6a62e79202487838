"""What an encoder file costs a frame, and what eight bits would change.

    python -m benchmarks.tuning.encoder_cost FILE... [--int8 POOL]

Files take turns, so that a busy moment of the machine meets all of them; the best turn counts.
With `--int8`, a folder of training pictures (`samesource train detector --pictures`), the first
file is quantised in two ways, measured beside the others, and its descriptors are held against its
own.
"""

import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import onnx
import onnxruntime as ort
import typer
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from rich.console import Console
from rich.table import Table

from benchmarks.copies.tables import machine
from models.runtime import open_session

BATCH = 32  # `encoder.batch`'s default
TURNS = 12  # the best is told, as other work on the machine only ever adds time
KEPT_POINTWISE = 4
"""The last pointwise layers, whose maps GeM raises to a power."""
Frames = NDArray[np.uint8]


class _Pictures(CalibrationDataReader):  # type: ignore[misc]
    """Batches of pictures, as the quantiser asks for them."""

    def __init__(self, name: str, frames: Frames) -> None:
        self._name = name
        self._batches = iter(np.split(frames, range(16, len(frames), 16)))

    def get_next(self) -> dict[str, Frames] | None:
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch}


def pictures_of(pool: Path, count: int = 256) -> Frames:
    """Prepared training pictures, plain and edited, (count, S, S, 3) uint8."""
    random = np.random.default_rng(0)
    paths = sorted(pool.glob("*.npy"))
    squares = [np.load(paths[n], mmap_mode="r") for n in random.integers(len(paths), size=count)]
    return np.stack(
        [one[random.integers(one.shape[0]), random.integers(one.shape[1])] for one in squares]
    )


def quantised(path: Path, folder: Path, frames: Frames) -> dict[str, Path]:
    """The file with eight-bit convolutions: all of them, or the pointwise ones inside the trunk."""
    plain = folder / "plain.onnx"
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(plain)
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    convolutions = [node for node in onnx.load(plain).graph.node if node.op_type == "Conv"]
    grouped = [node.name for node in convolutions if _groups(node) > 1]
    whole = [node.name for node in convolutions if _groups(node) == 1]
    found: dict[str, Path] = {}
    for name, left in (
        ("int8, all convolutions", []),
        ("int8, pointwise inside the trunk", [*grouped, whole[0], *whole[-KEPT_POINTWISE:]]),
    ):
        found[name] = folder / f"{len(found)}.onnx"
        quantize_static(
            plain, found[name], _Pictures(session.get_inputs()[0].name, frames),
            per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv"], nodes_to_exclude=left,
        )  # fmt: skip
    return found


def _groups(node: onnx.NodeProto) -> int:
    return next((int(one.i) for one in node.attribute if one.name == "group"), 1)


def milliseconds(files: dict[str, Path]) -> dict[str, float]:
    """The best turn of each file, milliseconds a frame on one thread."""
    sessions = {name: open_session(path) for name, path in files.items()}
    random = np.random.default_rng(0)
    best = dict.fromkeys(files, float("inf"))
    for turn in range(TURNS + 1):
        for name, session in sessions.items():
            wanted = session.get_inputs()[0]
            frames = random.integers(0, 256, (BATCH, *wanted.shape[1:]), np.uint8)
            before = time.perf_counter()
            session.run(None, {wanted.name: frames})
            if turn:
                spent = 1000 * (time.perf_counter() - before) / BATCH
                best[name] = min(best[name], spent)
    return best


def main(
    files: Annotated[list[Path], typer.Argument(help="Exported encoders.")],
    int8: Annotated[Path | None, typer.Option(help="Pictures to quantise the first with.")] = None,
) -> None:
    """Print milliseconds a frame, and how close quantised descriptors are to the file's own."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="samesource-") as scratch:
        compared = {str(path): path for path in files}
        close: dict[str, str] = {}
        if int8 is not None:
            frames = pictures_of(int8)
            made = quantised(files[0], Path(scratch), frames)
            compared |= made
            own = _descriptors(files[0], frames)
            for name, path in made.items():
                cosines = (own * _descriptors(path, frames)).sum(axis=1)
                close[name] = f"{cosines.mean():.3f}, {np.percentile(cosines, 5):.3f}"
        table = Table("encoder", "ms a frame", "cosine to its own: mean, 5th percentile")
        for name, spent in milliseconds(compared).items():
            table.add_row(name, f"{spent:.2f}", close.get(name, ""))
    console.print(table, machine())


def _descriptors(path: Path, frames: Frames) -> NDArray[np.float32]:
    session = open_session(path)
    name = session.get_inputs()[0].name
    parts = [
        session.run(None, {name: part})[0] for part in np.split(frames, range(32, len(frames), 32))
    ]
    return np.concatenate(parts)


if __name__ == "__main__":
    typer.run(main)
