"""Small steps of training for the tests of the methods, with an encoder that can be followed."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.text_video.methods.step import Step
from models.text_video.side import Side

ENTRIES = 30
FIRST_WORD = 4  # smaller ids are special


class BagOfWords(nn.Module):
    """Ids to their own embeddings, captions to the mean of these."""

    def __init__(self, dimension: int, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        table = torch.randn(ENTRIES, dimension, generator=generator, dtype=torch.float64)
        self.table = nn.Parameter(table)

    def forward(self, ids: Tensor) -> Side:
        """(B, L) ids to the side of their captions."""
        present = ids > 0
        tokens = functional.normalize(self.table[ids], dim=2)
        vectors = functional.normalize((tokens * present[..., None]).sum(1), dim=1)
        return Side(vectors, tokens, present)


def clips(count: int, frames: int, dimension: int, seed: int, ragged: bool = True) -> Side:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(count, frames, dimension, generator=generator, dtype=torch.float64)
    tokens = functional.normalize(tokens, dim=2)
    least = 1 if ragged else frames
    lengths = torch.randint(least, frames + 1, (count, 1), generator=generator)
    present = torch.arange(frames) < lengths
    vectors = functional.normalize((tokens * present[..., None]).sum(1), dim=1)
    return Side(vectors.requires_grad_(), tokens.requires_grad_(), present)


def captions(count: int, words: int, seed: int) -> tuple[Tensor, Tensor]:
    """Ids (count, 1 + words), `<cls>` first, of any length; significance, each word at random."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(FIRST_WORD, ENTRIES, (count, 1 + words), generator=generator)
    ids[:, 0] = 3
    lengths = torch.randint(0, words + 1, (count, 1), generator=generator)
    ids = ids.masked_fill(torch.arange(1 + words) > lengths, 0)
    significance = (torch.rand(ids.shape, generator=generator) < 0.6).float()
    return ids, significance.masked_fill(ids < FIRST_WORD, 0.0)


def step(
    count: int = 5,
    words: int = 6,
    frames: int = 4,
    dimension: int = 8,
    *,
    seed: int = 0,
    grouped: bool = False,
    progress: float = 0.0,
    temperature: float = 0.1,
    encoder: BagOfWords | None = None,
    significant: bool = True,
) -> Step:
    """A step of random captions and clips; every two pairs are the same thing if `grouped`."""
    encoder = encoder or BagOfWords(dimension, seed)
    ids, significance = captions(count, words, seed)
    groups = torch.arange(count) // 2 if grouped else torch.arange(count)
    return Step(
        visual=clips(count, frames, dimension, seed + 1),
        text=encoder(ids),
        ids=ids,
        significance=significance if significant else torch.zeros_like(significance),
        same=groups[:, None] == groups,
        progress=progress,
        temperature=temperature,
        encode_text=encoder,
    )


def finite_gradients(loss: Tensor, *inputs: Tensor) -> bool:
    """Whether the loss is finite and has finite gradients where it has any."""
    found = torch.autograd.grad(loss, inputs, allow_unused=True)
    kept = [gradient for gradient in found if gradient is not None]
    return bool(torch.isfinite(loss)) and all(bool(torch.isfinite(each).all()) for each in kept)
