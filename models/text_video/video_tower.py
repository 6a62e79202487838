"""The tower for clips, over the trunk's regions; and several of them joined to one."""

from math import isqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.text_video.blocks import AttentionPool, Block, leaning, soft_unit
from models.text_video.shape import TextVideoConfig
from models.text_video.side import Side

QUADRANTS = 4  # parts of a frame that words are compared with: every region would cost 16 times


class VideoTower(nn.Module):
    """Regions of a clip's frames to one vector; a photo is a clip of one frame.

    What all photos have in common is taken off first (`standardise`): vectors that begin alike
    learn slowly to differ.
    """

    region_mean: Tensor
    region_scale: Tensor

    def __init__(self, config: TextVideoConfig, channels: int) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.register_buffer("region_mean", torch.zeros(channels))
        self.register_buffer("region_scale", torch.ones(channels))
        self.channel_dropout = nn.Dropout(config.region_dropout)
        self.region_in = nn.Linear(channels, width)
        self.picture_in = nn.Linear(channels, width, bias=False)
        self.region_place = nn.Parameter(0.02 * torch.randn(config.trunk.side**2, width))
        self.frame_pool = AttentionPool(width, config.heads)
        self.frame_place = nn.Parameter(0.02 * torch.randn(config.max_frames, width))
        self.blocks = nn.ModuleList(
            Block(width, config.heads, config.expansion, config.dropout)
            for _ in range(config.frame_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.clip_pool = AttentionPool(width, config.heads)
        self.head = nn.Linear(width, config.dimension)
        self.token_head = nn.Linear(width, config.dimension)
        self.past = nn.Linear(width, config.dimension, bias=False)
        self.later = nn.Linear(width, config.dimension, bias=False)

    def standardise(self, regions: Tensor) -> None:
        """From now on bring channels to mean 0 and deviation 1, as they are in a sample.

        Args:
            regions: (N, C) float32.
        """
        self.region_mean.copy_(regions.mean(dim=0))
        self.region_scale.copy_(1 / regions.std(dim=0).clamp_min(0.05))

    def standardised(self, regions: Tensor) -> Tensor:
        """(F, R, C) regions with channels of mean 0 and deviation 1; some at 0 in training."""
        x = (regions - self.region_mean) * self.region_scale
        if self.training:
            x = x * self.channel_dropout(torch.ones_like(x[:, :1]))
        return x

    def regions(self, standardised: Tensor) -> Tensor:
        """(F, R, C) to (F, R, d), each knowing its place."""
        return functional.gelu(self.region_in(standardised) + self.region_place)

    def plain(self, means: Tensor) -> Tensor:
        """(..., C) means of standardised regions to (..., d) of a length of about 1."""
        return soft_unit(self.picture_in(means))

    def frames(self, frames: Tensor, present: Tensor) -> Tensor:
        """(B, T, d) frames by themselves to (B, T, d) frames that know their neighbours."""
        x = frames + self.frame_place[: frames.shape[1]]
        for block in self.blocks:
            x = block(x, present)
        normed: Tensor = self.norm(x)
        return normed

    def vectors(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        """The serving path: a clip's vector, and that of each of its frames by itself.

        Args:
            regions: (T, R, C) of one clip.

        Returns:
            (1, D) and (T, D) unit rows.
        """
        x = self.standardised(regions)
        frames = self.frame_pool(self.regions(x))  # (T, d)
        plain = self.plain(x.mean(dim=1))  # (T, d)
        whole = self._of_clips(frames[None], plain[None])
        return whole, self._of_clips(frames[:, None], plain[:, None])

    def _of_clips(self, frames: Tensor, plain: Tensor) -> Tensor:
        """Clips of as many frames each, (B, T, d) both, to (B, D) unit rows."""
        present = torch.ones_like(frames[..., 0], dtype=torch.bool)
        return self._joined(self.clip_pool(self.frames(frames, present), present), plain, present)

    def _joined(self, seen: Tensor, plain: Tensor, present: Tensor) -> Tensor:
        """What the transformer saw and the plain paths, to (B, D) unit rows.

        Args:
            seen: (B, d).
            plain: (B, T, d) of frames, 0 where there is none.
            present: (B, T) bool.
        """
        count = present.sum(dim=1, keepdim=True)
        mean = plain.sum(dim=1) / count
        later = (leaning(present)[..., None] * plain).sum(dim=1) / count
        joined = self.head(seen) + self.past(mean) + self.later(later)
        return functional.normalize(joined, dim=-1)

    def forward(self, regions: Tensor, present: Tensor) -> Side:
        """Vectors and tokens of B clips.

        Args:
            regions: (F, R, C) float32, the frames of all clips one after the other.
            present: (B, T) bool, the first frames of each row; F are True.

        Returns:
            The side; its tokens are T frames, then T times four quadrants.
        """
        rows, most = present.shape
        x = self.standardised(regions)
        local = self.regions(x)  # (F, R, d)
        frames = self.frames(_spread(self.frame_pool(local), present), present)  # (B, T, d)
        plain = _spread(self.plain(x.mean(dim=1)), present)  # (B, T, d)
        vectors = self._joined(self.clip_pool(frames, present), plain, present)
        parts = _spread(_quadrants(local), present)  # (B, T, 4, d)
        plain_parts = _spread(self.plain(_quadrants(x)), present)
        tokens = torch.cat([frames, parts.flatten(1, 2)], dim=1)
        plain_tokens = torch.cat([plain, plain_parts.flatten(1, 2)], dim=1)
        known = torch.cat([present, present.repeat_interleave(QUADRANTS, dim=1)], dim=1)
        said = self.token_head(tokens) + self.past(plain_tokens)
        return Side(vectors, functional.normalize(said, dim=-1), known)


class JoinedVideoTower(nn.Module):
    """Several towers over one trunk, their vectors side by side, turned into the shared space."""

    def __init__(self, config: TextVideoConfig, channels: int) -> None:
        super().__init__()
        self.config = config
        count = config.video_towers
        self.towers = nn.ModuleList(VideoTower(config, channels) for _ in range(count))
        self.join = nn.Linear(count * config.dimension, config.dimension, bias=False)

    def standardise(self, regions: Tensor) -> None:
        """As `VideoTower.standardise`, each tower."""
        for tower in self._each():
            tower.standardise(regions)

    def vectors(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        """The serving path, as `VideoTower.vectors`."""
        found = [tower.vectors(regions) for tower in self._each()]
        whole, frames = ([part[place] for part in found] for place in (0, 1))
        return self._joined(whole), self._joined(frames)

    def forward(self, regions: Tensor, present: Tensor) -> Side:
        """Vectors and tokens of clips, as `VideoTower.forward`."""
        sides: list[Side] = [tower(regions, present) for tower in self._each()]
        vectors = self._joined([side.vectors for side in sides])
        return Side(vectors, self._joined([side.tokens for side in sides]), sides[0].present)

    def _joined(self, rows: list[Tensor]) -> Tensor:
        return functional.normalize(self.join(torch.cat(rows, dim=-1)), dim=-1)

    def _each(self) -> list[VideoTower]:
        return [tower for tower in self.towers if isinstance(tower, VideoTower)]


def _spread(frames: Tensor, present: Tensor) -> Tensor:
    """(F, ...) frames of all clips to (B, T, ...), 0 where a clip has none."""
    spread = frames.new_zeros((*present.shape, *frames.shape[1:]))
    spread[present] = frames
    return spread


def _quadrants(local: Tensor) -> Tensor:
    """(F, R, d) regions to (F, 4, d): the means of the four quarters of the picture."""
    side = isqrt(local.shape[1])
    frames, _, width = local.shape
    picture = local.transpose(1, 2).reshape(frames, width, side, side)
    return functional.adaptive_avg_pool2d(picture, 2).flatten(2).transpose(1, 2)
