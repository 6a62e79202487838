"""Torch modules as ONNX; serves the export, and training, where it runs the frozen part."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

OPSET = 18  # what torch's exporter writes by itself; a newer one would be a conversion on top
SMALLEST_HALVED = 1024  # numbers: biases would save next to nothing for their digits; by hand
SCALES = (".scale", "_scale")  # end the names of what filters are multiplied by
MANY = 1 << 16  # rows: tracing wants some bound, and no batch comes near it


def to_onnx(
    module: nn.Module,
    outputs: list[str],
    example: NDArray[Any],
    *,
    name: str = "frames",
    free: Mapping[int, int] | None = None,
) -> onnx.ModelProto:
    """Trace a module of frames, with any number of them, or of something else.

    Args:
        module: takes one array, frames (N, S, S, 3) uint8; in evaluation mode.
        outputs: the outputs' names.
        example: (2, S, S, 3) uint8 or more.
        name: of the input.
        free: dimensions that may have any size from 1 to a largest; the first alone if None.
    """
    sizes = {0: MANY} if free is None else free
    program = torch.onnx.export(
        module,
        (torch.from_numpy(example),),
        input_names=[name],
        output_names=outputs,
        dynamic_shapes=(
            {axis: torch.export.Dim("nlm"[axis], min=1, max=most) for axis, most in sizes.items()},
        ),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    del model.metadata_props[:]
    for node in model.graph.node:  # traces of the source code, of no use in a weights file
        del node.metadata_props[:]
        node.ClearField("doc_string")
    return model


def store_half(model: onnx.ModelProto) -> None:
    """Keep float32 weights as float16 in the file, in place: half the size, computed as before.

    A cast after each makes it float32 again; ONNX Runtime folds the casts when it loads the file.
    Small weights, such as biases, stay.
    """
    casts = []
    for tensor, values in _large(model):
        name = tensor.name
        half = onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}.half")
        tensor.CopyFrom(half)
        casts.append(onnx.helper.make_node("Cast", [half.name], [name], to=onnx.TensorProto.FLOAT))
    put_first(model, casts)


def store_as_bytes(model: onnx.ModelProto) -> None:
    """Keep filters, tables and matrices as int8 in the file, in place: a quarter of the size.

    Each filter, and each row of what has two dimensions, has a scale of its own, by which it is
    float32 again when ONNX Runtime loads the file: it is computed as before, with weights that are
    rounded to a 127th of the largest.
    """
    made, scales = [], []
    for tensor, values in _large(model):
        if values.ndim < 2:
            continue
        name = tensor.name
        scale = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True) / 127
        whole = np.round(values / scale.clip(1e-12)).astype(np.int8)
        tensor.CopyFrom(onnx.numpy_helper.from_array(whole, f"{name}.bytes"))
        scales.append(onnx.numpy_helper.from_array(scale.astype(np.float32), name + SCALES[0]))
        wide = f"{name}.wide"
        made += [
            onnx.helper.make_node("Cast", [tensor.name], [wide], to=onnx.TensorProto.FLOAT),
            onnx.helper.make_node("Mul", [wide, name + SCALES[0]], [name]),
        ]
    model.graph.initializer.extend(scales)
    put_first(model, made)


def _large(model: onnx.ModelProto) -> list[tuple[onnx.TensorProto, NDArray[np.float32]]]:
    """The float32 weights that are worth another form, and their values; no scales of others."""
    found = [(tensor, onnx.numpy_helper.to_array(tensor)) for tensor in model.graph.initializer]
    return [
        (tensor, values)
        for tensor, values in found
        if values.dtype == np.float32
        and values.size >= SMALLEST_HALVED
        and not tensor.name.endswith(SCALES)
    ]


def put_first(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    """ONNX wants what is used before what uses it."""
    whole = nodes + list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(whole)
