"""Runs exported networks on ONNX Runtime: what is asked for is what runs, never a silent CPU."""

from pathlib import Path
from typing import Literal

import onnxruntime

from models.errors import ModelFileError, ProviderError

Provider = Literal["cpu", "cuda", "tensorrt"]
PROVIDERS: dict[Provider, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


def open_session(
    path: Path, *, provider: Provider = "cpu", threads: int = 1
) -> onnxruntime.InferenceSession:
    """Load a network.

    Args:
        path: an ONNX file.
        provider: what runs it.
        threads: of one operator, on the CPU.

    Raises:
        ModelFileError: no such file, or not a readable network.
        ProviderError: the provider's libraries or its device are missing; the text names it.
    """
    if not path.is_file():
        raise ModelFileError(f"no network at {path}: name an ONNX file")
    if provider not in PROVIDERS:
        raise ProviderError(f"{provider = }, expected one of {', '.join(PROVIDERS)}")
    wanted = PROVIDERS[provider]
    available = onnxruntime.get_available_providers()
    if wanted not in available:
        raise ProviderError(
            f"{provider} was asked for, but this onnxruntime has only {', '.join(available)}: "
            "install the extra `gpu` on a machine with an NVIDIA GPU, or ask for cpu"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=[wanted])
    except Exception as error:
        raise ModelFileError(f"{path} can't be loaded: {error}") from error
    running = session.get_providers()[0]
    if running != wanted:
        raise ProviderError(
            f"{provider} was asked for, but {running} runs: the libraries or the device of "
            f"{wanted} are missing"
        )
    return session
