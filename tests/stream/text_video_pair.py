"""A text–video pair that a test makes: colours. Serves the tests of embedding and search.

A video's vector is its mean colour, a text's the mean of what its words name: `red` finds what is
red. Chinese words of colours are known too.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import WhitespaceSplit

SIZE = 128
DIMENSION = 4
MAX_TOKENS = 16
MAX_FRAMES = 32
SPECIAL = ("<pad>", "<unk>", "<mask>", "<cls>")
WORDS = {
    "red": (1, 0, 0, 0.1),
    "green": (0, 1, 0, 0.1),
    "blue": (0, 0, 1, 0.1),
    "红": (1, 0, 0, 0.1),
    "绿": (0, 1, 0, 0.1),
    "蓝": (0, 0, 1, 0.1),
    "grey": (1, 1, 1, 0.1),
}
VERSION = "text-video-0000c010"
Constants = dict[str, NDArray[Any]]


def make_pair(
    folder: Path, *, size: int = SIZE, version: str = VERSION, moments: bool = True
) -> Path:
    """Write `video.onnx`, `text.onnx` and `tokenizer.json`; returns the folder.

    Without `moments` the video tower is one of before: it gives no vectors of single frames.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = folder / "tokenizer.json"
    names = [*SPECIAL, *WORDS]
    model = Tokenizer(WordLevel({name: at for at, name in enumerate(names)}, unk_token="<unk>"))
    model.pre_tokenizer, model.normalizer = WhitespaceSplit(), Lowercase()
    model.save(str(tokenizer))
    common = {"model_version": version, "dimension": str(DIMENSION)}
    _save(
        folder / "video.onnx",
        _video(size, moments=moments),
        common | {"input_size": str(size), "most_frames": str(MAX_FRAMES)},
    )
    _save(
        folder / "text.onnx",
        _text(),
        common
        | {
            "most_tokens": str(MAX_TOKENS),
            "tokenizer_sha256": hashlib.sha256(tokenizer.read_bytes()).hexdigest(),
        },
    )
    return folder


def make_outside(folder: Path, *, size: int = 224) -> dict[str, Any]:
    """The same as a CLIP-like pair from outside; returns `text_video.outside`."""
    made = make_pair(folder)
    nodes = [
        helper.make_node("ReduceMean", ["pixel_values", "places"], ["colour"], keepdims=0),
        helper.make_node("Gemm", ["colour", "weights", "rest"], ["image_embeds"]),
    ]
    constants: Constants = {
        "places": np.array([2, 3], np.int64),
        "weights": np.eye(3, DIMENSION, dtype=np.float32),
        "rest": np.array([0, 0, 0, 0.1], np.float32),
    }
    pixels = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["n", 3, size, size])
    vectors = helper.make_tensor_value_info("image_embeds", TensorProto.FLOAT, ["n", DIMENSION])
    graph = helper.make_graph(nodes, "image", [pixels], [vectors], _stored(constants))
    _save(folder / "image.onnx", graph, {})
    return {
        "image": str(folder / "image.onnx"),
        "text": str(made / "text.onnx"),
        "tokenizer": str(made / "tokenizer.json"),
        "name": "colours",
        "input_size": size,
        "dimension": DIMENSION,
        "mean": (0.0, 0.0, 0.0),
        "std": (1.0, 1.0, 1.0),
        "max_tokens": MAX_TOKENS,
    }


def _video(size: int, *, moments: bool) -> onnx.GraphProto:
    nodes = [
        helper.make_node("Cast", ["frames"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["wide", "places"], ["colour"], keepdims=0),  # (3,)
        helper.make_node("Div", ["colour", "full"], ["shares"]),
        helper.make_node("Concat", ["shares", "rest"], ["flat"], axis=0),  # (D,)
        helper.make_node("Unsqueeze", ["flat", "first"], ["row"]),
        helper.make_node("LpNormalization", ["row"], ["vector"], axis=1, p=2),
        helper.make_node("ReduceMean", ["wide", "sides"], ["colours"], keepdims=0),  # (T, 3)
        helper.make_node("Div", ["colours", "full"], ["frame_shares"]),
        helper.make_node("Pad", ["frame_shares", "behind", "rest_of_each"], ["rows"]),  # (T, D)
        helper.make_node("LpNormalization", ["rows"], ["frame_vectors"], axis=1, p=2),
    ]
    constants: Constants = {
        "sides": np.array([1, 2], np.int64),
        "behind": np.array([0, 0, 0, 1], np.int64),
        "rest_of_each": np.array(0.1, np.float32),
        "places": np.array([0, 1, 2], np.int64),
        "full": np.array(255, np.float32),
        "rest": np.array([0.1], np.float32),
        "first": np.array([0], np.int64),
    }
    frames = helper.make_tensor_value_info("frames", TensorProto.UINT8, ["t", size, size, 3])
    vector = helper.make_tensor_value_info("vector", TensorProto.FLOAT, [1, DIMENSION])
    each = helper.make_tensor_value_info("frame_vectors", TensorProto.FLOAT, ["t", DIMENSION])
    ends = [vector, each] if moments else [vector]
    return helper.make_graph(nodes, "video", [frames], ends, _stored(constants))


def _text() -> onnx.GraphProto:
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),  # (N, L, D)
        helper.make_node("ReduceSum", ["rows", "words"], ["sums"], keepdims=0),
        helper.make_node("LpNormalization", ["sums"], ["vectors"], axis=1, p=2),
    ]
    special = [(0, 0, 0, 0), (0.01, 0.01, 0.01, 0.01), (0, 0, 0, 0), (0, 0, 0, 0.1)]
    table = np.array([*special, *WORDS.values()], np.float32)
    constants: Constants = {"table": table, "words": np.array([1], np.int64)}
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["n", "l"])
    vectors = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", DIMENSION])
    return helper.make_graph(nodes, "text", [ids], [vectors], _stored(constants))


def _stored(constants: Constants) -> list[TensorProto]:
    return [numpy_helper.from_array(array, name) for name, array in constants.items()]


def _save(path: Path, graph: onnx.GraphProto, metadata: dict[str, str]) -> None:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
