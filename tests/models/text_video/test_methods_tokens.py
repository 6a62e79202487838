"""The methods over words and frames against slow, obvious references."""

import dataclasses
import itertools
import math

import pytest
import torch
from torch import Tensor

from models.text_video.methods import dual_attention as attention
from models.text_video.methods.dual_attention import DualAttention, drop_words, dual_attention
from models.text_video.methods.local_matching import (
    LocalMatching,
    bag_similarities,
    draw_words,
    local_matching,
    mil_nce,
)
from models.text_video.methods.step import Step
from models.text_video.side import Side
from tests.models.method_steps import captions, clips, finite_gradients, step

GRID = list(itertools.product((1, 3, 19), (0, 5), (1, 4), (3, 16)))


def slow_companion(frames: list[Tensor], f: int) -> tuple[int, float]:
    """Which other frame frame f is most like, and how much."""
    others = [(float(frames[f] @ frames[g]), g) for g in range(len(frames)) if g != f]
    cosine, which = max(others, default=(0.0, f))
    return which, cosine


def slow_interaction(words: list[Tensor], weights: list[float], frames: list[Tensor]) -> float:
    by_word = 0.0
    for word, weight in zip(words, weights, strict=True):
        best = max(range(len(frames)), key=lambda f: float(word @ frames[f]))
        beside, alike = slow_companion(frames, best)
        found = float(word @ frames[best]) + 0.5 * alike * float(word @ frames[beside])
        by_word += weight / sum(weights) * found
    by_frame = [max(float(word @ frame) for word in words) for frame in frames]
    return (by_word + sum(by_frame) / len(frames)) / 2


def kept(side: Side, i: int) -> list[Tensor]:
    return list(side.tokens[i][side.present[i]].detach())


@torch.no_grad()
def slow_dual_attention(visual: Side, text: Side, significance: Tensor) -> list[list[float]]:
    rows = []
    for i in range(len(text)):
        weights = [1 + float(each) for each in significance[i][text.present[i]]]
        vector = text.vectors[i].detach()
        rows.append(
            [
                slow_interaction([vector], [1.0], kept(visual, j)) / 2
                + slow_interaction(kept(text, i), weights, kept(visual, j)) / 2
                for j in range(len(visual))
            ]
        )
    return rows


def slow_mil_nce(rows: list[list[float]], same: list[list[bool]]) -> float:
    losses = []
    for i, row in enumerate(rows):
        negatives = [j for j in range(len(rows)) if not same[i][j]]
        total = math.exp(row[i]) + sum(math.exp(row[j]) + math.exp(rows[j][i]) for j in negatives)
        losses.append(-math.log(math.exp(row[i]) / total))
    return sum(losses) / len(losses)


@torch.no_grad()
def slow_bag(words: list[Tensor], frames: list[Tensor]) -> float:
    each = [math.exp(float(word @ frame)) for word in words for frame in frames]
    return math.log(sum(each) / len(each))


def all_parts(now: Step) -> tuple[Tensor, ...]:
    return now.visual.vectors, now.visual.tokens, now.text.vectors, now.text.tokens


@pytest.mark.parametrize(("count", "words", "frames", "dimension"), GRID)
def test_dual_attention_is_what_the_loops_find(
    count: int, words: int, frames: int, dimension: int
) -> None:
    now = step(count, words, frames, dimension, seed=count)
    found = dual_attention(now.visual, now.text, now.significance)
    wanted = slow_dual_attention(now.visual, now.text, now.significance)
    assert torch.allclose(found, torch.tensor(wanted, dtype=torch.float64))


def test_dual_attention_compares_any_number_of_clips_with_any_of_captions() -> None:
    now, visual = step(11), clips(3, 6, 8, seed=9)
    found = dual_attention(visual, now.text, now.significance)
    wanted = slow_dual_attention(visual, now.text, now.significance)
    assert torch.allclose(found, torch.tensor(wanted, dtype=torch.float64))


def test_blocks_and_scattered_tokens_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    now = step(9, 5, 6)
    generator = torch.Generator().manual_seed(1)
    scattered = torch.rand(now.visual.present.shape, generator=generator) < 0.5
    scattered[:, 2] = True
    visual = dataclasses.replace(now.visual, present=scattered)
    wanted = slow_dual_attention(visual, now.text, now.significance)
    monkeypatch.setattr(attention, "CAPTIONS", 2)
    monkeypatch.setattr(attention, "CLIPS", 4)
    found = dual_attention(visual, now.text, now.significance)
    assert torch.allclose(found, torch.tensor(wanted, dtype=torch.float64))


def test_the_gradient_of_dual_attention_is_the_slope() -> None:
    now = step(2, 2, 2, 3)
    significance, present = now.significance, (now.text.present, now.visual.present)

    def similarities(words: Tensor, frames: Tensor, captions: Tensor) -> Tensor:
        # The companions' cosines carry no gradient, so the slope is taken without companions.
        text = Side(captions, words, present[0])
        visual = Side(now.visual.vectors, frames, present[1])
        return dual_attention(visual, text, significance, DualAttention(companion=0.0))

    inputs = [
        part.detach().clone().requires_grad_()
        for part in (now.text.tokens, now.visual.tokens, now.text.vectors)
    ]
    assert torch.autograd.gradcheck(similarities, inputs)


def test_the_gradient_reaches_companions_but_not_their_cosine() -> None:
    frames = torch.tensor([[[1.0, 0.0], [0.8, 0.6]]], requires_grad=True)
    visual = Side(frames[:, 0], frames, torch.ones(1, 2, dtype=torch.bool))
    word = torch.tensor([[[1.0, 0.0]]])
    text = Side(word[:, 0], word, torch.ones(1, 1, dtype=torch.bool))
    found = dual_attention(visual, text, torch.zeros(1, 1))
    (gradient,) = torch.autograd.grad(found.sum(), frames)
    # Half from the word (1 and 0.5 * 0.8), half from the mean over frames (0.5 and 0.5).
    assert gradient[0, :, 0].tolist() == pytest.approx([0.75, 0.45])


def test_words_of_content_weigh_twice() -> None:
    eye = torch.eye(3)[None]
    text = Side(eye[:, 2], eye[:, :2], torch.ones(1, 2, dtype=torch.bool))
    visual = Side(eye[:, 0], eye[:, :1], torch.ones(1, 1, dtype=torch.bool))
    settings = DualAttention(sentence=0.0)
    plain = dual_attention(visual, text, torch.zeros(1, 2), settings)
    found = dual_attention(visual, text, torch.tensor([[1.0, 0.0]]), settings)
    assert float(plain) == pytest.approx((1 / 2 + 1) / 2)
    assert float(found) == pytest.approx((2 / 3 + 1) / 2)


@pytest.mark.parametrize("words", [0, 1, 7])
def test_dropped_words_are_uninformative_and_few(words: int) -> None:
    ids, significance = captions(200, words, seed=4)
    settings = DualAttention(max_dropped=2)
    kept_ids, weights = drop_words(ids, significance, settings, torch.Generator().manual_seed(0))
    gone = (ids > 0).sum(1) - (kept_ids > 0).sum(1)
    assert bool((gone <= ((ids > 3).sum(1) / 2)).all())
    assert int(gone.max()) == min(2, words // 2)
    for before, after, was, now in zip(ids, kept_ids, significance, weights, strict=True):
        rest = iter(zip(before.tolist(), was.tolist(), strict=True))
        left = [(i, w) for i, w in zip(after.tolist(), now.tolist(), strict=True) if i]
        assert all(pair in rest for pair in left)  # in their order
        assert [i for i, w in left if w] == before[was > 0].tolist()
        assert after[0] == 3


@pytest.mark.parametrize(("count", "dimension"), list(itertools.product((1, 2, 9), (3, 16))))
@pytest.mark.parametrize("grouped", [False, True])
def test_mil_nce_asks_in_both_directions_at_once(count: int, dimension: int, grouped: bool) -> None:
    now = step(count, dimension=dimension, grouped=grouped)
    logits = now.text.vectors @ now.visual.vectors.T
    wanted = slow_mil_nce(logits.tolist(), now.same.tolist())
    assert float(mil_nce(logits, now.same).detach()) == pytest.approx(wanted)


@pytest.mark.parametrize(("count", "frames"), list(itertools.product((1, 4), (1, 5))))
def test_bags_are_as_alike_as_their_words_and_frames(count: int, frames: int) -> None:
    visual, words = clips(count, frames, 8, 1), clips(2, 3, 8, 2, ragged=False).tokens
    wanted = [[slow_bag(list(bag), kept(visual, j)) for j in range(count)] for bag in words]
    found = bag_similarities(words, visual.tokens, visual.present)
    assert torch.allclose(found, torch.tensor(wanted, dtype=torch.float64))


def test_drawn_words_are_significant_and_differ_where_they_can() -> None:
    significance = torch.tensor([[0.0, 1, 1, 0, 1, 1], [0, 0, 0, 1, 0, 0], [0, 1, 1, 0, 0, 0]])
    found = draw_words(significance, 3, torch.Generator().manual_seed(1)).tolist()
    assert len(set(found[0])) == 3 and set(found[0]) <= {1, 2, 4, 5}
    assert found[1] == [3, 3, 3]
    assert set(found[2]) == {1, 2} and found[2][0] == found[2][2]


def test_local_matching_takes_captions_with_significant_words() -> None:
    now = step(9, words=4, grouped=True, seed=2)
    told = (now.significance > 0).any(1)
    assert 1 < int(told.sum()) < 9
    places = draw_words(now.significance[told], 3, torch.Generator().manual_seed(5))
    indices = told.nonzero()[:, 0].tolist()
    rows = [
        [
            slow_bag([now.text.tokens[i, k] / 0.1 for k in place], kept(now.visual, j))
            for j in indices
        ]
        for i, place in zip(indices, places.tolist(), strict=True)
    ]
    wanted = slow_mil_nce(rows, now.same[told][:, told].tolist())
    found = local_matching(now, LocalMatching(), torch.Generator().manual_seed(5))
    assert float(found.detach()) == pytest.approx(wanted)


@pytest.mark.parametrize("count", [1, 6])
@pytest.mark.parametrize("words", [0, 5])
def test_without_significant_words_nothing_is_matched(count: int, words: int) -> None:
    now = step(count, words, significant=False)
    loss = local_matching(now)
    assert float(loss.detach()) == 0
    assert finite_gradients(loss, *all_parts(now))
    similarities = dual_attention(now.visual, now.text, now.significance)
    assert finite_gradients(similarities.sum(), *all_parts(now))


@pytest.mark.parametrize("count", [1, 6])
def test_local_matching_of_one_thing_is_no_loss(count: int) -> None:
    now = step(count, significant=True)
    now = dataclasses.replace(now, same=torch.ones(count, count, dtype=torch.bool))
    loss = local_matching(now)
    assert float(loss.detach()) == pytest.approx(0)
    assert finite_gradients(loss, *all_parts(now))
