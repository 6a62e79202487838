"""An encoder whose batch norms are folded into its convolutions: faster to train, same answers.

A start from an exported file has folded norms anyway; on a GPU, reading and writing every map once
more for each of them costs a third of a step.
"""

import torch
from torch import Tensor, nn

from models.encoder.network import FrameNetwork
from models.encoder.warm_start import norm_after


def fold_norms(network: FrameNetwork) -> None:
    """Fold every batch norm, as it is in evaluation mode, into the convolution before it.

    Args:
        network: changed in place: convolutions have a bias, norms do nothing.
    """
    for name in _convolutions(network):
        conv, norm = network.get_submodule(name), network.get_submodule(norm_after(name))
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        with torch.no_grad():
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            conv.weight.mul_(scale.view(-1, 1, 1, 1))
            conv.bias = nn.Parameter(norm.bias - norm.running_mean * scale)
        _replace(network, norm_after(name), nn.Identity())


def unfolded_state(network: FrameNetwork) -> dict[str, Tensor]:
    """The weights of a network with folded norms as those of one with norms, which do as much.

    Args:
        network: after `fold_norms`.
    """
    state = dict(network.state_dict())
    for name in _convolutions(network):
        bias, norm = state.pop(f"{name}.bias"), norm_after(name)
        ones = torch.ones_like(bias)
        state[f"{norm}.weight"], state[f"{norm}.bias"] = ones, bias
        state[f"{norm}.running_mean"] = torch.zeros_like(bias)
        state[f"{norm}.running_var"] = ones * (1 - 1e-3)  # the norms' own eps is 1e-3
        state[f"{norm}.num_batches_tracked"] = torch.zeros((), dtype=torch.int64)
    return state


def _convolutions(network: FrameNetwork) -> list[str]:
    return [name for name, part in network.named_modules() if isinstance(part, nn.Conv2d)]


def _replace(network: nn.Module, name: str, part: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, part)
