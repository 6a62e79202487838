"""Batches of pairs: photos with a caption each and, now and then, clips made of photos.

Batch `i` is a function of the seed and `i`, whatever methods learn from it.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.text_video.clips import ClipMaker
from models.text_video.features import Features
from models.text_video.pairs import Pairs
from models.text_video.recipe import DrawConfig
from models.text_video.tokenizer import MASK, PAD, SPECIAL, CaptionTokenizer

PLAIN = ("full", "mirrored")
CROPS = ("left", "right", "top", "bottom", "near")


@dataclass(frozen=True)
class Batch:
    """B pairs of one step.

    Attributes:
        regions: (F, R, C) float32, the frames of all clips one after the other.
        present: (B, T) bool, which frames each clip has; F are True.
        ids: (B, L) int64, 0 is padding.
        significance: (B, L) float32 in [0, 1]; all 0 if it wasn't asked for.
        same: (B, B) bool, pairs that share a photo; the diagonal is True.
        sentences: (B, E) float32, what a sentence encoder says of each caption; of joined ones
            the mean. E is 0 if it wasn't asked.
        orders: (B, 2, L') int64, joined captions in order and in the opposite one, no word masked;
            padding alone where a caption isn't joined; L' is 0 in a batch without clips.
    """

    regions: Tensor
    present: Tensor
    ids: Tensor
    significance: Tensor
    same: Tensor
    sentences: Tensor
    orders: Tensor

    def to(self, device: str) -> "Batch":
        """The same with every tensor on a device."""
        return Batch(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


class PairBatches:
    """The batches of a run.

    Every photo comes once before any comes again; its language is drawn, then one of its captions
    in it.
    """

    def __init__(
        self,
        features: Features,
        pairs: Pairs,
        tokenizer: CaptionTokenizer,
        draw: DrawConfig,
        *,
        seed: int,
        max_tokens: int,
        significance: NDArray[np.float32] | None = None,
        sentences: NDArray[np.float16] | None = None,
    ) -> None:
        """Sort the pairs by photo and language.

        Args:
            features: of the photos that the pairs name.
            pairs: M of them.
            tokenizer: makes ids of captions.
            draw: how pairs are shown.
            seed: of every draw.
            max_tokens: of a caption.
            significance: (M, L) of the pairs' words.
            sentences: (M, E) of the pairs' captions.
        """
        self.features, self.draw, self.seed = features, draw, seed
        order = np.argsort(2 * pairs.photos + pairs.chinese, kind="stable")
        keys = (2 * pairs.photos + pairs.chinese)[order]
        groups = np.arange(2 * len(features.names))
        self._first = np.searchsorted(keys, groups)
        self._count = np.searchsorted(keys, groups, side="right") - self._first
        self._photos = np.unique(pairs.photos)
        ids = tokenizer.ids([pairs.texts[row] for row in order], max_tokens)
        self._ids = np.pad(ids, ((0, 0), (0, max_tokens - ids.shape[1])))
        self._weights = np.zeros(self._ids.shape, np.float32)
        if significance is not None:
            self._weights[:, : significance.shape[1]] = significance[order]
        told = np.zeros((len(order), 0), np.float16) if sentences is None else sentences
        self._sentences = told[order]
        self._clips = ClipMaker(features, tokenizer)

    def __getitem__(self, step: int) -> Batch:
        random = np.random.default_rng((self.seed, step))
        photos = self._drawn(step)
        chinese = random.random(len(photos)) < self.draw.chinese_share
        rows = self._captions(photos, chinese, random)
        every = self.draw.clip_every
        if every and step % every == every - 1:
            few = slice(self.draw.clip_pairs)
            return self._of_clips(photos[few], rows[few], chinese[few], random)
        regions = self.features.regions[photos, self._views(len(photos), random)]
        present = np.ones((len(photos), 1), np.bool_)
        return self._batch(
            regions, present, self._ids[rows], self._weights[rows], photos[:, None],
            self._sentences[rows].astype(np.float32), self._ids[rows, None, :0], random,
        )  # fmt: skip

    def _drawn(self, step: int) -> NDArray[np.int64]:
        """(B,) photos: the next ones of endless rounds over all."""
        at = np.arange(step * self.draw.pairs, (step + 1) * self.draw.pairs)
        rounds, places = np.divmod(at, len(self._photos))
        photos = np.empty_like(at)
        for number in np.unique(rounds):
            # 1 << 30 is no step: rounds must not draw what some step's other choices draw.
            order = np.random.default_rng((self.seed, 1 << 30, number)).permutation(self._photos)
            photos[rounds == number] = order[places[rounds == number]]
        return photos

    def _captions(
        self, photos: NDArray[np.int64], chinese: NDArray[np.bool_], random: np.random.Generator
    ) -> NDArray[np.int64]:
        """(B,) rows of captions, in the other language where a photo has none in the wanted."""
        groups = 2 * photos + chinese
        groups = np.where(self._count[groups] > 0, groups, groups ^ 1)  # the last bit: language
        chosen = (random.random(len(groups)) * self._count[groups]).astype(np.int64)
        rows: NDArray[np.int64] = self._first[groups] + chosen
        return rows

    def _views(self, count: int, random: np.random.Generator) -> NDArray[np.int64]:
        plain = np.array([self.features.view(name) for name in PLAIN])
        crops = np.array([self.features.view(name) for name in CROPS])
        whole = random.random(count) < self.draw.plain_share
        drawn = random.choice(plain, count), random.choice(crops, count)
        return np.where(whole, *drawn)

    def _of_clips(
        self,
        photos: NDArray[np.int64],
        rows: NDArray[np.int64],
        chinese: NDArray[np.bool_],
        random: np.random.Generator,
    ) -> Batch:
        others = random.choice(self._photos, (len(photos), 2))
        other_rows = np.stack([self._captions(o, chinese, random) for o in others.T], axis=1)
        shown = np.concatenate([photos[:, None], others], axis=1)  # (B, 3)
        told = np.concatenate([rows[:, None], other_rows], axis=1)  # (B, 3)
        clips = self._clips.draw(shown, self._ids[told], self._weights[told], chinese, random)
        regions = self.features.regions[clips.photos, clips.views]
        used = (clips.members >= 0)[..., None]  # (B, 3, 1)
        said = (self._sentences[told] * used).sum(axis=1, dtype=np.float32)
        said /= used.sum(axis=1, dtype=np.float32)
        return self._batch(
            regions, clips.present, clips.ids, clips.weights, clips.members, said,
            clips.orders, random,
        )  # fmt: skip

    def _batch(
        self,
        regions: NDArray[np.float16],
        present: NDArray[np.bool_],
        ids: NDArray[np.int64],
        weights: NDArray[np.float32],
        members: NDArray[np.int64],
        sentences: NDArray[np.float32],
        orders: NDArray[np.int64],
        random: np.random.Generator,
    ) -> Batch:
        """Cut padding that no caption needs, mask words, and find pairs that share a photo."""
        longest = int((ids != PAD).sum(axis=1).max())
        ids, weights = ids[:, :longest], weights[:, :longest]
        masked = (random.random(ids.shape) < self.draw.token_dropout) & (ids >= len(SPECIAL))
        shared = (members[:, None, :, None] == members[None, :, None, :]) & (
            members[:, None, :, None] >= 0
        )
        return Batch(
            torch.from_numpy(regions.astype(np.float32)),
            torch.from_numpy(present),
            torch.from_numpy(np.where(masked, MASK, ids)),
            torch.from_numpy(np.where(masked, np.float32(0), weights)),
            torch.from_numpy(shared.any(axis=(2, 3))),
            torch.from_numpy(sentences),
            torch.from_numpy(orders),
        )
