"""An exported encoder's weights back in torch, so that training goes on from a shipped file."""

from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from models.encoder.network import EncoderConfig, FrameNetwork, load_imagenet_trunk
from models.errors import ModelFileError

Array = NDArray[np.generic]

NORMS = {
    "stem": "stem_norm",
    "expand": "expand_norm",
    "depthwise": "depthwise_norm",
    "project": "project_norm",
    "local_mix.0": "local_mix.1",
    "global_mix.0": "global_mix.1",
}


def started(config: EncoderConfig, start: Path | None, *, imagenet: bool = True) -> FrameNetwork:
    """A network to train.

    Args:
        config: of the network.
        start: an exported encoder to go on from.
        imagenet: without a start, whether its trunk has ImageNet's weights, not random ones.

    Raises:
        ModelFileError: no such file, or weights of another shape.
    """
    network = FrameNetwork(config)
    if start is not None:
        load_exported(network, start)
    elif imagenet:
        load_imagenet_trunk(network)
    return network


def load_exported(network: FrameNetwork, path: Path) -> None:
    """Start a network from an exported file of the same shape.

    The export folds every batch norm into the layer before it, so here the norms become the
    folded bias and nothing else: keep them in evaluation mode.

    Args:
        network: changed in place.
        path: an ONNX file that `models.encoder.export` wrote.

    Raises:
        ModelFileError: no such file, or weights of another shape.
    """
    if not path.is_file():
        raise ModelFileError(f"no encoder at {path}: name an exported ONNX file")
    weights = {
        tensor.name.removeprefix("network.").removesuffix(".half"): np.asarray(
            onnx.numpy_helper.to_array(tensor)
        )
        for tensor in onnx.load(str(path)).graph.initializer
    }
    state = network.state_dict()
    for name in list(state):
        if name in weights:
            _put(state, name, weights[name], path)
    for conv in [name.removesuffix(".weight") for name in state if name.endswith(".weight")]:
        bias = weights.get(f"{conv}.weight_bias")
        if bias is not None:
            _fold(state, norm_after(conv), bias, path)
    missing = [name for name, value in state.items() if value.ndim > 1 and name not in weights]
    if missing:
        raise ModelFileError(
            f"{path} lacks {missing[0]}: the recipe's network has another shape, or the file is "
            "of another kind"
        )
    network.load_state_dict(state)


def _put(state: dict[str, torch.Tensor], name: str, value: Array, path: Path) -> None:
    if tuple(state[name].shape) != value.shape:
        raise ModelFileError(
            f"{path}: {name} is {value.shape}, expected {tuple(state[name].shape)}: "
            "the recipe's network has another shape"
        )
    state[name] = torch.from_numpy(value.astype(np.float32))


def norm_after(conv: str) -> str:
    """The name of the batch norm that follows a convolution of a `FrameNetwork`."""
    for layer, norm in NORMS.items():
        if conv == layer or conv.endswith(f".{layer}"):
            return conv[: len(conv) - len(layer)] + norm
    raise KeyError(conv)


def _fold(state: dict[str, torch.Tensor], norm: str, bias: Array, path: Path) -> None:
    _put(state, f"{norm}.bias", bias, path)
    state[f"{norm}.weight"] = torch.ones_like(state[f"{norm}.weight"])
    state[f"{norm}.running_mean"] = torch.zeros_like(state[f"{norm}.running_mean"])
    # The norms' eps is 1e-3: together they divide by exactly 1.
    state[f"{norm}.running_var"] = torch.full_like(state[f"{norm}.running_var"], 1.0 - 1e-3)


def freeze_norms(network: nn.Module) -> None:
    """Batch norms use what they hold, not the batch, and don't change."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
