"""How much each token matters to the other side of its pair, predicted; for TPM-CL."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class TokenImportance(nn.Module):
    """Importance of tokens given the vector of the other side.

    TPM-CL's linear weight predictor (Jiang et al., DMAE, ACM MM 2023, section on TPM-CL): token
    and vector side by side, a normalisation, two linear layers, a sigmoid, then shares that sum
    to 1. The published one normalises over a fixed number of tokens and mixes a fixed number of
    frames into the query; captions and clips of any length need each token on its own.
    """

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.predict = nn.Sequential(
            nn.LayerNorm(2 * dimension),
            nn.Linear(2 * dimension, dimension // 2, bias=False),
            nn.GELU(),
            nn.Linear(dimension // 2, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, tokens: Tensor, others: Tensor, candidates: Tensor) -> Tensor:
        """Shares of importance.

        Args:
            tokens: (B, N, D) of one side.
            others: (B, D), vectors of the other side.
            candidates: (B, N) bool; others get 0.

        Returns:
            (B, N), rows sum to 1, or are 0 where there is no candidate.
        """
        query = others[:, None].expand_as(tokens)
        raw = self.predict(torch.cat([tokens, query], 2))[..., 0] * candidates  # (B, N)
        shares: Tensor = raw / raw.sum(1, keepdim=True).clamp_min(1e-9)
        return shares


def most_important(importance: Tensor, candidates: Tensor, share: float) -> Tensor:
    """The most important tokens that together stay below a share of the importance.

    At least the most important one, and never all: the published rule masks nothing where one
    token has the whole share, which is where the predictor is surest.

    Args:
        importance: (B, N), rows sum to 1.
        candidates: (B, N) bool.
        share: of the importance.

    Returns:
        (B, N) bool; none in rows of fewer than two candidates.
    """
    ranked, order = importance.masked_fill(~candidates, -1.0).sort(1, descending=True)
    rank = torch.arange(importance.shape[1], device=importance.device)
    count = candidates.sum(1, keepdim=True)  # (B, 1)
    below = (ranked.clamp_min(0).cumsum(1) < share) | (rank == 0)
    chosen = below & (rank < count - 1)
    return torch.zeros_like(candidates).scatter_(1, order, chosen)


def pooled(tokens: Tensor, importance: Tensor) -> Tensor:
    """(B, D) unit rows, the tokens (B, N, D) summed by importance (B, N)."""
    return functional.normalize(torch.einsum("bnd,bn->bd", tokens, importance), dim=1)
