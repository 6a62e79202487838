"""Everything that needs an NVIDIA GPU, in one call: parity with the CPU, speed, start times, Faiss.

`python -m benchmarks.gpu --json FILE`, with the extra `gpu` installed. Exit status: 0 when all was
run and agrees with the CPU, 1 when something differs or can't run, 2 when there is no GPU.
"""

import argparse
import ctypes
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from rich.console import Console

from models.encoder.serve import WEIGHTS
from models.errors import ModelError
from models.runtime import Provider, Span, open_session
from models.runtime.engines import HALF_BOUND, largest_difference
from models.runtime.in_flight import BatchRunner

NO_GPU = 2  # exit code: neither right nor wrong
MIN_ROWS = 2  # the least of TensorRT's profile, and so the smallest batch that may be asked for
SIDES = Span(16, 64, 128)  # least, usual and most of dimensions whose length a network leaves open
# Both compute with ten bits of mantissa (CUDA's TF32, TensorRT's half), the latter in more places.
PARITY: dict[Provider, float] = {"cpu": 1e-6, "cuda": 1e-2, "tensorrt": HALF_BOUND}
MIN_SECONDS = 1.0  # of a timing, so that a turn of the clock doesn't count; set by hand
NEIGHBOURS = 10  # asked for, as by `benchmarks/library/build.py`
IN_FLIGHT = 8  # batches handed over at once: copies and work overlap. Set by hand


@dataclass
class NetworkRow:
    """One network on one provider.

    Attributes:
        open_seconds: from the file to the first answer; TensorRT builds its engines in it.
        open_again_seconds: the same with the engines in the cache.
        difference: from the CPU, the largest of any output, relative where above 1.
        rows_per_second: by rows in a batch.
        in_flight_per_second: of the largest batch, copies of one overlapping with work on another.
        error: why it did not run.
    """

    network: str
    provider: Provider
    open_seconds: float = 0.0
    open_again_seconds: float = 0.0
    difference: float = 0.0
    rows_per_second: dict[int, float] = field(default_factory=dict)
    in_flight_per_second: float = 0.0
    error: str = ""

    @property
    def passed(self) -> bool:
        """Whether it ran and agrees with the CPU."""
        return not self.error and self.difference <= PARITY[self.provider]


@dataclass
class FaissRow:
    """Exact search on the GPU against the same on the CPU.

    Attributes:
        same_scores: share of the scores that are equal.
        cpu_queries_per_second: on all cores.
        gpu_queries_per_second: with the copies to and from the device.
        error: why it did not run.
    """

    rows: int
    dimension: int
    same_scores: float = 0.0
    cpu_queries_per_second: float = 0.0
    gpu_queries_per_second: float = 0.0
    error: str = ""

    @property
    def passed(self) -> bool:
        """Products of codes are whole numbers, so every score must be the same."""
        return not self.error and self.same_scores == 1.0


def gpu_names() -> list[str]:
    """The GPUs that the driver shows.

    Raises:
        OSError: there is no driver, or it does not start; the text names it.
    """
    driver = ctypes.CDLL("libcuda.so.1")
    if (status := driver.cuInit(0)) != 0:
        raise OSError(f"libcuda.so.1 is there, but cuInit fails with CUDA error {status}")
    count = ctypes.c_int()
    driver.cuDeviceGetCount(ctypes.byref(count))
    names = []
    for at in range(count.value):
        device, name = ctypes.c_int(), ctypes.create_string_buffer(256)
        driver.cuDeviceGet(ctypes.byref(device), at)
        driver.cuDeviceGetName(name, len(name), device)
        names.append(name.value.decode())
    if not names:
        raise OSError("the driver shows no GPU")
    return names


def feed(session: onnxruntime.InferenceSession, rows: int) -> dict[str, NDArray[Any]]:
    """Random inputs; bytes come in squares of eight, since pictures are no noise.

    Args:
        session: whose inputs.
        rows: the first dimension.
    """
    random = np.random.default_rng(rows)
    inputs: dict[str, NDArray[Any]] = {}
    for value in session.get_inputs():
        rest = [side if isinstance(side, int) else SIDES.usual for side in value.shape[1:]]
        if value.type == "tensor(uint8)":
            coarse = random.integers(0, 256, (rows, rest[0] // 8, rest[1] // 8, rest[2]))
            inputs[value.name] = coarse.repeat(8, axis=1).repeat(8, axis=2).astype(np.uint8)
        else:
            inputs[value.name] = random.random((rows, *rest), np.float32)
    return inputs


def per_second(work: Callable[[], object], rows: int) -> float:
    """Rows a second of something that does `rows` at a time, after one unmeasured round."""
    work()
    start, done = time.perf_counter(), 0
    while (passed := time.perf_counter() - start) < MIN_SECONDS:
        work()
        done += rows
    return done / passed


def measure_network(
    path: Path, provider: Provider, batches: list[int], engine_cache: Path, threads: int = 1
) -> NetworkRow:
    """Run a network on a provider, and on the CPU for comparison."""
    row = NetworkRow(path.stem, provider)
    reference = open_session(path, threads=threads)
    most = max(batches)

    def opened() -> tuple[onnxruntime.InferenceSession, float]:
        start = time.perf_counter()
        session = open_session(
            path,
            provider=provider,
            threads=threads,
            rows=Span(MIN_ROWS, most, most),
            sides=SIDES,
            engine_cache=engine_cache,
        )
        session.run(None, feed(session, max(batches)))
        return session, time.perf_counter() - start

    try:
        session, row.open_seconds = opened()
        del session
        session, row.open_again_seconds = opened()
        for rows in batches:
            inputs = feed(session, rows)
            found, wanted = session.run(None, inputs), reference.run(None, inputs)
            row.difference = max(row.difference, largest_difference(found, wanted))
            row.rows_per_second[rows] = per_second(partial(session.run, None, inputs), rows)
        several = [feed(session, most)] * IN_FLIGHT
        runner, wanted = BatchRunner(session, provider), reference.run(None, several[0])
        for found in runner.run_all(several):
            row.difference = max(row.difference, largest_difference(found, wanted))
        row.in_flight_per_second = per_second(partial(runner.run_all, several), IN_FLIGHT * most)
    except (ModelError, RuntimeError) as error:  # ONNX Runtime's own derive from RuntimeError
        row.error = str(error)
    return row


def whole_rows(count: int, dimension: int, seed: int) -> NDArray[np.float32]:
    """Unit rows as int8 codes, (count, dimension) float32 whole numbers from -127 to 127."""
    rows = np.random.default_rng(seed).standard_normal((count, dimension), np.float32)
    unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return np.rint(unit * 127).astype(np.float32)


def measure_faiss(
    rows: int, dimension: int, queries: int, to_gpu: Callable[[Any], Any] | None = None
) -> FaissRow:
    """Search the same codes with Faiss on both.

    Args:
        rows: of the library.
        dimension: of the codes.
        queries: in one call.
        to_gpu: moves an index there; Faiss's first GPU when left out.
    """
    row = FaissRow(rows, dimension)
    on_cpu = faiss.IndexFlatIP(dimension)
    on_cpu.add(whole_rows(rows, dimension, seed=1))
    asked = whole_rows(queries, dimension, seed=2)
    try:
        on_gpu = (to_gpu or _to_first_gpu)(on_cpu)
        found, wanted = on_gpu.search(asked, NEIGHBOURS)[0], on_cpu.search(asked, NEIGHBOURS)[0]
        row.same_scores = float((found == wanted).mean())
        row.cpu_queries_per_second = per_second(lambda: on_cpu.search(asked, NEIGHBOURS), queries)
        row.gpu_queries_per_second = per_second(lambda: on_gpu.search(asked, NEIGHBOURS), queries)
    except RuntimeError as error:
        row.error = str(error)
    return row


def _to_first_gpu(index: Any) -> Any:
    if not hasattr(faiss, "StandardGpuResources") or faiss.get_num_gpus() == 0:
        raise RuntimeError(
            f"this Faiss ({faiss.__version__}) has no GPU: install faiss-gpu, not faiss-cpu"
        )
    return faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)


def main() -> int:
    """Read the arguments, measure, print, and say by the exit status whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=Path, default=WEIGHTS, help="a folder of *.onnx")
    parser.add_argument("--batches", type=int, nargs="+", default=[2, 8, 32, 128])
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the Faiss library")
    parser.add_argument("--threads", type=int, default=4, help="of the CPU that it is compared to")
    parser.add_argument("--engines", type=Path, help="a folder that keeps the engines")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    console = Console(soft_wrap=True, highlight=False)
    if min(arguments.batches) < MIN_ROWS:
        parser.error(f"--batches {arguments.batches}: expected {MIN_ROWS} or more")
    try:
        names = gpu_names()
    except OSError as error:
        console.print(f"no GPU: {error}. Nothing was measured: this is no pass.")
        return NO_GPU
    paths = sorted(arguments.networks.glob("*.onnx"))
    if not paths:
        parser.error(f"--networks {arguments.networks}: no *.onnx there")
    console.print(f"{', '.join(names)}; ONNX Runtime {onnxruntime.__version__}")
    providers: tuple[Provider, ...] = ("cuda", "tensorrt")
    with tempfile.TemporaryDirectory() as scratch:
        networks = [
            measure_network(
                path,
                provider,
                arguments.batches,
                arguments.engines or Path(scratch),
                arguments.threads,
            )
            for path in paths
            for provider in providers
        ]
    searched = measure_faiss(arguments.rows, 128, 256)
    measured: list[NetworkRow | FaissRow] = [*networks, searched]
    for row in measured:
        console.print("ok    " if row.passed else "FAILED", asdict(row))
    if arguments.json:
        report = {
            "gpus": names,
            "onnxruntime": onnxruntime.__version__,
            "faiss": faiss.__version__,
            "parity_bounds": PARITY,
            "networks": [{**asdict(row), "passed": row.passed} for row in networks],
            "faiss_flat": {**asdict(searched), "passed": searched.passed},
        }
        arguments.json.write_text(json.dumps(report, indent=2))
    return 0 if all(row.passed for row in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
