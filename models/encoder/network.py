"""The frame encoder: an EfficientNet-Lite trunk, GeM pooling at two depths, a linear head.

After SSCD (Pizzi et al., "A Self-Supervised Descriptor for Image Copy Detection", CVPR 2022): GeM
pooling, a linear projection, unit rows. The trunk is one of EfficientNet-Lite's, cut after a chosen
stage, so that ImageNet weights can start it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.encoder.trunks import STEM_CHANNELS, TRUNKS, Stage, imagenet_weights


@dataclass(frozen=True)
class EncoderConfig:
    """Shape of the encoder.

    Defaults are what is shipped. Of shapes of about the same cost a shallower one was worse and a
    deeper one with fewer pixels no better (docs/experiments.md, "Other trunks").

    Attributes:
        input_size: side of the square input in pixels.
        dimension: length of the descriptor.
        stages: how many of the trunk's stages are kept, from the input on.
        local_stage: stage whose map is pooled beside the last one, for finer detail.
        gem_power: start value of GeM's learned exponent.
        trunk: a name in `models.encoder.trunks.TRUNKS`.
    """

    input_size: int = 128
    dimension: int = 128
    stages: int = 6
    local_stage: int = 4
    gem_power: float = 3.0
    trunk: str = "lite0"

    def __post_init__(self) -> None:
        """Refuse a trunk that isn't there, and a shape that has no such stages."""
        if self.trunk not in TRUNKS:
            raise ValueError(f"{self.trunk = }, expected one of {', '.join(TRUNKS)}")
        if not 0 <= self.local_stage < self.stages <= len(TRUNKS[self.trunk]):
            raise ValueError(
                f"{self.local_stage = }, {self.stages = }: expected local_stage below stages, and "
                f"at most {len(TRUNKS[self.trunk])} stages"
            )

    @property
    def kept_stages(self) -> tuple[Stage, ...]:
        """The trunk's stages that the encoder has."""
        return TRUNKS[self.trunk][: self.stages]


class SamePadConv(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding: at stride 2 the odd pixel is on the right."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', ceil(H / stride), ceil(W / stride))."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride == 1:
            return functional.conv2d(input, self.weight, self.bias, 1, kernel // 2, 1, self.groups)
        padded = []
        for side in (input.shape[-1], input.shape[-2]):
            total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            padded += [total // 2, total - total // 2]
        return super().forward(functional.pad(input, padded))


def _normed(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def _mix(channels: int) -> nn.Sequential:
    """A pointwise layer before pooling: (N, C, H, W) to (N, 2C, H, W)."""
    return nn.Sequential(SamePadConv(channels, 2 * channels, 1, bias=False), _normed(2 * channels))


class Block(nn.Module):
    """An inverted residual: expand, depthwise, project."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int, kernel: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = SamePadConv(inputs, hidden, 1, bias=False) if expansion > 1 else None
        self.expand_norm = _normed(hidden) if expansion > 1 else None
        self.depthwise = SamePadConv(hidden, hidden, kernel, stride, groups=hidden, bias=False)
        self.depthwise_norm = _normed(hidden)
        self.project = SamePadConv(hidden, outputs, 1, bias=False)
        self.project_norm = _normed(outputs)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H / stride, W / stride)."""
        y = x
        if self.expand is not None and self.expand_norm is not None:
            y = functional.relu6(self.expand_norm(self.expand(y)))
        y = functional.relu6(self.depthwise_norm(self.depthwise(y)))
        projected: Tensor = self.project_norm(self.project(y))
        return x + projected if self.residual else projected


class GeM(nn.Module):
    """Generalised-mean pooling over space (Radenović et al., TPAMI 2019, eq. 3)."""

    def __init__(self, power: float) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.tensor(power))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C)."""
        # Clamped: 0 to a learned power has no gradient.
        pooled: Tensor = x.clamp(min=1e-4).pow(self.power).mean(dim=(2, 3)).pow(1.0 / self.power)
        return pooled


class FrameNetwork(nn.Module):
    """Frames in, unit descriptors out."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = SamePadConv(3, STEM_CHANNELS, 3, 2, bias=False)
        self.stem_norm = _normed(STEM_CHANNELS)
        self.stages = nn.ModuleList()
        channels = STEM_CHANNELS
        for stage in config.kept_stages:
            outputs, expansion, kernel = stage.channels, stage.expansion, stage.kernel
            blocks = [Block(channels, outputs, expansion, stage.stride, kernel)]
            blocks += [
                Block(outputs, outputs, expansion, 1, kernel) for _ in range(stage.repeats - 1)
            ]
            self.stages.append(nn.Sequential(*blocks))
            channels = outputs
        local = config.kept_stages[config.local_stage].channels
        self.local_mix = _mix(local)
        self.global_mix = _mix(channels)
        self.local_pool = GeM(config.gem_power)
        self.global_pool = GeM(config.gem_power)
        self.head = nn.Linear(2 * local + 2 * channels, config.dimension)

    def lower(self, frames: Tensor, stages: int) -> Tensor:
        """Stem and the first stages.

        Args:
            frames: (N, S, S, 3) uint8 RGB.
            stages: how many.

        Returns:
            (N, C, H, W) float32.
        """
        # Cast first: TensorRT takes bytes as an input only where a cast follows.
        x = frames.to(torch.float32).permute(0, 3, 1, 2)  # (N, 3, S, S)
        # Centred as the ImageNet weights of EfficientNet-Lite expect it.
        x = functional.relu6(self.stem_norm(self.stem((x - 127.0) / 128.0)))
        for stage in self.stages[:stages]:
            x = stage(x)
        return x

    def upper(self, x: Tensor, stages: int) -> Tensor:
        """The remaining stages and the pooling, after `lower(…, stages)`.

        Returns:
            (N, F) float32, pooled features before the projection.
        """
        local = x
        for index in range(stages, len(self.stages)):
            x = self.stages[index](x)
            if index == self.config.local_stage:
                local = x
        return torch.cat(
            [
                self.local_pool(functional.relu6(self.local_mix(local))),
                self.global_pool(functional.relu6(self.global_mix(x))),
            ],
            dim=1,
        )

    def describe(self, features: Tensor) -> Tensor:
        """(N, F) pooled features to (N, D) unit rows."""
        return functional.normalize(self.head(features), dim=1)

    def forward(self, frames: Tensor) -> Tensor:
        """(N, S, S, 3) uint8 RGB to (N, D) float32 unit rows."""
        return self.describe(self.upper(self.lower(frames, 0), 0))


def load_imagenet_trunk(network: FrameNetwork) -> None:
    """Start the trunk from its ImageNet weights.

    Raises:
        ModelError: the training extra isn't installed.
        KeyError: the weights file has another shape than the trunk.
    """
    weights = imagenet_weights(network.config.trunk)
    _copy(network.stem, weights, "_conv_stem")
    _copy(network.stem_norm, weights, "_bn0")
    blocks = [module for module in network.stages.modules() if isinstance(module, Block)]
    for number, block in enumerate(blocks):
        name = f"_blocks.{number}."
        if block.expand is not None and block.expand_norm is not None:
            _copy(block.expand, weights, name + "_expand_conv")
            _copy(block.expand_norm, weights, name + "_bn0")
        _copy(block.depthwise, weights, name + "_depthwise_conv")
        _copy(block.depthwise_norm, weights, name + "_bn1")
        _copy(block.project, weights, name + "_project_conv")
        _copy(block.project_norm, weights, name + "_bn2")


def _copy(module: nn.Module, weights: dict[str, Tensor], prefix: str) -> None:
    names = module.state_dict().keys()
    module.load_state_dict({name: weights[f"{prefix}.{name}"] for name in names})
