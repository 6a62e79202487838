"""Frames to regions: the frozen trunk below the video tower, of ImageNet or of the copy encoder."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.encoder.network import EncoderConfig, FrameNetwork, SamePadConv, load_imagenet_trunk
from models.encoder.serve import default_encoder_path
from models.encoder.trunks import TRUNKS, imagenet_weights
from models.encoder.warm_start import load_exported

HEAD_CHANNELS = 1280  # of the layer that ImageNet's classifier pools, the same in every Lite

TrunkSource = Literal["imagenet", "imagenet-head", "copies"]


@dataclass(frozen=True)
class TrunkConfig:
    """Which trunk, and what it sees.

    Attributes:
        source: `imagenet` ends at the last stage, `imagenet-head` at the layer that ImageNet's
            classifier pools, `copies` is the copy encoder's as shipped, at its last map.
        input_size: side of the square input in pixels; a multiple of 32.
        trunk: a name in `models.encoder.trunks.TRUNKS`; of the ImageNet ones.
    """

    source: TrunkSource = "imagenet-head"
    input_size: int = 128
    trunk: str = "lite0"

    def __post_init__(self) -> None:
        """Refuse a trunk that isn't there, and a size that leaves part of a region over."""
        if self.trunk not in TRUNKS:
            raise ValueError(f"{self.trunk = }, expected one of {', '.join(TRUNKS)}")
        if self.input_size % 32 or self.input_size < 64:
            raise ValueError(f"{self.input_size = }, expected a multiple of 32, at least 64")

    @property
    def side(self) -> int:
        """Regions on a side of the map."""
        return self.input_size // 32


class RegionTrunk(nn.Module):
    """(N, S, S, 3) uint8 RGB to regions, (N, R, C); never learns.

    Attributes:
        channels: C.
    """

    channels: int

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self.config = config
        copies = config.source == "copies"
        stages = EncoderConfig().stages if copies else len(TRUNKS[config.trunk])
        shape = EncoderConfig(input_size=config.input_size, stages=stages, trunk=config.trunk)
        network = FrameNetwork(EncoderConfig() if copies else shape)
        self.stem, self.stem_norm, self.stages = network.stem, network.stem_norm, network.stages
        self.mix, self.channels = _mix(network, config)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "RegionTrunk":
        """Stays in evaluation mode: its statistics are those it came with."""
        return super().train(False)

    def forward(self, frames: Tensor) -> Tensor:
        """(N, S, S, 3) uint8 RGB to (N, R, C) float32, regions row by row."""
        x = frames.to(torch.float32).permute(0, 3, 1, 2)  # (N, 3, S, S)
        x = functional.relu6(self.stem_norm(self.stem((x - 127.0) / 128.0)))
        for stage in self.stages:
            x = stage(x)
        regions: Tensor = self.mix(x)  # (N, C, side, side)
        return regions.flatten(2).transpose(1, 2)  # (N, R, C)

    @property
    def name(self) -> str:
        """Of the weights and the input: what cached regions are keyed by."""
        weights = hashlib.sha256()
        for value in self.state_dict().values():
            weights.update(value.cpu().numpy().tobytes())
        return f"{self.config.source}-{self.config.input_size}-{weights.hexdigest()[:8]}"


def load_trunk(config: TrunkConfig, encoder: Path | None = None) -> RegionTrunk:
    """A trunk with its weights.

    Args:
        config: which one.
        encoder: an exported copy encoder, for the source `copies`; the shipped one without.

    Raises:
        ModelError: ImageNet's weights aren't installed.
        ModelFileError: no such encoder.
    """
    trunk = RegionTrunk(config)
    if config.source == "copies":
        network = FrameNetwork(EncoderConfig())
        load_exported(network, encoder or default_encoder_path())
        last = network.global_mix
    else:
        stages = len(TRUNKS[config.trunk])
        network = FrameNetwork(EncoderConfig(stages=stages, trunk=config.trunk))
        load_imagenet_trunk(network)
        last = trunk.mix
        if config.source == "imagenet-head":
            _load_head(trunk.mix, imagenet_weights(config.trunk))
    trunk.stem.load_state_dict(network.stem.state_dict())
    trunk.stem_norm.load_state_dict(network.stem_norm.state_dict())
    trunk.stages.load_state_dict(network.stages.state_dict())
    if config.source == "copies":
        trunk.mix[0].load_state_dict(last[0].state_dict())
        trunk.mix[1].load_state_dict(last[1].state_dict())
    return trunk


def _mix(network: FrameNetwork, config: TrunkConfig) -> tuple[nn.Sequential, int]:
    """The layers after the last stage, and the channels that they give."""
    channels = network.config.kept_stages[-1].channels
    if config.source == "imagenet":
        return nn.Sequential(), channels
    if config.source == "copies":
        return nn.Sequential(*network.global_mix, nn.ReLU6()), 2 * channels
    norm = nn.BatchNorm2d(HEAD_CHANNELS, eps=1e-3)
    conv = SamePadConv(channels, HEAD_CHANNELS, 1, bias=False)
    return nn.Sequential(conv, norm, nn.ReLU6()), HEAD_CHANNELS


def _load_head(mix: nn.Sequential, weights: dict[str, Tensor]) -> None:
    for module, prefix in zip(mix, ("_conv_head", "_bn1"), strict=False):
        module.load_state_dict({name: weights[f"{prefix}.{name}"] for name in module.state_dict()})
