"""The encoder in eight bits says what it says in floating point, and runs where that pays."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from models.encoder.outside import open_encoder
from models.encoder.quantise import quantise
from models.encoder.serve import FrameEncoder, Precision, default_encoder_path
from models.errors import ModelError, ModelFileError
from models.runtime import multiplies_int8

SIZE, DIMENSION = 32, 16
exact = pytest.mark.skipif(
    not multiplies_int8(), reason="sums of eight-bit products overflow on this processor"
)


def pictures(count: int, size: int = SIZE) -> NDArray[np.uint8]:
    """Soft blobs of colour, (count, size, size, 3) uint8."""
    squares = np.random.default_rng(count).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    soft = Image.Resampling.BICUBIC
    return np.stack(
        [np.asarray(Image.fromarray(square).resize((size, size), soft)) for square in squares]
    )


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """A small network with an encoder's contract: one convolution, means over sixteen tiles."""
    random = np.random.default_rng(0)
    weights = (random.standard_normal((DIMENSION, 3, 8, 8)) / 200).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["frames"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "weights"], ["maps"], strides=[8, 8]),
        helper.make_node("GlobalAveragePool", ["maps"], ["means"]),
        helper.make_node("Flatten", ["means"], ["rows"]),
        helper.make_node("LpNormalization", ["rows"], ["descriptors"], axis=1, p=2),
    ]
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["n", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("descriptors", TensorProto.FLOAT, ["n", DIMENSION])],
        [numpy_helper.from_array(weights, "weights")],
    )
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=10)
    named = {"model_version": "made-1", "input_size": str(SIZE), "dimension": str(DIMENSION)}
    helper.set_model_props(model, named)
    onnx.save(model, str(tmp_path / "encoder.onnx"))
    return tmp_path / "encoder.onnx"


@exact
def test_in_eight_bits_it_says_the_same_under_the_same_name(encoder: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "encoder-int8.onnx"
    cosines = quantise(encoder, out, pictures(24), pictures(10))
    assert cosines.shape == (10,) and cosines.min() > 0.99
    assert FrameEncoder(out).model_version == "made-1"
    weights = {one.data_type for one in onnx.load(str(out)).graph.initializer if one.dims}
    assert TensorProto.INT8 in weights


def test_ranges_of_other_pictures_are_refused(encoder: Path, tmp_path: Path) -> None:
    nothing = np.zeros((8, SIZE, SIZE, 3), np.uint8)
    with pytest.raises(ModelError, match="calibrate on other frames"):
        quantise(encoder, tmp_path / "bad.onnx", nothing, pictures(10))


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_vnni\n", True),
        ("processor : 0\nflags : fpu avx2 avx_vnni\n", True),
        ("flags\t\t: fpu avx2 avx512f\n", False),
        ("Features\t: fp asimd asimddp\n", True),
        ("", False),
    ],
)
def test_a_processor_is_known_by_its_instructions(tmp_path: Path, said: str, wanted: bool) -> None:
    (tmp_path / "cpuinfo").write_text(said)
    assert multiplies_int8(tmp_path / "cpuinfo") is wanted


def test_a_system_that_does_not_say_has_none(tmp_path: Path) -> None:
    assert not multiplies_int8(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("precision", "has", "name"),
    [
        ("auto", True, "encoder-int8.onnx"),
        ("auto", False, "encoder.onnx"),
        ("int8", False, "encoder-int8.onnx"),
        ("float32", True, "encoder.onnx"),
    ],
)
def test_the_shipped_encoder_runs_in_eight_bits_where_that_pays(
    monkeypatch: pytest.MonkeyPatch, precision: Precision, has: bool, name: str
) -> None:
    monkeypatch.setattr("models.encoder.serve.multiplies_int8", lambda: has)
    assert default_encoder_path(precision).name == name


def test_a_gpu_takes_the_file_in_floating_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.encoder.serve.multiplies_int8", lambda: True)
    assert default_encoder_path("auto", "tensorrt").name == "encoder.onnx"
    with pytest.raises(ModelFileError, match="int8 is for the CPU, got provider cuda"):
        open_encoder(None, provider="cuda", precision="int8")


def test_both_shipped_files_are_one_version() -> None:
    whole = FrameEncoder(default_encoder_path("float32"))
    small = FrameEncoder(default_encoder_path("int8"))
    assert small.model_version == whole.model_version
    assert (small.input_size, small.dimension) == (whole.input_size, whole.dimension)


@exact
def test_both_shipped_files_see_the_same() -> None:
    whole = FrameEncoder(default_encoder_path("float32"))
    frames = pictures(16, whole.input_size)
    one, other = whole.describe(frames), FrameEncoder(default_encoder_path("int8")).describe(frames)
    cosines = (one.descriptors * other.descriptors).sum(axis=1)
    assert np.median(cosines) > 0.98
    assert np.abs(one.score_biases - other.score_biases).max() < 0.1
