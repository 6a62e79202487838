"""What is asked for is what runs, and what is missing is named."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from models.all_aligners import make_aligner
from models.errors import ModelError, ModelFileError, ProviderError
from models.keyframes import make_selector
from models.keyframes.settings import KeyFrameSettings
from models.runtime import PROVIDERS, Network, Span, open_session, spans_of
from models.runtime.in_flight import BatchRunner
from models.runtime.libraries import load_tensorrt
from models.runtime.providers import Input, tensorrt_options
from models.runtime.session import work_on_cpu


def write(path: Path, kind: str, inputs: list[str], shape: list[str | int]) -> Path:
    """A network of one operator."""
    number = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(kind, inputs, ["y"])],
        path.stem,
        [onnx.helper.make_tensor_value_info(name, number, shape) for name in dict.fromkeys(inputs)],
        [onnx.helper.make_tensor_value_info("y", number, shape)],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10
    )
    onnx.helper.set_model_props(model, {"model_version": "made-1"})
    onnx.save(model, str(path))
    return path


@pytest.fixture
def doubling(tmp_path: Path) -> Path:
    """A network that adds its input to itself."""
    return write(tmp_path / "doubling.onnx", "Add", ["x", "x"], ["n"])


def test_a_network_runs_on_the_cpu(doubling: Path) -> None:
    session = open_session(doubling)
    (result,) = session.run(None, {"x": np.array([1.0, 2.0], np.float32)})
    assert result.tolist() == [2.0, 4.0]
    assert session.get_providers()[0] == "CPUExecutionProvider"


@pytest.mark.parametrize(
    ("provider", "name"),
    [("cuda", "CUDAExecutionProvider"), ("tensorrt", "TensorrtExecutionProvider")],
)
def test_a_provider_that_is_not_there_is_an_error_and_no_silent_cpu(
    doubling: Path, provider: str, name: str
) -> None:
    if name in onnxruntime.get_available_providers():
        pytest.skip(f"{name} is here")
    with pytest.raises(ProviderError, match=f"{provider} was asked for.*extra `gpu`"):
        open_session(doubling, provider=provider)  # type: ignore[arg-type]


class AsIfOnTheGpu:
    """Opens on the CPU whatever is asked for, and says what a GPU's session would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, running: str | None) -> None:
        self.told: list[tuple[str, dict[str, str]]] = []
        opened = onnxruntime.InferenceSession

        def session(path: str, options: Any, providers: Any, enable_fallback: int) -> Any:
            assert enable_fallback == 0
            self.told = providers
            there = opened(path, options, providers=["CPUExecutionProvider"], enable_fallback=0)
            if running:
                monkeypatch.setattr(there, "get_providers", lambda: [running])
            return there

        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [*PROVIDERS.values()])
        monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
        monkeypatch.setattr("models.runtime.session.load_tensorrt", lambda: None)
        monkeypatch.setattr(onnxruntime, "InferenceSession", session)


def test_a_provider_that_is_listed_but_does_not_start_is_an_error(
    doubling: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    AsIfOnTheGpu(monkeypatch, running=None)
    with pytest.raises(ProviderError, match="CPUExecutionProvider runs"):
        open_session(doubling, provider="cuda")


def test_a_missing_library_of_tensorrt_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.runtime.libraries.LIBRARIES", ("libnvinfer.so.none",))
    with pytest.raises(ProviderError, match=r"libnvinfer\.so\.none can't be loaded.*tensorrt-cu12"):
        load_tensorrt()


def test_work_that_a_gpu_leaves_to_the_cpu_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "softmax.onnx", "Softmax", ["x"], ["n", 3])
    AsIfOnTheGpu(monkeypatch, running="CUDAExecutionProvider")
    with pytest.raises(ProviderError, match=r"Softmax of .*softmax\.onnx would run on the CPU"):
        open_session(path, provider="cuda")


def test_arithmetic_on_shapes_may_stay_on_the_cpu() -> None:
    cpu, cuda = PROVIDERS["cpu"], PROVIDERS["cuda"]
    assert work_on_cpu([(cpu, "Shape"), (cpu, "Gather"), (cuda, "Conv")]) == []
    assert work_on_cpu([(cpu, "MatMul"), (cpu, "Conv"), (cuda, "Conv")]) == ["Conv", "MatMul"]


def test_tensorrt_is_tried_before_cuda_and_never_the_cpu(
    doubling: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = AsIfOnTheGpu(monkeypatch, running="TensorrtExecutionProvider")
    open_session(
        doubling, provider="tensorrt", rows=Span(1, 8, 32), engine_cache=tmp_path / "cache"
    )
    (first, options), (second, _) = seen.told
    assert (first, second) == ("TensorrtExecutionProvider", "CUDAExecutionProvider")
    assert options["trt_fp16_enable"] == "True"
    assert options["trt_profile_min_shapes"] == "x:1"
    assert options["trt_profile_opt_shapes"] == "x:8"
    assert options["trt_profile_max_shapes"] == "x:32"
    assert Path(options["trt_engine_cache_path"]).parent == tmp_path / "cache"
    assert Path(options["trt_engine_cache_path"]).is_dir()
    assert Path(options["trt_timing_cache_path"]) == tmp_path / "cache"


def test_engines_of_other_weights_or_another_profile_are_not_taken(
    doubling: Path, tmp_path: Path
) -> None:
    def folder(path: Path, most: int) -> str:
        told = tensorrt_options(path, [Input("x", ("n",))], {"n": Span(1, 2, most)}, tmp_path)
        return told["trt_engine_cache_path"]

    other = tmp_path / "other" / "doubling.onnx"
    other.parent.mkdir()
    other.write_bytes(doubling.read_bytes() + b"\x00")
    assert folder(doubling, 4) == folder(doubling, 4)
    assert len({folder(doubling, 4), folder(doubling, 8), folder(other, 4)}) == 3


def test_a_free_dimension_without_span_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="nothing is known of h in"):
        tensorrt_options(tmp_path, [Input("x", ("n", "h"))], {"n": Span(1, 2, 4)}, None)


def test_an_unknown_provider_is_named(doubling: Path) -> None:
    with pytest.raises(ProviderError, match="'npu'.*cpu, cuda, tensorrt"):
        open_session(doubling, provider="npu")  # type: ignore[arg-type]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"absent\.onnx"):
        open_session(tmp_path / "absent.onnx")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "damaged.onnx"
    path.write_bytes(b"not a network")
    with pytest.raises(ModelFileError, match=r"damaged\.onnx"):
        open_session(path)


def test_every_error_of_the_models_has_one_root() -> None:
    assert issubclass(ModelFileError, ModelError)
    assert issubclass(ProviderError, ModelError)


def test_spans_go_by_place_whatever_an_exporter_calls_the_dimension() -> None:
    inputs = [Input("picture", ("s77", 8, "16*h", "16*w"))]
    rows, sides = Span(1, 1, 4), Span(16, 64, 128)
    assert spans_of(inputs, rows, sides) == {"s77": rows, "16*h": sides, "16*w": sides}
    assert spans_of(inputs, rows) == {"s77": rows}


def test_a_network_gives_the_same_whatever_the_batch(doubling: Path) -> None:
    rows = np.arange(7, dtype=np.float32)
    for batch in (1, 3, 7, 32, None):
        network = Network(doubling, batch=batch)
        (found,) = network.run({"x": rows})
        assert found.tolist() == (2 * rows).tolist()
    assert network.model_version == "made-1"
    assert network.inputs == {"x": ("n",)} and network.outputs == ["y"]


def test_batches_in_flight_give_what_one_at_a_time_gives(tmp_path: Path) -> None:
    path = write(tmp_path / "softmax.onnx", "Softmax", ["x"], ["n", 5])
    session = open_session(path)
    random = np.random.default_rng(0)
    batches = [{"x": random.random((rows, 5), np.float32)} for rows in (4, 4, 4, 4, 4, 3)]
    alone = BatchRunner(session, "cpu").run_all(batches)
    together = BatchRunner(session, "cpu", lanes=2).run_all(batches)
    for (one,), (other,) in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_error_of_a_batch_in_flight_is_raised(doubling: Path) -> None:
    wrong: list[dict[str, Any]] = [
        {"x": np.zeros(2, np.float32)},
        {"x": np.zeros(2, np.float64)},
    ]
    with pytest.raises(RuntimeError, match="data type"):
        BatchRunner(open_session(doubling), "cpu", lanes=2).run_all(wrong)


def test_a_fixed_number_of_rows_is_filled_up_and_cut(tmp_path: Path) -> None:
    network = Network(write(tmp_path / "fixed.onnx", "Add", ["x", "x"], [4, 2]), batch=32)
    rows = np.arange(12, dtype=np.float32).reshape(6, 2)
    np.testing.assert_array_equal(network.run({"x": rows})[0], 2 * rows)


def test_inputs_that_do_not_fit_are_named(tmp_path: Path) -> None:
    network = Network(write(tmp_path / "pairs.onnx", "Add", ["x", "x"], ["n", 2]))
    with pytest.raises(ValueError, match=r"inputs \['z'\], expected \['x'\]"):
        network.run({"z": np.zeros((1, 2), np.float32)})
    with pytest.raises(ValueError, match=r"\(1, 3\), expected \('n', 2\)"):
        network.run({"x": np.zeros((1, 3), np.float32)})
    with pytest.raises(ValueError, match=r"\(2,\), expected \('n', 2\)"):
        network.run({"x": np.zeros(2, np.float32)})
    with pytest.raises(ValueError, match="at least 1"):
        network.run({"x": np.zeros((0, 2), np.float32)})
    with pytest.raises(ValueError, match="batch = 0"):
        Network(network.path, batch=0)


def test_a_file_without_its_metadata_is_an_error(doubling: Path) -> None:
    with pytest.raises(ModelFileError, match="lacks the metadata calibration, dimension"):
        Network(doubling, metadata=("dimension", "calibration"))


def test_aligners_and_selectors_run_where_they_are_told_to() -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("CUDA is here")
    with pytest.raises(ProviderError, match="cuda was asked for"):
        make_aligner("pattern_detector", provider="cuda")
    with pytest.raises(ProviderError, match="cuda was asked for"):
        make_selector(KeyFrameSettings(selector="learned", provider="cuda"))
    with pytest.raises(ProviderError, match="hough_voting has no network"):
        make_aligner("hough_voting", provider="cuda")
