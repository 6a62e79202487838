"""Begins a text tower as a smaller trained one: what it has more of says nothing yet.

Function-preserving growth after Chen et al., "Net2Net", ICLR 2016, with new units that write and
aren't read, instead of copies. Deeper towers say the same exactly; wider ones nearly, since the
mean that a layer norm takes off is of more numbers.
"""

import torch
from torch import Tensor, nn

from models.text_video.blocks import Block
from models.text_video.caption_tower import TextTower

QUIET = 0.2  # of their first size, what new units write: enough to be told apart. Set by hand


def grow(tower: TextTower, small: TextTower) -> None:
    """Give a tower the weights of a smaller one.

    Args:
        tower: changed; as many heads and entries, at least as many layers, as wide or wider, its
            feed-forward layers too.
        small: the trained one.
    """
    width, heads = small.place.shape[1], small.config.heads
    old = torch.arange(width)
    wider = tower.place.shape[1] // heads  # of a head
    narrow = width // heads
    headed = (torch.arange(heads)[:, None] * wider + torch.arange(narrow)).flatten()
    with torch.no_grad():
        tower.embedding.weight[:, width:] *= QUIET
        tower.embedding.weight[:, :width] = small.embedding.weight
        tower.place.zero_()[:, :width] = small.place
        for block, theirs in zip(tower.blocks, small.blocks, strict=False):
            assert isinstance(block, Block) and isinstance(theirs, Block)
            _grow_block(block, theirs, old, headed)
        for block in tower.blocks[len(small.blocks) :]:
            assert isinstance(block, Block)
            block.start_idle()
        _grow_norm(tower.norm, small.norm)
        pool, pooled = tower.pool, small.pool
        _grow_linear(pool.score, pooled.score, torch.arange(heads), old)
        _grow_linear(pool.value, pooled.value, headed, old)
        both = torch.cat([old, heads * wider + headed])  # the mean, then what was looked for
        _grow_linear(pool.merge, pooled.merge, old, both)
        for name in ("head", "past", "later", "token_head"):
            theirs = getattr(small, name)
            _grow_linear(getattr(tower, name), theirs, torch.arange(len(theirs.weight)), old)


def _grow_block(block: Block, small: Block, old: Tensor, headed: Tensor) -> None:
    """One block; `old` are the places that the smaller has, `headed` the same by heads."""
    width, heads = block.outward.out_features, block.heads
    _grow_norm(block.attention_norm, small.attention_norm)
    _grow_norm(block.forward_norm, small.forward_norm)
    parts = torch.cat([part * width + headed for part in range(3)])  # query, key, value
    _grow_linear(block.inward, small.inward, parts, old)
    # Scores are divided by the root of a head's width, and new places of a query ask for nothing.
    queries = block.inward.weight[:width]
    queries *= (width / len(old)) ** 0.5
    block.inward.bias[:width] *= (width / len(old)) ** 0.5
    new = torch.ones(width, dtype=torch.bool)
    new[headed] = False
    queries[new] = 0
    inner = torch.arange(small.widen.out_features)
    _grow_linear(block.outward, small.outward, old, headed)
    _grow_linear(block.widen, small.widen, inner, old)
    _grow_linear(block.narrow, small.narrow, old, inner)
    assert queries.shape == (width, width) and heads == small.heads


def _grow_norm(norm: nn.LayerNorm, small: nn.LayerNorm) -> None:
    """A layer norm, whose deviation is of more numbers, the new ones near 0."""
    width = len(small.weight)
    norm.weight[:width] = small.weight * (width / len(norm.weight)) ** 0.5
    norm.bias[:width] = small.bias


def _grow_linear(layer: nn.Linear, small: nn.Linear, rows: Tensor, columns: Tensor) -> None:
    """A layer whose `rows` read only `columns`, as the smaller one; the other rows are quiet."""
    layer.weight.mul_(QUIET)
    layer.weight[rows] = 0
    layer.weight[rows[:, None], columns] = small.weight
    if layer.bias is not None:
        layer.bias.zero_()
        layer.bias[rows] = small.bias
