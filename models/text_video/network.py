"""The dual encoder: a tower for clips over the trunk's regions, a tower for captions.

Both end in unit vectors of one space, and give tokens in it for methods that compare words with
parts of pictures. Each tower adds two things up: what its transformer says, and a plain path past
it, the words of a caption or the mean pictures of a clip, that can be given its weights before
training (`models.text_video.start`).
"""

from dataclasses import dataclass, field
from math import isqrt, log

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.text_video.blocks import AttentionPool, Block
from models.text_video.side import Side
from models.text_video.tokenizer import ENTRIES, MASK, MAX_TOKENS, PAD, SPECIAL
from models.text_video.trunk import TrunkConfig

QUADRANTS = 4  # parts of a frame that words are compared with: every region would cost 16 times
HEAD_GAIN = 0.1  # of the transformers beside the plain paths, before training
SOFTNESS = 0.1  # rows much shorter than this say nothing, and are not blown up to length 1
SIZES = (
    "dimension", "width", "heads", "text_layers", "frame_layers", "expansion", "entries",
    "most_tokens", "most_frames",
)  # fmt: skip
LENGTHS = 4  # groups of captions in a training batch


@dataclass(frozen=True)
class TextVideoConfig:
    """Shape of the two towers.

    Attributes:
        dimension: D, of the shared space.
        width: d, inside both towers.
        text_layers: transformer blocks over words.
        frame_layers: transformer blocks over frames.
        expansion: how many times wider a block's feed-forward layer is.
        dropout: inside blocks.
        region_dropout: of the trunk's channels, for all regions of a frame at once.
        entries: of the tokenizer.
        most_tokens: of a caption.
        most_frames: of a clip.
        trunk: what makes the regions.
    """

    dimension: int = 256
    width: int = 192
    heads: int = 4
    text_layers: int = 2
    frame_layers: int = 1
    expansion: int = 2
    dropout: float = 0.1
    region_dropout: float = 0.2
    entries: int = ENTRIES
    most_tokens: int = MAX_TOKENS
    most_frames: int = 8
    trunk: TrunkConfig = field(default_factory=TrunkConfig)

    def __post_init__(self) -> None:
        """Refuse what is no size or share, and heads that don't share the width evenly."""
        for name in SIZES:
            if getattr(self, name) < 1:
                raise ValueError(f"self.{name} = {getattr(self, name)}, expected at least 1")
        for name in ("dropout", "region_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"self.{name} = {getattr(self, name)}, expected 0 to below 1")
        if self.width % self.heads:
            raise ValueError(f"{self.width = }, expected a multiple of {self.heads = }")


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
        self.frame_place = nn.Parameter(0.02 * torch.randn(config.most_frames, width))
        self.blocks = nn.ModuleList(_blocks(config, config.frame_layers))
        self.norm = nn.LayerNorm(width)
        self.clip_pool = AttentionPool(width, config.heads)
        self.head = nn.Linear(width, config.dimension)
        self.token_head = nn.Linear(width, config.dimension)
        self.past = nn.Linear(width, config.dimension, bias=False)

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
        return _soft_unit(self.picture_in(means))

    def frames(self, frames: Tensor, present: Tensor) -> Tensor:
        """(B, T, d) frames by themselves to (B, T, d) frames that know their neighbours."""
        x = frames + self.frame_place[: frames.shape[1]]
        for block in self.blocks:
            x = block(x, present)
        normed: Tensor = self.norm(x)
        return normed

    def vector(self, regions: Tensor) -> Tensor:
        """The serving path: (T, R, C) regions of one clip to its (1, D) unit vector."""
        x = self.standardised(regions)
        frames = self.frame_pool(self.regions(x))[None]  # (1, T, d)
        present = torch.ones_like(frames[..., 0], dtype=torch.bool)
        seen = self.clip_pool(self.frames(frames, present), present)
        return self._joined(seen, self.plain(x.mean(dim=1)).mean(dim=0, keepdim=True))

    def _joined(self, seen: Tensor, plain: Tensor) -> Tensor:
        """What the transformer saw and the plain path, (B, d) each, to (B, D) unit rows."""
        return functional.normalize(self.head(seen) + self.past(plain), dim=-1)

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
        mean = plain.sum(dim=1) / present.sum(dim=1, keepdim=True)
        vectors = self._joined(self.clip_pool(frames, present), mean)
        parts = _spread(_quadrants(local), present)  # (B, T, 4, d)
        plain_parts = _spread(self.plain(_quadrants(x)), present)
        tokens = torch.cat([frames, parts.flatten(1, 2)], dim=1)
        plain_tokens = torch.cat([plain, plain_parts.flatten(1, 2)], dim=1)
        known = torch.cat([present, present.repeat_interleave(QUADRANTS, dim=1)], dim=1)
        said = self.token_head(tokens) + self.past(plain_tokens)
        return Side(vectors, functional.normalize(said, dim=-1), known)


class TextTower(nn.Module):
    """Ids of captions to one vector each."""

    def __init__(self, config: TextVideoConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.embedding = nn.Embedding(config.entries, width, padding_idx=PAD)
        nn.init.normal_(self.embedding.weight, std=0.05)
        self.place = nn.Parameter(0.02 * torch.randn(config.most_tokens, width))
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(_blocks(config, config.text_layers))
        self.norm = nn.LayerNorm(width)
        self.pool = AttentionPool(width, config.heads)
        self.head = nn.Linear(width, config.dimension)
        self.token_head = nn.Linear(width, config.dimension)
        self.past = nn.Linear(width, config.dimension, bias=False)

    def hidden(self, ids: Tensor) -> Tensor:
        """(B, L) int64 ids to (B, L, d) float32, each word knowing its neighbours.

        In training, captions of about one length go together: less padding is computed.
        """
        # Not in serving: what depends on the lengths can't be traced. Small batches gain nothing.
        if not self.training or len(ids) < 2 * LENGTHS:
            return self._contextual(ids)
        lengths = (ids != PAD).sum(dim=1)
        order = lengths.argsort(stable=True)
        parts = [
            functional.pad(self._contextual(ids[rows, :most]), (0, 0, 0, ids.shape[1] - most))
            for rows in order.chunk(LENGTHS)
            for most in [int(lengths[rows[-1]])]
        ]
        return torch.cat(parts)[order.argsort()]

    def _contextual(self, ids: Tensor) -> Tensor:
        x = self.dropout(self.embedding(ids) + self.place[: ids.shape[1]])
        for block in self.blocks:
            x = block(x, ids != PAD)
        normed: Tensor = self.norm(x)
        return normed

    def vector(self, hidden: Tensor, ids: Tensor) -> Tensor:
        """(B, L, d) hidden states of (B, L) ids to (B, D) unit rows."""
        words = self.embedding(ids) * (ids >= len(SPECIAL))[..., None]
        plain = self.past(_soft_unit(words.sum(dim=1)))
        return functional.normalize(self.head(self.pool(hidden, ids != PAD)) + plain, dim=-1)

    def forward(self, ids: Tensor) -> Side:
        """Vectors and words of captions.

        Args:
            ids: (B, L) int64, L from 1 to `most_tokens`, `<cls>` first, 0 is padding.

        Returns:
            The side; its tokens are the L places of `ids`, present where there is a word or a
            mask: neither `<cls>` nor padding, but where a caption has no word.
        """
        hidden = self.hidden(ids)
        plain = self.past(_soft_unit(self.embedding(ids)))
        tokens = functional.normalize(self.token_head(hidden) + plain, dim=-1)
        words = (ids == MASK) | (ids >= len(SPECIAL))
        wordless = ~words.any(dim=1, keepdim=True) & (ids != PAD)
        return Side(self.vector(hidden, ids), tokens, words | wordless)


class TextVideoNetwork(nn.Module):
    """Both towers and the temperature between them; the trunk stands outside, it doesn't learn."""

    def __init__(self, config: TextVideoConfig, channels: int, temperature: float = 0.07) -> None:
        super().__init__()
        self.config = config
        self.video = VideoTower(config, channels)
        self.text = TextTower(config)
        self.log_temperature = nn.Parameter(torch.tensor(log(temperature)))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for tower in (self.video, self.text):
            # Plain paths reach the space as they are, so that `start` is what training begins at.
            nn.init.eye_(tower.past.weight)
            for head in (tower.head, tower.token_head):
                nn.init.xavier_uniform_(head.weight, HEAD_GAIN)

    @property
    def temperature(self) -> Tensor:
        """What divides similarities: a scalar from 0.01 to 0.5."""
        return self.log_temperature.clamp(log(0.01), log(0.5)).exp()


def _blocks(config: TextVideoConfig, count: int) -> list[Block]:
    made = (config.width, config.heads, config.expansion, config.dropout)
    return [Block(*made) for _ in range(count)]


def _spread(frames: Tensor, present: Tensor) -> Tensor:
    """(F, ...) frames of all clips to (B, T, ...), 0 where a clip has none."""
    spread = frames.new_zeros((*present.shape, *frames.shape[1:]))
    spread[present] = frames
    return spread


def _soft_unit(x: Tensor) -> Tensor:
    """Rows near unit length; those near 0 stay there, without the steep gradient of a division."""
    return x * (x.square().sum(dim=-1, keepdim=True) + SOFTNESS**2).rsqrt()


def _quadrants(local: Tensor) -> Tensor:
    """(F, R, d) regions to (F, 4, d): the means of the four quarters of the picture."""
    side = isqrt(local.shape[1])
    frames, _, width = local.shape
    picture = local.transpose(1, 2).reshape(frames, width, side, side)
    return functional.adaptive_avg_pool2d(picture, 2).flatten(2).transpose(1, 2)
