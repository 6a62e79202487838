"""What both towers are made of: a pre-norm transformer block and a pooling that learns to look."""

import torch
from torch import Tensor, nn
from torch.nn import functional

SOFTNESS = 0.1  # rows much shorter than this say nothing, and are not blown up to length 1


class Block(nn.Module):
    """Self-attention and a feed-forward layer, each normed before and added to what came in.

    Pre-norm, as in Xiong et al., "On Layer Normalization in the Transformer Architecture", ICML
    2020, figure 1 (b).
    """

    def __init__(self, width: int, heads: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.inward = nn.Linear(width, 3 * width)
        self.outward = nn.Linear(width, width)
        self.forward_norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, expansion * width)
        self.narrow = nn.Linear(expansion * width, width)
        self.dropout = nn.Dropout(dropout)

    def start_idle(self) -> None:
        """Change nothing of what comes in, until there is something learned."""
        for layer in (self.outward, self.narrow):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """Look from each place at all that are present.

        Args:
            x: (B, N, d) float32.
            present: (B, N) bool, False where there is padding.

        Returns:
            (B, N, d) float32.
        """
        rows, places, width = x.shape
        parts = self.inward(self.attention_norm(x)).view(rows, places, 3, self.heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, h, N, d / h)
        scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5  # (B, h, N, N)
        # -1e4, not -inf: a row of padding alone stays finite, and so does half precision.
        weights = scores.masked_fill(~present[:, None, None, :], -1e4).softmax(-1)
        seen = (weights @ value).transpose(1, 2).reshape(rows, places, width)
        x = x + self.dropout(self.outward(seen))
        wide = functional.gelu(self.widen(self.forward_norm(x)))
        changed: Tensor = x + self.dropout(self.narrow(wide))
        return changed


class AttentionPool(nn.Module):
    """The mean of what is present, beside what learned queries look for."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, heads)
        self.value = nn.Linear(width, width)
        self.merge = nn.Linear(2 * width, width)

    def forward(self, x: Tensor, present: Tensor | None = None) -> Tensor:
        """Pool over places.

        Args:
            x: (B, N, d) float32.
            present: (B, N) bool, at least one of each row; all if None.

        Returns:
            (B, d) float32.
        """
        scores = self.score(x)  # (B, N, h)
        share = torch.ones_like(scores[..., :1])
        if present is not None:
            scores = scores.masked_fill(~present[..., None], -1e4)
            share = present[..., None].to(x.dtype)
        weights = scores.softmax(dim=1)  # (B, N, h)
        heads = weights.shape[-1]
        values = self.value(x).unflatten(-1, (heads, -1))  # (B, N, h, d / h)
        seen = (weights[..., None] * values).sum(dim=1).flatten(1)  # (B, d)
        mean = (x * share).sum(dim=1) / share.sum(dim=1)  # (B, d)
        pooled: Tensor = self.merge(torch.cat([mean, seen], dim=-1))
        return pooled


def soft_unit(x: Tensor) -> Tensor:
    """Rows near unit length; those near 0 stay there, without the steep gradient of a division."""
    return x * soft_scale(x)


def soft_scale(x: Tensor) -> Tensor:
    """(..., 1), what brings (..., d) rows near unit length, as in `soft_unit`."""
    return (x.square().sum(dim=-1, keepdim=True) + SOFTNESS**2).rsqrt()


def leaning(present: Tensor) -> Tensor:
    """How far each place is behind the middle of what is present, so that order can be told.

    Args:
        present: (B, N) bool.

    Returns:
        (B, N) float32, from -2 for the first of many to 2 for the last, 0 for one alone and where
        there is none; its size is 1 on average, so that two halves weigh -1 and 1.
    """
    count = present.sum(dim=1, keepdim=True).clamp_min(1)
    rank = present.cumsum(dim=1) - 0.5
    return (4 * rank / count - 2) * present
