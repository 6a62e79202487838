"""The part of the encoder that training leaves as it is, run by ONNX Runtime.

On a CPU torch takes four times as long for these layers; on a GPU torch runs them itself.
"""

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.encoder.network import FrameNetwork
from models.encoder.onnx_file import to_onnx


class _Lower(nn.Module):
    def __init__(self, network: FrameNetwork, stages: int) -> None:
        super().__init__()
        self.network, self.stages = network, stages

    def forward(self, frames: Tensor) -> Tensor:
        return self.network.lower(frames, self.stages)


class FrozenLower:
    """`network.lower(frames, stages)` as it was at construction."""

    def __init__(self, network: FrameNetwork, stages: int, *, threads: int = 2) -> None:
        size = network.config.input_size
        example = np.zeros((2, size, size, 3), np.uint8)
        model = to_onnx(_Lower(network, stages).eval(), ["map"], example)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, frames: NDArray[np.uint8]) -> Tensor:
        """(N, S, S, 3) uint8 to (N, C, H, W) float32."""
        parts = [
            torch.from_numpy(self._session.run(None, {"frames": frames[at : at + 64]})[0])
            for at in range(0, len(frames), 64)
        ]
        return torch.cat(parts).contiguous(memory_format=torch.channels_last)
