"""What is asked for is what runs, and what is missing is named."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from models.errors import ModelError, ModelFileError, ProviderError
from models.runtime import open_session


@pytest.fixture
def doubling(tmp_path: Path) -> Path:
    """A network that adds its input to itself."""
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["x", "x"], ["y"])],
        "doubling",
        [onnx.helper.make_tensor_value_info("x", kind, ["n"])],
        [onnx.helper.make_tensor_value_info("y", kind, ["n"])],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10
    )
    path = tmp_path / "doubling.onnx"
    onnx.save(model, str(path))
    return path


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


def test_a_provider_that_is_listed_but_does_not_start_is_an_error(
    doubling: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime,
        "get_available_providers",
        lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
    )
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda path, options, providers: opened(path, options, providers=["CPUExecutionProvider"]),
    )
    with pytest.raises(ProviderError, match="CPUExecutionProvider runs"):
        open_session(doubling, provider="cuda")


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
