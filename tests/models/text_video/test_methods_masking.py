"""The methods that mask words and frames against slow, obvious references."""

import dataclasses
import itertools
import math

import pytest
import torch
from torch import Tensor

from models.text_video.methods.importance import TokenImportance, most_important, pooled
from models.text_video.methods.masked_words import (
    MaskedWords,
    MaskedWordsLoss,
    choose_words,
    mask_words,
)
from models.text_video.methods.partial_margin import (
    PartialMargin,
    PartialMarginLoss,
    nearest_strangers,
)
from models.text_video.methods.step import Step
from models.text_video.side import Side
from tests.models.method_steps import ENTRIES, BagOfWords, finite_gradients, step

GRID = list(itertools.product((1, 4, 11), (0, 2, 7), (1, 5), (8, 16)))
MASK, CLS = 2, 3


def slow_most_important(importance: list[float], candidates: list[bool], share: float) -> list[int]:
    ranked = sorted((i for i, c in enumerate(candidates) if c), key=lambda i: -importance[i])
    masked: list[int] = []
    for i in ranked[:-1]:
        if masked and sum(importance[k] for k in masked) + importance[i] >= share:
            break
        masked.append(i)
    return sorted(masked)


def slow_pooled(tokens: Tensor, importance: Tensor, without: list[int]) -> Tensor:
    total = torch.zeros(tokens.shape[1], dtype=tokens.dtype)
    for i, token in enumerate(tokens):
        if i not in without:
            total = total + importance[i] * token
    found: Tensor = total / total.norm()
    return found


@torch.no_grad()
def slow_partial_margin(loss: PartialMarginLoss, now: Step, settings: PartialMargin) -> float:
    clips, texts = now.visual.vectors, now.text.vectors
    words, frames = [], []
    of_words = loss.word_importance(now.text.tokens, clips, now.significance > 0)
    of_frames = loss.frame_importance(now.visual.tokens, texts, now.visual.present)
    for i in range(len(now.ids)):
        candidates = now.significance[i] > 0
        importance = of_words[i]
        gone = slow_most_important(importance.tolist(), candidates.tolist(), settings.masked_share)
        if gone:
            ids = [MASK if k in gone else int(each) for k, each in enumerate(now.ids[i])]
            partly = float(now.encode_text(torch.tensor([ids])).vectors[0] @ clips[i])
            whole = float(slow_pooled(now.text.tokens[i], importance, []) @ clips[i])
            rest = float(slow_pooled(now.text.tokens[i], importance, gone) @ clips[i])
            strangers = [
                float(texts[k] @ clips[i]) for k in range(len(texts)) if not now.same[i, k]
            ]
            words.append(
                max(0.0, settings.margin - float(texts[i] @ clips[i]) + partly)
                + max(0.0, settings.margin - whole + rest)
                + max(0.0, settings.stranger_margin - partly + max(strangers, default=-1.0))
            )
        present = now.visual.present[i]
        importance = of_frames[i]
        gone = slow_most_important(importance.tolist(), present.tolist(), settings.masked_share)
        if gone:
            whole = float(slow_pooled(now.visual.tokens[i], importance, []) @ texts[i])
            rest = float(slow_pooled(now.visual.tokens[i], importance, gone) @ texts[i])
            frames.append(max(0.0, settings.margin - whole + rest))
    return sum(sum(each) / len(each) for each in (words, frames) if each)


@torch.no_grad()
def slow_masked_words(
    loss: MaskedWordsLoss, now: Step, chosen: Tensor, ids: Tensor, table: Tensor
) -> float:
    losses = []
    for i, j in chosen.nonzero().tolist():
        word = now.encode_text(ids[i : i + 1]).tokens[:, j : j + 1]  # (1, 1, D)
        seen = now.visual.tokens[i : i + 1, now.visual.present[i]]  # (1, frames, D)
        attended = loss.attention(word, seen, seen)[0]
        mixed = loss.attended(word + attended)
        hidden = loss.predicted(mixed + loss.forth(mixed))[0, 0]
        weights = [math.exp(float(hidden @ row)) for row in table]
        losses.append(-math.log(weights[int(now.ids[i, j])] / sum(weights)))
    return sum(losses) / len(losses) if losses else 0.0


def all_parts(now: Step) -> tuple[Tensor, ...]:
    return now.visual.vectors, now.visual.tokens, now.text.vectors, now.text.tokens


@pytest.mark.parametrize(("count", "words", "frames", "dimension"), GRID)
@pytest.mark.parametrize("settings", [PartialMargin(), PartialMargin(1.0, 0.4, 0.1, 0.2)])
def test_partial_margins_are_hinges_of_each_triplet(
    count: int, words: int, frames: int, dimension: int, settings: PartialMargin
) -> None:
    now = step(count, words, frames, dimension, seed=count, grouped=True)
    loss = PartialMarginLoss(dimension, settings).double()
    found = loss(now)
    wanted = slow_partial_margin(loss, now, settings)
    assert float(found.detach()) == pytest.approx(wanted)
    assert finite_gradients(found, *all_parts(now), *loss.parameters())


@pytest.mark.parametrize("share", [0.0, 0.4, 0.6, 1.0])
def test_the_most_important_tokens_are_masked_to_their_share(share: float) -> None:
    generator = torch.Generator().manual_seed(3)
    candidates = torch.rand(40, 6, generator=generator) < 0.6
    raw = torch.rand(40, 6, generator=generator) * candidates
    importance = raw / raw.sum(1, keepdim=True).clamp_min(1e-9)
    found = most_important(importance, candidates, share)
    for row, shares, allowed in zip(found, importance.tolist(), candidates.tolist(), strict=True):
        assert row.nonzero()[:, 0].tolist() == slow_most_important(shares, allowed, share)


@pytest.mark.parametrize("seed", [0, 4, 7])
def test_the_predictors_learn_what_carries_the_pair(seed: int) -> None:
    torch.manual_seed(seed)
    now = step(24, 6, 1, 8, seed=5 + seed, encoder=BagOfWords(8).requires_grad_(False))
    told = (now.significance > 0).float()
    places = (told + torch.rand(told.shape) * told).argmax(1)  # a significant word of each
    carried = now.text.tokens[torch.arange(24), places].detach()
    visual = Side(carried, carried[:, None], torch.ones(24, 1, dtype=torch.bool))
    text = Side(now.text.vectors.detach(), now.text.tokens.detach(), now.text.present)
    now = dataclasses.replace(now, visual=visual, text=text)
    loss = PartialMarginLoss(8).double()
    before = float(loss(now).detach())
    optimizer = torch.optim.Adam(loss.parameters(), 0.02)
    for _ in range(100):
        optimizer.zero_grad()
        torch.autograd.backward(loss(now))
        optimizer.step()
    importance = loss.word_importance(text.tokens, carried, now.significance > 0)
    chosen = importance[torch.arange(24), places][told.sum(1) > 1]
    even = (1 / told.sum(1))[told.sum(1) > 1]
    assert float(loss(now).detach()) < before
    assert float(chosen.detach().mean()) > 1.05 * float(even.mean())


def test_importance_is_shared_among_candidates() -> None:
    now = step(4)
    candidates = now.significance > 0
    found = TokenImportance(8).double()(now.text.tokens, now.visual.vectors, candidates)
    assert bool((found[~candidates] == 0).all())
    assert torch.allclose(found.sum(1), candidates.any(1).double())
    assert torch.allclose(pooled(now.text.tokens, found).norm(dim=1), candidates.any(1).double())


def test_the_nearest_stranger_shows_another_thing() -> None:
    now = step(6, grouped=True)
    cosines = (now.visual.vectors @ now.text.vectors.T).tolist()
    wanted = [max(cosines[i][k] for k in range(6) if k // 2 != i // 2) for i in range(6)]
    assert nearest_strangers(now).tolist() == pytest.approx(wanted)
    alone = dataclasses.replace(now, same=torch.ones(6, 6, dtype=torch.bool))
    assert nearest_strangers(alone).tolist() == [-1] * 6


@pytest.mark.parametrize(("count", "words"), list(itertools.product((1, 30), (0, 1, 7, 16))))
def test_the_budget_goes_to_significant_words(count: int, words: int) -> None:
    now = step(count, words, seed=words)
    chosen = choose_words(now, MaskedWords(), torch.Generator().manual_seed(2))
    for row, ids, significance in zip(chosen, now.ids, now.significance, strict=True):
        budget = int((ids > CLS).sum()) * 0.15
        count_wanted = int(budget) + (budget - int(budget) >= 0.3 - 1e-6)
        assert int(row.sum()) == min(count_wanted, int((significance > 0).sum()))
        assert bool((significance[row] > 0).all())


def test_chosen_words_are_masked_exchanged_or_kept_in_their_shares() -> None:
    now = step(4000, 4, 1, seed=1)
    ids, chosen = now.ids, now.significance > 0
    found = mask_words(now, chosen, MaskedWords(), torch.Generator().manual_seed(3))
    assert torch.equal(found[~chosen], ids[~chosen])
    masked = float((found[chosen] == MASK).double().mean())
    kept = float((found[chosen] == ids[chosen]).double().mean())
    assert masked == pytest.approx(0.8, abs=0.02)
    assert kept == pytest.approx(0.1, abs=0.02)
    assert bool((found[chosen & (found != MASK)] > CLS).all())


@pytest.mark.parametrize(("count", "frames"), list(itertools.product((1, 3, 9), (1, 4))))
def test_masked_words_are_told_one_by_one(count: int, frames: int) -> None:
    torch.manual_seed(count)
    encoder = BagOfWords(8)
    now = step(count, 9, frames, 8, seed=count + 1, encoder=encoder)
    settings = MaskedWords()
    loss = MaskedWordsLoss(8, settings).double()
    generator = torch.Generator().manual_seed(6)
    chosen = choose_words(now, settings, generator)
    ids = mask_words(now, chosen, settings, generator)
    found = loss(now, encoder.table, None, torch.Generator().manual_seed(6))
    wanted = slow_masked_words(loss, now, chosen, ids, encoder.table)
    assert float(found.detach()) == pytest.approx(wanted)
    assert finite_gradients(found, *all_parts(now), encoder.table, *loss.parameters())


def test_the_output_of_masked_words_takes_a_bias() -> None:
    encoder = BagOfWords(8)
    now = step(8, 9, encoder=encoder)
    loss = MaskedWordsLoss(8).double()
    sure = torch.full((ENTRIES,), 1e3, dtype=torch.float64)
    sure[0] = -1e3
    even = float(loss(now, encoder.table, sure, torch.Generator().manual_seed(0)).detach())
    plain = float(loss(now, encoder.table, None, torch.Generator().manual_seed(0)).detach())
    assert even != plain


@pytest.mark.parametrize("count", [1, 6])
@pytest.mark.parametrize("words", [0, 5])
def test_without_significant_words_nothing_is_masked(count: int, words: int) -> None:
    encoder = BagOfWords(8)
    now = step(count, words, 1, 8, significant=False, encoder=encoder)
    margins, masked = PartialMarginLoss(8).double(), MaskedWordsLoss(8).double()
    for loss in (margins(now), masked(now, encoder.table)):
        assert float(loss.detach()) == 0
        assert finite_gradients(loss, *all_parts(now), encoder.table)
    assert torch.equal(mask_words(now, now.significance > 0, MaskedWords()), now.ids)
