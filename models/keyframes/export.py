"""Writes a trained key-frame network as ONNX and checks it against torch.

`samesource export keyframes` does it for a training folder.
"""

import hashlib
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.encoder.onnx_file import OPSET
from models.errors import ModelError
from models.keyframes.footage import first_thumbnails
from models.keyframes.network import KeyFrameNetwork
from models.keyframes.serve import FrameScorer
from models.keyframes.train import trained_network

PARITY_BOUND = 1e-4  # weights stay float32 here, so only the order of sums differs; set by hand


class _OneVideo(nn.Module):
    """The network on the frames of one video."""

    def __init__(self, network: KeyFrameNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, thumbnails: Tensor) -> tuple[Tensor, Tensor]:
        quality, looks = self.network(thumbnails[None])
        return quality[0], looks[0]


def export_run(run: Path, path: Path, *, pictures: Path) -> float:
    """Write the network of a run.

    Args:
        run: the training folder.
        path: the file to write.
        pictures: the footage of the run, to compare on.

    Returns:
        As `export_keyframes`.

    Raises:
        MissingDataError: no checkpoint or no footage.
        ModelFileError: it is of another kind of run, or damaged.
        RecipeError: its network has settings that are unknown here.
        ModelError: ONNX differs from torch by more than the bound.
    """
    return export_keyframes(trained_network(run), path, first_thumbnails(pictures))


def export_keyframes(network: KeyFrameNetwork, path: Path, sample: NDArray[np.uint8]) -> float:
    """Write ONNX and compare it with torch.

    Args:
        network: in the state to be shipped; left in evaluation mode.
        path: the file to write.
        sample: (N, 32, 32, 3) uint8, one video's thumbnails to compare on, N ≥ 2.

    Returns:
        The largest absolute difference of a quality or of a look's value.

    Raises:
        ModelError: the difference is above the bound.
    """
    module = _OneVideo(network).eval()
    example = torch.from_numpy(sample)
    program = torch.onnx.export(
        module,
        (example,),
        input_names=["thumbnails"],
        output_names=["quality", "looks"],
        dynamic_shapes=({0: torch.export.Dim("n", min=2, max=1 << 16)},),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    for node in model.graph.node:  # traces of the source code, of no use in a weights file
        del node.metadata_props[:]
        node.ClearField("doc_string")
    weights = b"".join(tensor.raw_data for tensor in model.graph.initializer)
    del model.metadata_props[:]
    # By the weights alone: the same network has the same name, whenever it is exported.
    version = f"keyframes-{hashlib.sha256(weights).hexdigest()[:8]}"
    onnx.helper.set_model_props(model, {"model_version": version})
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    with torch.inference_mode():
        wanted = [part.numpy() for part in module(example)]
    found = FrameScorer(path).score(sample)
    pairs = zip((found.quality, found.looks), wanted, strict=True)
    difference = max(float(np.abs(ours - theirs).max()) for ours, theirs in pairs)
    if difference > PARITY_BOUND:
        raise ModelError(f"ONNX differs from torch by {difference:.2g}, more than {PARITY_BOUND}")
    return difference
