"""What a tower says of a batch; the methods of training compare two of these."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Side:
    """One side of a batch of pairs, captions or clips.

    Attributes:
        vectors: (B, D) float32, unit rows.
        tokens: (B, N, D) float32, unit rows where present: words of a caption, or frames and
            their quadrants.
        present: (B, N) bool, False where a token is padding.
    """

    vectors: Tensor
    tokens: Tensor
    present: Tensor

    def __post_init__(self) -> None:
        """Refuse parts of different batches."""
        rows, tokens = self.vectors.shape[0], self.tokens.shape
        if tokens[0] != rows or tokens[2] != self.vectors.shape[1]:
            raise ValueError(f"{self.vectors.shape = }, {self.tokens.shape = }")
        if self.present.shape != tokens[:2]:
            raise ValueError(f"{self.present.shape = }, expected {tuple(tokens[:2])}")

    def __len__(self) -> int:
        return len(self.vectors)
