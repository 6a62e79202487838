"""A video tower in eight bits says what it says in floating point, from the same weights."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.encoder.onnx_file import store_as_bytes, store_half
from models.encoder.serve import Precision
from models.errors import ModelError, ModelFileError
from models.runtime import multiplies_int8
from models.text_video import serve
from models.text_video.quantise import quantise_pair
from models.text_video.serve import PairFiles, open_video
from models.text_video.towers import VideoTower
from tests.models.encoder.test_quantise import pictures

SIZE, DIMENSION, MOST = 32, 64, 8
exact = pytest.mark.skipif(
    not multiplies_int8(), reason="sums of eight-bit products overflow on this processor"
)


@pytest.fixture
def pair(tmp_path: Path) -> PairFiles:
    """A pair whose video tower has a trunk of two bounded convolutions and a layer above it."""
    random = np.random.default_rng(0)
    weights = {
        "stem": random.standard_normal((DIMENSION, 3, 8, 8)) / 200,
        "mix": random.standard_normal((DIMENSION, DIMENSION, 1, 1)) / 3,
        "layer": random.standard_normal((DIMENSION, DIMENSION)),
    }
    bounds = {"least": 0.0, "most": 6.0}
    nodes = [
        helper.make_node("Cast", ["frames"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "stem"], ["maps"], name="first", strides=[8, 8]),
        helper.make_node("Clip", ["maps", "least", "most"], ["bounded"], name="bound"),
        helper.make_node("Conv", ["bounded", "mix"], ["mixed"], name="last"),
        helper.make_node("Clip", ["mixed", "least", "most"], ["regions"], name="last bound"),
        helper.make_node("GlobalAveragePool", ["regions"], ["means"]),
        helper.make_node("Flatten", ["means"], ["rows"]),
        helper.make_node("MatMul", ["rows", "layer"], ["turned"]),
        helper.make_node("Tanh", ["turned"], ["bent"]),
        helper.make_node("Add", ["bent", "rows"], ["shifted"], name="tower"),
        helper.make_node("LpNormalization", ["shifted"], ["frame_vectors"], axis=1, p=2),
        helper.make_node("ReduceMean", ["frame_vectors", "axes"], ["mean"]),
        helper.make_node("LpNormalization", ["mean"], ["vector"], axis=1, p=2),
    ]
    values = {name: value.astype(np.float32) for name, value in weights.items()}
    values |= {name: np.array(value, np.float32) for name, value in bounds.items()}
    initializers = [numpy_helper.from_array(value, name) for name, value in values.items()]
    graph = helper.make_graph(
        nodes,
        "video",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["n", SIZE, SIZE, 3])],
        [
            helper.make_tensor_value_info("vector", TensorProto.FLOAT, [1, DIMENSION]),
            helper.make_tensor_value_info("frame_vectors", TensorProto.FLOAT, ["n", DIMENSION]),
        ],
        [*initializers, numpy_helper.from_array(np.array([0]), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    store_as_bytes(model)
    store_half(model)
    named = {"input_size": SIZE, "dimension": DIMENSION, "most_frames": MOST}
    told = {name: str(value) for name, value in named.items()} | {"model_version": "made-1"}
    helper.set_model_props(model, told)
    files = PairFiles.of(tmp_path)
    onnx.save(model, str(files.video))
    return files


def rows(path: Path, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Vectors of single frames by a file."""
    return VideoTower(path).embed_frames(frames).frames


@exact
def test_both_graphs_say_what_was_said_before(pair: PairFiles) -> None:
    asked = pictures(10)
    before = rows(pair.video, asked)
    cosines = quantise_pair(pair.video.parent, pictures(24), asked)
    assert cosines.shape == (10,) and cosines.min() > 0.99
    assert (rows(pair.video, asked) * before).sum(axis=1).min() > 0.9999
    assert (rows(pair.video_int8, asked) * before).sum(axis=1).min() > 0.99
    assert VideoTower(pair.video_int8).model_version == VideoTower(pair.video).model_version
    assert {path.name for path in pair.video.parent.iterdir()} == {
        "video.onnx", "video-int8.onnx", "video.weights"
    }  # fmt: skip


@exact
def test_weights_lie_there_once_and_the_tower_stays_in_floating_point(pair: PairFiles) -> None:
    quantise_pair(pair.video.parent, pictures(24), pictures(10))
    for path in (pair.video, pair.video_int8):
        model = onnx.load(str(path), load_external_data=False)
        inside = [one for one in model.graph.initializer if len(one.raw_data) >= 1024]
        assert inside == []
    small = onnx.load(str(pair.video_int8))
    kinds = {one.data_type for one in small.graph.initializer}
    assert TensorProto.INT8 in kinds
    made_by = {name: node for node in small.graph.node for name in node.output}
    [layer] = [node for node in small.graph.node if node.op_type == "MatMul"]
    assert made_by[layer.input[1]].op_type == "Mul", "of bytes and their scales, in floating point"
    [add] = [node for node in small.graph.node if node.op_type == "Add"]
    assert {made_by[name].op_type for name in add.input} == {"Tanh", "Flatten"}
    convolutions = [node for node in small.graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 2
    for node in convolutions:
        assert made_by[node.input[0]].op_type == "DequantizeLinear"


def test_ranges_of_other_pictures_are_refused_and_leave_the_pair(pair: PairFiles) -> None:
    before = pair.video.read_bytes()
    with pytest.raises(ModelError, match="calibrate on other frames"):
        quantise_pair(pair.video.parent, np.zeros((8, SIZE, SIZE, 3), np.uint8), pictures(10))
    assert pair.video.read_bytes() == before
    assert [path.name for path in pair.video.parent.iterdir()] == ["video.onnx"]


@pytest.mark.parametrize(
    ("precision", "fits", "there", "file"),
    [
        ("auto", True, True, "video-int8.onnx"),
        ("auto", True, False, "video.onnx"),
        ("auto", False, True, "video.onnx"),
        ("float32", True, True, "video.onnx"),
        ("int8", False, True, "video-int8.onnx"),
    ],
)
def test_eight_bits_run_where_they_pay_and_are_there(
    pair: PairFiles, monkeypatch: pytest.MonkeyPatch, precision: Precision, fits: bool,
    there: bool, file: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(serve, "multiplies_int8", lambda: fits)
    if there:
        pair.video_int8.write_bytes(pair.video.read_bytes())
    opened = open_video(pair, precision=precision)
    assert isinstance(opened, VideoTower) and opened.path.name == file


def test_eight_bits_that_are_asked_for_must_be_there(pair: PairFiles) -> None:
    with pytest.raises(ModelFileError, match=r"video-int8\.onnx"):
        open_video(pair, precision="int8")
    with pytest.raises(ModelFileError, match=r"text_video\.precision = int8 is for the CPU"):
        open_video(pair, precision="int8", provider="cuda")
