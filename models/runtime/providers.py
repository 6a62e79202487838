"""Execution providers and what they are told; serves `models.runtime.session`."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from models.errors import ProviderError

Provider = Literal["cpu", "cuda", "tensorrt"]
PROVIDERS: dict[Provider, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
DEVICE = 0  # the first that the process sees; CUDA_VISIBLE_DEVICES says which that is
WORKSPACE_BYTES = 1 << 30  # scratch memory: TensorRT leaves out kernels that want more; by hand
KEY_LENGTH = 16  # hex digits, 64 bits: no two files meet, and folders' names stay readable

Options = dict[str, str]


class Span(NamedTuple):
    """The sizes that a dimension takes; TensorRT tunes for the usual one."""

    least: int
    usual: int
    most: int


class Input(NamedTuple):
    """An input as the file describes it; a dimension is a size, or a name when it is free."""

    name: str
    shape: tuple[int | str | None, ...]


def file_digest(path: Path, told: bytes) -> str:
    """SHA-256 of a file and of what is told of it, as hex; read in blocks, however large it is."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(told)
    return digest.hexdigest()


def spans_of(
    inputs: Iterable[Input], rows: Span | None = None, sides: Span | None = None
) -> dict[str, Span]:
    """Spans of free dimensions by their place, since exporters give them names of their own.

    Args:
        inputs: of the network.
        rows: of the first dimension of every input.
        sides: of every other one.

    Returns:
        By name; those of which nothing was said are left out.
    """
    return {
        str(side): span
        for _, shape in inputs
        for place, side in enumerate(shape)
        if not isinstance(side, int) and (span := sides if place else rows) is not None
    }


def profile_shapes(inputs: list[Input], spans: Mapping[str, Span]) -> dict[str, Span]:
    """The span of every free dimension of the inputs, by name.

    Args:
        inputs: of the network.
        spans: what is known of the free dimensions, by name.

    Raises:
        ProviderError: nothing is known of one; the text names it.
    """
    free = {side for _, shape in inputs for side in shape if not isinstance(side, int)}
    unknown = {str(side) for side in free if side not in spans}
    if unknown:
        raise ProviderError(
            f"TensorRT needs the span of every free dimension, nothing is known of "
            f"{', '.join(sorted(unknown))} in {[(name, shape) for name, shape in inputs]}: export "
            "the network with fixed sizes, or ask for cuda"
        )
    return {str(side): spans[str(side)] for side in free}


def tensorrt_options(
    path: Path, inputs: list[Input], spans: Mapping[str, Span], engine_cache: Path | None
) -> Options:
    """What ONNX Runtime's TensorRT provider is told.

    Half precision, one profile from the least to the most of every free dimension, one context's
    memory shared by all subgraphs. Engines are named by ONNX Runtime without regard to weights
    and profile, so each file and each profile gets a folder of its own; the timings of kernels are
    shared by all.

    Args:
        path: the network's file.
        inputs: of the network.
        spans: of its free dimensions, by name.
        engine_cache: where engines and timings are kept; nowhere when left out.

    Raises:
        ProviderError: a free dimension is without span.
    """
    spans = profile_shapes(inputs, spans)
    options = {
        "device_id": str(DEVICE),
        "trt_fp16_enable": "True",
        "trt_max_workspace_size": str(WORKSPACE_BYTES),
        "trt_context_memory_sharing_enable": "True",
    }
    if spans:
        for index, key in enumerate(("min", "opt", "max")):
            options[f"trt_profile_{key}_shapes"] = ",".join(
                f"{name}:" + "x".join(_size(side, spans, index) for side in shape)
                for name, shape in inputs
            )
    if engine_cache is not None:
        told = repr(sorted(options.items())).encode()
        key = file_digest(path, told)[:KEY_LENGTH]
        folder = engine_cache / f"{path.stem}-{key}"
        options |= {
            "trt_engine_cache_enable": "True",
            "trt_engine_cache_path": str(folder),
            "trt_timing_cache_enable": "True",
            "trt_timing_cache_path": str(engine_cache),
        }
    return options


def cuda_options() -> Options:
    """What ONNX Runtime's CUDA provider is told.

    Convolutions are chosen by heuristics: searching starts anew for every size of a batch.
    """
    return {"device_id": str(DEVICE), "cudnn_conv_algo_search": "HEURISTIC"}


def _size(side: int | str | None, spans: Mapping[str, Span], index: int) -> str:
    return str(side if isinstance(side, int) else spans[str(side)][index])
