"""Parts of the encoder that don't learn, run by ONNX Runtime; serves training and the export.

On a CPU torch takes four times as long for these layers; on a GPU torch runs them itself.
"""

from copy import deepcopy

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.encoder.network import FrameNetwork
from models.encoder.onnx_file import to_onnx


class _Part(nn.Module):
    """Frames up to a stage, or up to the pooled features."""

    def __init__(self, network: FrameNetwork, stages: int | None) -> None:
        super().__init__()
        self.network, self.stages = network, stages

    def forward(self, frames: Tensor) -> Tensor:
        if self.stages is None:
            return self.network.upper(self.network.lower(frames, 0), 0)
        return self.network.lower(frames, self.stages)


class FrozenLower:
    """`network.lower(frames, stages)` as it was at construction."""

    def __init__(self, network: FrameNetwork, stages: int, *, threads: int = 2) -> None:
        self._session = _session(_Part(network, stages), network.config.input_size, threads)

    def __call__(self, frames: NDArray[np.uint8]) -> Tensor:
        """(N, S, S, 3) uint8 to (N, C, H, W) float32."""
        parts = _run(self._session, frames)
        return torch.from_numpy(parts).contiguous(memory_format=torch.channels_last)


def frozen_features(
    network: FrameNetwork, frames: NDArray[np.uint8], *, threads: int = 1
) -> NDArray[np.float32]:
    """Pooled features before the head: (N, S, S, 3) uint8 to (N, F) float32."""
    session = _session(_Part(network, None), network.config.input_size, threads)
    return _run(session, frames)


def _session(part: nn.Module, size: int, threads: int) -> onnxruntime.InferenceSession:
    frozen = deepcopy(part).eval()  # the network itself may be learning, in another mode
    model = to_onnx(frozen, ["map"], np.zeros((2, size, size, 3), np.uint8))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _run(session: onnxruntime.InferenceSession, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    # 64 at a time: the maps of all frames at once would fill the memory.
    return np.concatenate(
        [session.run(None, {"frames": frames[at : at + 64]})[0] for at in range(0, len(frames), 64)]
    )
