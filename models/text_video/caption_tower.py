"""The tower for captions, over ids; and one over what a frozen encoder says of them."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.text_video.blocks import AttentionPool, Block, leaning, soft_scale, soft_unit
from models.text_video.sentences import DIMENSIONS, sentence_dimension
from models.text_video.shape import TextVideoConfig
from models.text_video.side import Side
from models.text_video.tokenizer import MASK, PAD, SPECIAL

WIDENING = 4  # of a sentence tower's layer, beside the shared space. Set by hand
LENGTHS = 4  # groups of captions in a training batch


class TextTower(nn.Module):
    """Ids of captions to one vector each."""

    def __init__(self, config: TextVideoConfig) -> None:
        super().__init__()
        self.config = config
        width = config.words_width
        self.embedding = nn.Embedding(config.entries, width, padding_idx=PAD)
        nn.init.normal_(self.embedding.weight, std=0.05)
        self.place = nn.Parameter(0.02 * torch.randn(config.max_tokens, width))
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            Block(width, config.heads, config.expansion, config.dropout)
            for _ in range(config.text_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.pool = AttentionPool(width, config.heads)
        self.head = nn.Linear(width, config.dimension)
        self.token_head = nn.Linear(width, config.dimension)
        self.past = nn.Linear(width, config.dimension, bias=False)
        self.later = nn.Linear(width, config.dimension, bias=False)

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
        said = ids >= len(SPECIAL)
        words = self.embedding(ids) * said[..., None]
        total = words.sum(dim=1)
        later = (leaning(said)[..., None] * words).sum(dim=1) * soft_scale(total)
        plain = self.past(soft_unit(total)) + self.later(later)
        return functional.normalize(self.head(self.pool(hidden, ids != PAD)) + plain, dim=-1)

    def forward(self, ids: Tensor) -> Side:
        """Vectors and words of captions.

        Args:
            ids: (B, L) int64, L from 1 to `max_tokens`, `<cls>` first, 0 is padding.

        Returns:
            The side; its tokens are the L places of `ids`, present where there is a word or a
            mask: neither `<cls>` nor padding, but where a caption has no word.
        """
        hidden = self.hidden(ids)
        plain = self.past(soft_unit(self.embedding(ids)))
        tokens = functional.normalize(self.token_head(hidden) + plain, dim=-1)
        words = (ids == MASK) | (ids >= len(SPECIAL))
        wordless = ~words.any(dim=1, keepdim=True) & (ids != PAD)
        return Side(self.vector(hidden, ids), tokens, words | wordless)


class SentenceTower(nn.Module):
    """Frozen encoders' sentence vectors to one vector each, by a layer and a straight path."""

    mean: Tensor
    scale: Tensor

    def __init__(self, config: TextVideoConfig) -> None:
        super().__init__()
        each = torch.tensor([DIMENSIONS[name] for name in config.read_sentences])
        width = sentence_dimension(config.read_sentences)
        self.register_buffer("mean", torch.zeros(width))
        # To a deviation of 1: unit vectors' numbers are as small as their count's root says.
        self.register_buffer("scale", (each**0.5).repeat_interleave(each), persistent=False)
        self.dropout = nn.Dropout(config.dropout)
        self.widen = nn.Linear(width, WIDENING * config.dimension)
        self.head = nn.Linear(WIDENING * config.dimension, config.dimension)
        self.past = nn.Linear(width, config.dimension, bias=False)

    def standardise(self, sentences: Tensor) -> None:
        """From now on take off what sentences, (N, E), have in common."""
        self.mean.copy_(sentences.mean(dim=0))

    def vector(self, sentences: Tensor) -> Tensor:
        """(B, E) sentence vectors, or means of some, to (B, D) unit rows."""
        x = self.dropout((sentences - self.mean) * self.scale)
        seen = self.head(self.dropout(functional.gelu(self.widen(x))))
        return functional.normalize(seen + self.past(x), dim=-1)

    def forward(self, sentences: Tensor) -> Side:
        """The side of captions that have no words: the one token of each is its vector."""
        vectors = self.vector(sentences)
        return Side(vectors, vectors[:, None], torch.ones_like(vectors[:, :1], dtype=torch.bool))
