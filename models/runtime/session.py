"""Opens a network on the provider that was asked for, or says what is missing."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import ModelFileError, ProviderError
from models.runtime.heap import give_large_blocks_back
from models.runtime.libraries import load_tensorrt
from models.runtime.providers import (
    PROVIDERS,
    Input,
    Options,
    Provider,
    Span,
    cuda_options,
    spans_of,
    tensorrt_options,
)

# Loaded with the first network: a third of a second, and processes without one read settings too.
if TYPE_CHECKING:
    import onnxruntime

# Arithmetic on shapes stays on the CPU by ONNX Runtime's own choice; these are the work itself.
WORK = {
    "Attention",
    "BatchNormalization",
    "Conv",
    "ConvTranspose",
    "Einsum",
    "FusedConv",
    "FusedGemm",
    "FusedMatMul",
    "Gemm",
    "GlobalAveragePool",
    "InstanceNormalization",
    "LayerNormalization",
    "MatMul",
    "QLinearConv",
    "QLinearMatMul",
    "Resize",
    "Softmax",
}
RECORD_ASSIGNMENT = "session.record_ep_graph_assignment_info"


def open_session(
    path: Path,
    *,
    provider: Provider = "cpu",
    threads: int = 1,
    rows: Span | None = None,
    sides: Span | None = None,
    engine_cache: Path | None = None,
    frugal: bool = False,
) -> "onnxruntime.InferenceSession":
    """Load a network.

    TensorRT leaves nodes that it can't run to CUDA. Neither leaves the network's work to the CPU.

    Args:
        path: an ONNX file.
        provider: what runs it.
        threads: of one operator, on the CPU.
        rows: what the first dimension of the inputs may be, where it is free; TensorRT must know.
        sides: the same for every other free dimension.
        engine_cache: where TensorRT keeps engines and timings; it builds anew when left out.
        frugal: on the CPU, give back the memory of each run, instead of keeping as much as the
            largest runs at a time have taken: for a network whose runs differ much in size.

    Raises:
        ModelFileError: no such file, or not a readable network.
        ProviderError: the provider's libraries or its device are missing; the text names it.
    """
    if not path.is_file():
        raise ModelFileError(f"no network at {path}: name an ONNX file")
    require_provider(provider)
    if provider != "cpu":  # finds the CUDA and cuDNN that pip installed
        import onnxruntime

        onnxruntime.preload_dlls()
    if provider == "tensorrt":
        load_tensorrt()
    if frugal and provider == "cpu":
        give_large_blocks_back()
    told = _told(path, provider, rows, sides, engine_cache)
    session = _open(path, told, provider, threads, frugal)
    session.disable_fallback()  # or a device that fails later would leave the CPU at work, unseen
    _check_what_runs(session, path, provider)
    return session


def require_provider(provider: Provider) -> None:
    """Refuse a provider that this ONNX Runtime hasn't.

    Raises:
        ProviderError: the text lists those that it has.
    """
    if provider not in PROVIDERS:
        raise ProviderError(f"{provider = }, expected one of {', '.join(PROVIDERS)}")
    if provider == "cpu":
        return  # every build has it
    import onnxruntime

    available = onnxruntime.get_available_providers()
    if PROVIDERS[provider] not in available:
        raise ProviderError(
            f"{provider} was asked for, but this onnxruntime has only {', '.join(available)}: "
            "install the extra `gpu` on a machine with an NVIDIA GPU, or ask for cpu"
        )


def describe_inputs(path: Path) -> list[Input]:
    """The inputs of a network, by the file alone.

    Raises:
        ModelFileError: not a readable network.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Nothing is run: without optimising, even a large file is read in no time.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=[PROVIDERS["cpu"]], enable_fallback=0
        )
    except Exception as error:
        raise ModelFileError(f"{path} can't be loaded: {error}") from error
    return [Input(value.name, tuple(value.shape)) for value in session.get_inputs()]


def work_on_cpu(assigned: Iterable[tuple[str, str]]) -> list[str]:
    """The operators that do the network's work and are left to the CPU, sorted.

    Args:
        assigned: of each node the provider and the operator.
    """
    return sorted({kind for name, kind in assigned if name == PROVIDERS["cpu"] and kind in WORK})


def _told(
    path: Path,
    provider: Provider,
    rows: Span | None,
    sides: Span | None,
    engine_cache: Path | None,
) -> list[tuple[str, Options]]:
    """The providers to try for each node, in order, with their options."""
    if provider == "cpu":
        return [(PROVIDERS["cpu"], {})]
    cuda = (PROVIDERS["cuda"], cuda_options())
    if provider == "cuda":
        return [cuda]
    inputs = describe_inputs(path)
    options = tensorrt_options(path, inputs, spans_of(inputs, rows, sides), engine_cache)
    if engine_cache is not None:
        Path(options["trt_engine_cache_path"]).mkdir(parents=True, exist_ok=True)
    return [(PROVIDERS["tensorrt"], options), cuda]


def _open(
    path: Path, told: list[tuple[str, Options]], provider: Provider, threads: int, frugal: bool
) -> "onnxruntime.InferenceSession":
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1  # these networks are one chain: nothing runs beside
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = not (frugal and provider == "cpu")
    options.enable_mem_pattern = provider != "cpu"  # it keeps a plan, and room, for every shape
    if provider != "cpu":
        options.add_session_config_entry(RECORD_ASSIGNMENT, "1")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=told, enable_fallback=0)
    except Exception as error:
        if provider != "cpu":
            describe_inputs(path)  # a damaged file is no fault of the provider's
            raise ProviderError(f"{provider} can't run {path} here: {error}") from error
        raise ModelFileError(f"{path} can't be loaded: {error}") from error


def _check_what_runs(
    session: "onnxruntime.InferenceSession", path: Path, provider: Provider
) -> None:
    """Compare what runs with what was asked for.

    Raises:
        ProviderError: another provider runs, or the CPU got part of the network's work.
    """
    wanted, running = PROVIDERS[provider], session.get_providers()[0]
    if running != wanted:
        raise ProviderError(
            f"{provider} was asked for, but {running} runs: the libraries or the device of "
            f"{wanted} are missing"
        )
    if provider == "cpu":
        return
    left = work_on_cpu(
        (part.ep_name, node.op_type)
        for part in session.get_provider_graph_assignment_info()
        for node in part.get_nodes()
    )
    if left:
        raise ProviderError(
            f"{provider} was asked for, but {', '.join(left)} of {path} would run on the CPU: "
            "export the network without them, or ask for cpu"
        )
