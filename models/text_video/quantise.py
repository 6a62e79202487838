"""The trunk of an exported video tower in eight bits, beside the one in floating point.

Needs `onnx`; what it writes, `models.text_video.serve` runs. Two graphs, one file of weights: the
trunk's filters are the same eight bits in both.
"""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.external_data_helper import set_external_data

from models.encoder.eight_bits import OPERATORS, in_eight_bits
from models.encoder.onnx_file import SMALLEST_HALVED, put_first, store_as_bytes, store_half
from models.errors import ModelError
from models.text_video.serve import PairFiles
from models.text_video.towers import VideoTower

LARGE_BYTES = 1024  # of a weight that both graphs share; set by hand
MIN_COSINE = 0.95  # of a frame's vector to the one in floating point, of nineteen in twenty
MIN_COSINE_PERCENTILE = 5
SAME_COSINE = 0.9999  # of the graph in floating point to what it was


def quantise_pair(
    folder: Path, seen: NDArray[np.uint8], asked: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Write the video tower of a pair twice, in eight bits and in floating point, over what it was.

    The pair keeps its version, for it says the same.

    Args:
        folder: what `samesource export text-video` wrote.
        seen: (N, S, S, 3) uint8 RGB: real frames, a hundred or more, whose ranges are taken.
        asked: (M, S, S, 3): others, to compare on.

    Returns:
        (M,) cosines of the frames' vectors in eight bits to those before.

    Raises:
        ModelError: a graph says something else than the one before.
        ModelFileError: no pair there.
    """
    files = PairFiles.of(folder)
    wanted = VideoTower(files.video).embed_frames(asked).frames
    small, plain = in_eight_bits(files.video, seen, _trunk)
    _take_filters(small, plain)
    for model in (small, plain):
        store_as_bytes(model)  # what isn't the trunk's
        store_half(model)
    with tempfile.TemporaryDirectory(dir=folder) as aside:  # until all is compared
        made = PairFiles.of(Path(aside))
        made.weights.write_bytes(_share(small, plain, made.weights.name))
        onnx.save(plain, str(made.video))
        onnx.save(small, str(made.video_int8))
        same = (VideoTower(made.video).embed_frames(asked).frames * wanted).sum(axis=1)
        found: NDArray[np.float32] = (
            VideoTower(made.video_int8).embed_frames(asked).frames * wanted
        ).sum(axis=1)
        least = float(np.percentile(found, MIN_COSINE_PERCENTILE))
        if least < MIN_COSINE or same.min() < SAME_COSINE:
            raise ModelError(
                f"in eight bits a twentieth of {len(asked)} frames has a cosine under {least:.3f} "
                f"to {files.video}, and in floating point one has {same.min():.4f}, expected at "
                f"least {MIN_COSINE} and {SAME_COSINE}: calibrate on other frames"
            )
        for path in (made.weights, made.video, made.video_int8):
            shutil.copyfile(path, folder / path.name)
    return found


def _trunk(model: onnx.ModelProto) -> list[str]:
    """Names of what comes before the last convolution, and of what bounds its output."""
    made_by = {name: node for node in model.graph.node for name in node.output}
    trunk: dict[str, onnx.NodeProto] = {}
    left = [node for node in model.graph.node if node.op_type == "Conv"]
    while left:
        node = left.pop()
        if node.name not in trunk:
            trunk[node.name] = node
            left += [made_by[name] for name in node.input if name in made_by]
    inside = {name for node in trunk.values() for name in node.output}
    bounds = [
        node.name
        for node in model.graph.node
        if node.op_type == "Clip" and node.name not in trunk and node.input[0] in inside
    ]
    return [name for name, node in trunk.items() if node.op_type in OPERATORS] + bounds


def _take_filters(small: onnx.ModelProto, plain: onnx.ModelProto) -> None:
    """Give the plain graph the large filters of the small one.

    They are those that `store_as_bytes` had rounded in the same way.
    """
    whole = {tensor.name: tensor for tensor in small.graph.initializer}
    nodes, scales = [], []
    for tensor in plain.graph.initializer:
        name = tensor.name
        rounded, scale = whole.get(f"{name}_quantized"), whole.get(f"{name}_scale")
        if rounded is None or scale is None or np.prod(tensor.dims) < SMALLEST_HALVED:
            continue
        column = onnx.numpy_helper.to_array(scale).reshape(-1, *[1] * (len(tensor.dims) - 1))
        scales.append(onnx.numpy_helper.from_array(column, f"{name}.scale"))
        tensor.CopyFrom(rounded)
        wide = f"{name}.wide"
        nodes += [
            onnx.helper.make_node("Cast", [rounded.name], [wide], to=onnx.TensorProto.FLOAT),
            onnx.helper.make_node("Mul", [wide, f"{name}.scale"], [name]),
        ]
    plain.graph.initializer.extend(scales)
    put_first(plain, nodes)


def _share(one: onnx.ModelProto, other: onnx.ModelProto, location: str) -> bytes:
    """Move the large weights that two graphs have in common to a file beside them.

    Args:
        one: is left with references to the file.
        other: likewise.
        location: the file's name.

    Returns:
        What it holds.
    """
    theirs = {tensor.name: tensor for tensor in other.graph.initializer}
    held = bytearray()
    for tensor in one.graph.initializer:
        twin = theirs.get(tensor.name)
        if twin is None or twin.raw_data != tensor.raw_data or len(tensor.raw_data) < LARGE_BYTES:
            continue
        offset, length = len(held), len(tensor.raw_data)
        held += tensor.raw_data
        for each in (tensor, twin):
            set_external_data(each, location, offset=offset, length=length)
            each.ClearField("raw_data")
    return bytes(held)
