"""Encoders from outside: small files, made here, as ONNX and TorchScript."""

import hashlib
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import Tensor, nn

from models.encoder.outside import OutsideEncoder, OutsideSettings, open_encoder
from models.encoder.serve import FrameEncoder
from models.errors import ModelError, ModelFileError, ProviderError

# Such files are about; that newer ways to make them exist is no news here.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")

SIZE, DIMENSION = 16, 6
ONNX = OutsideSettings(input_size=SIZE, dimension=DIMENSION)
TORCHSCRIPT = ONNX.model_copy(update={"format": "torchscript"})
WEIGHTS = np.random.default_rng(2).standard_normal((3 * SIZE * SIZE, DIMENSION)).astype(np.float32)


def frames(count: int, size: int = SIZE) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def wanted(pictures: NDArray[np.uint8], settings: OutsideSettings = ONNX) -> NDArray[np.float64]:
    """What the files say, value by value."""
    values = (pictures / 255 - np.array(settings.mean)) / np.array(settings.std)
    rows = np.stack([v.transpose(2, 0, 1).ravel() @ WEIGHTS for v in values])
    unit: NDArray[np.float64] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def onnx_file(
    path: Path, *, batch: int | str = "n", kind: int = TensorProto.FLOAT, biases: bool = False
) -> Path:
    """One matrix product; `other` is an output that is no vector of its own."""
    weights = onnx.numpy_helper.from_array(
        WEIGHTS.astype(helper.tensor_dtype_to_np_dtype(kind)), "weights"
    )
    nodes = [
        helper.make_node("Flatten", ["pixel_values"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["embedding"]),
        helper.make_node("Identity", ["flat"], ["other"]),
    ]
    outputs = [
        helper.make_tensor_value_info("embedding", kind, [batch, DIMENSION]),
        helper.make_tensor_value_info("other", kind, [batch, 3 * SIZE * SIZE]),
    ]
    if biases:
        nodes.append(
            helper.make_node("ReduceMean", ["flat"], ["score_offsets"], axes=[1], keepdims=0)
        )
        outputs.append(helper.make_tensor_value_info("score_offsets", kind, [batch]))
    graph = helper.make_graph(
        nodes,
        "outside",
        [helper.make_tensor_value_info("pixel_values", kind, [batch, 3, SIZE, SIZE])],
        outputs,
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return path


class Product(nn.Module):
    """Flat pictures times a matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.from_numpy(WEIGHTS))

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 3, S, S) to (N, D)."""
        return pictures.flatten(1) @ self.weights


def torchscript_file(path: Path) -> Path:
    torch.jit.save(torch.jit.trace(Product().eval(), torch.zeros(1, 3, SIZE, SIZE)), str(path))  # type: ignore[no-untyped-call]
    return path


@pytest.mark.parametrize("count", [0, 1, 7])
@pytest.mark.parametrize("batch", [1, "n", 3])
def test_onnx_files_say_what_arithmetic_says(tmp_path: Path, count: int, batch: int | str) -> None:
    encoder = OutsideEncoder(onnx_file(tmp_path / "a.onnx", batch=batch), ONNX, batch=4)
    described = encoder.describe(frames(count))
    assert described.descriptors.shape == (count, DIMENSION)
    assert described.descriptors.dtype == np.float32
    assert (described.score_biases == 0).all()
    if count:
        assert np.abs(described.descriptors - wanted(frames(count))).max() < 1e-4


def test_means_and_deviations_are_the_settings(tmp_path: Path) -> None:
    settings = ONNX.model_copy(update={"mean": (0.5, 0.4, 0.3), "std": (0.5, 0.25, 1.0)})
    rows = OutsideEncoder(onnx_file(tmp_path / "a.onnx"), settings).encode(frames(3))
    assert np.abs(rows - wanted(frames(3), settings)).max() < 1e-4
    assert np.abs(rows - wanted(frames(3))).max() > 0.01


def test_half_precision_files_are_fed_half_precision(tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "a.onnx", kind=TensorProto.FLOAT16)
    rows = OutsideEncoder(path, ONNX).encode(frames(3))
    assert np.abs(rows - wanted(frames(3))).max() < 0.02


def test_score_biases_of_a_file_are_kept(tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "a.onnx", biases=True)
    found = OutsideEncoder(path, ONNX, batch=2).describe(frames(5)).score_biases
    values = (frames(5) / 255 - np.array(ONNX.mean)) / np.array(ONNX.std)
    assert np.abs(found - values.mean(axis=(1, 2, 3))).max() < 1e-4


def test_torchscript_files_say_what_arithmetic_says(tmp_path: Path) -> None:
    encoder = OutsideEncoder(torchscript_file(tmp_path / "a.pt"), TORCHSCRIPT, batch=2)
    rows = encoder.encode(frames(5))
    assert np.abs(rows - wanted(frames(5))).max() < 1e-4
    assert encoder.model_version.startswith("a-")


def test_the_version_is_of_the_content_and_of_how_it_is_fed(tmp_path: Path) -> None:
    def version(name: str, settings: OutsideSettings = ONNX, batch: int | str = "n") -> str:
        (tmp_path / name).mkdir()
        return OutsideEncoder(
            onnx_file(tmp_path / name / "a.onnx", batch=batch), settings
        ).model_version

    first = version("first")
    assert version("again") == first
    assert version("other", batch=3) != first
    assert version("fed", ONNX.model_copy(update={"mean": (0.0, 0.0, 0.0)})) != first


def test_a_vector_without_a_direction_resembles_nothing(tmp_path: Path) -> None:
    settings = ONNX.model_copy(update={"mean": (0.0, 0.0, 0.0)})
    rows = OutsideEncoder(onnx_file(tmp_path / "a.onnx"), settings).encode(
        np.zeros((2, SIZE, SIZE, 3), np.uint8)
    )
    assert (rows == 0).all()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"dimension": 7}, r"gives \(2, 6\) for 2 frames, expected \(2, 7\)"),
        ({"input_size": 32}, "encoder.outside.input_size"),
        ({"output": "last"}, "encoder.outside.output = 'last': .* has embedding, other"),
        ({"output": "other"}, r"gives \(2, 768\)"),
        ({"std": (0.2, 0.0, 0.2)}, "encoder.outside.std .* above 0"),
        ({"format": "torchscript"}, "can't be loaded as TorchScript"),
    ],
)
def test_settings_that_do_not_fit_the_file_are_named(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    path = onnx_file(tmp_path / "a.onnx")
    with pytest.raises(ModelFileError, match=message):
        OutsideEncoder(path, ONNX.model_copy(update=changed))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such file"):
        OutsideEncoder(tmp_path / "none.onnx", ONNX)


def test_a_file_that_takes_no_pictures_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 4]) for n in "xy"]
    graph = helper.make_graph([node], "flat", info[:1], info[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(tmp_path / "a.onnx"))
    with pytest.raises(ModelFileError, match=r"expected one input, \(N, 3, S, S\)"):
        OutsideEncoder(tmp_path / "a.onnx", ONNX)


def test_torchscript_without_torch_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = torchscript_file(tmp_path / "a.pt")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModelError, match="needs torch, which is not installed"):
        OutsideEncoder(path, TORCHSCRIPT)


def test_torchscript_runs_on_what_was_asked_for_or_not_at_all(tmp_path: Path) -> None:
    path = torchscript_file(tmp_path / "a.pt")
    with pytest.raises(ProviderError, match="tensorrt can't run TorchScript"):
        OutsideEncoder(path, TORCHSCRIPT, provider="tensorrt")
    if not torch.cuda.is_available():
        with pytest.raises(ProviderError, match="sees no GPU"):
            OutsideEncoder(path, TORCHSCRIPT, provider="cuda")


def test_the_settings_decide_which_encoder_opens(tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "a.onnx")
    assert isinstance(open_encoder(None), FrameEncoder)
    assert isinstance(open_encoder(path, ONNX), OutsideEncoder)
    with pytest.raises(ModelFileError, match="encoder.path isn't"):
        open_encoder(None, ONNX)
    with pytest.raises(ModelFileError, match="lacks the metadata"):
        open_encoder(path)


@pytest.mark.parametrize("wrong", [frames(2, 15), frames(2).astype(np.float32), frames(2)[0]])
def test_frames_of_another_shape_or_type_are_refused(
    tmp_path: Path, wrong: NDArray[np.uint8]
) -> None:
    with pytest.raises(ValueError, match=r"expected \(N, 16, 16, 3\) uint8"):
        OutsideEncoder(onnx_file(tmp_path / "a.onnx"), ONNX).encode(wrong)


def test_a_large_file_is_never_read_whole(tmp_path: Path) -> None:
    model = onnx.load(onnx_file(tmp_path / "a.onnx"))
    model.doc_string = "x" * 2**25
    onnx.save(model, tmp_path / "a.onnx")
    del model
    tracemalloc.start()
    try:
        made = OutsideEncoder(tmp_path / "a.onnx", ONNX)
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()
    whole = (tmp_path / "a.onnx").read_bytes() + ONNX.model_dump_json().encode()
    assert made.model_version == f"a-{hashlib.sha256(whole).hexdigest()[:8]}"
