"""What a training method of the text-video encoder may look at: one step's pairs."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from models.text_video.side import Side


@dataclass(frozen=True)
class Step:
    """A batch of B pairs: row i of `text` describes row i of `visual`.

    Attributes:
        visual: the towers' view of the pictures; its tokens are frames or regions.
        text: the towers' view of the captions; its tokens are the L places of `ids`.
        ids: (B, L) int64, token ids, 0 is padding.
        significance: (B, L) float32 in [0, 1]; 0 for padding and function words.
        same: (B, B) bool, pairs that show the same thing; the diagonal is True.
        progress: share of the training that is done, [0, 1].
        temperature: divides similarities; a number or a learnable scalar.
        encode_text: (M, L) int64 ids -> the text side of M changed captions.
        orders: (B, 2, L') int64, joined captions in order and in the opposite one, padding alone
            where a caption isn't joined; None in a batch without clips.
    """

    visual: Side
    text: Side
    ids: Tensor
    significance: Tensor
    same: Tensor
    progress: float
    temperature: Tensor | float
    encode_text: Callable[[Tensor], Side]
    orders: Tensor | None = None

    def __post_init__(self) -> None:
        count = len(self.ids)
        sizes = [len(self.visual.vectors), len(self.text.vectors), *self.same.shape]
        if any(size != count for size in sizes) or self.significance.shape != self.ids.shape:
            raise ValueError(
                f"{self.ids.shape = }, {self.significance.shape = }, {self.same.shape = }, "
                f"{self.visual.vectors.shape = }, {self.text.vectors.shape = }: one row a pair"
            )
