"""How weights lie in a file: smaller, and computed with as before."""

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from models.encoder.onnx_file import SCALES, store_as_bytes, store_half, to_onnx


class Small(nn.Module):
    """A convolution and a layer above, whose filters and rows are of very different sizes."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.filters = nn.Conv2d(3, 2048, 2)
        self.layer = nn.Linear(2048, 8)
        with torch.no_grad():
            self.filters.weight.mul_(torch.logspace(-5, 1, 2048)[:, None, None, None])
            self.layer.weight.mul_(torch.logspace(-3, 3, 8)[:, None])
        self.gains = torch.logspace(4, -2, 2048)
        self.row_gains = torch.logspace(3, -3, 8)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """(N, 3, 8, 8) to (N, 8)."""
        seen: torch.Tensor = self.layer(self.filters(frames).mean(dim=(2, 3)) * self.gains)
        return seen * self.row_gains


def run(model: onnx.ModelProto, frames: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"frames": frames})[0])


def test_weights_as_bytes_are_small_and_compute_nearly_the_same() -> None:
    module = Small().eval()
    frames = np.random.default_rng(1).normal(size=(4, 3, 8, 8)).astype(np.float32)
    model = to_onnx(module, ["vectors"], frames)
    whole, exact = len(model.SerializeToString()), run(model, frames)
    store_as_bytes(model)
    kinds = {t.name: onnx.helper.tensor_dtype_to_np_dtype(t.data_type) for t in
             model.graph.initializer}  # fmt: skip
    small = [name for name in kinds if name.endswith(".bytes")]
    assert len(small) == 2 and {kinds[name] for name in small} == {np.dtype(np.int8)}
    bytes_only = run(model, frames)
    store_half(model)  # in either order scales stay float32: those of small filters are tiny
    scales = [tensor for tensor in model.graph.initializer if tensor.name.endswith(SCALES)]
    assert [onnx.numpy_helper.to_array(scale).dtype for scale in scales] == [np.float32] * 2
    onnx.checker.check_model(model)
    found = run(model, frames)
    for row, bytes_row, right in zip(found, bytes_only, exact, strict=True):
        for seen in (row, bytes_row):
            assert seen @ right / np.linalg.norm(seen) / np.linalg.norm(right) > 0.999
    assert len(model.SerializeToString()) < whole / 3
