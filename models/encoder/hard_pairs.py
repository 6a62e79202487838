"""Batches of the harder school: clips, photos and drawn pages, edited on the device.

A batch is a function of the seed, its number and what was mined; the CPU decodes and edits nothing.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.training.bounds import Count, Natural, Share
from models.training.edits.batch_edits import EDITS, GENTLE, Weighted, as_frames, edited
from models.training.edits.beside import Beside
from models.training.edits.chance import Chance
from models.training.picture_pack import PicturePack, alike, shot_bounds

NEAREST = 8  # of each picture, one of which is drawn: fewer come again and again; set by hand
ROWS_AT_ONCE = 1024  # 70 MB of similarities with the 17,000 pictures; the result is the same


@dataclass(frozen=True)
class HardPairConfig:
    """How batches are made.

    Attributes:
        pairs: pairs in a batch.
        hard_share: share of pairs that are drawn because they are like another one's picture.
        clip_share: share of pairs from clips.
        page_share: share of pairs of drawn pages; the rest are photos.
        frames_per_clip: frames of one clip in a batch, hard negatives of each other.
        pages_per_family: pages of one family in a batch, the same.
        neighbour_share: how often the second look is of a frame nearby in the same shot.
        neighbour_frames: how far off it is at most, in frames of the source.
        plain_share: how often the first look is not edited, as a library's side is.
        max_first_edits: how many edits a first look has at the most.
        max_edits: how many a second look has.
        max_page_edits: how many a page has, of those that leave words readable.
    """

    pairs: Count = 512
    hard_share: Share = 0.25
    clip_share: Share = 0.4
    page_share: Share = 0.15
    frames_per_clip: Count = 4
    pages_per_family: Count = 6
    neighbour_share: Share = 0.4
    neighbour_frames: Natural = 3
    plain_share: Share = 0.6
    max_first_edits: Natural = 2
    max_edits: Count = 4
    max_page_edits: Count = 2

    def __post_init__(self) -> None:
        """Refuse shares that are more than all."""
        if self.clip_share + self.page_share + self.hard_share > 1:
            raise ValueError(
                f"{self.clip_share = }, {self.page_share = }, {self.hard_share = } are more than 1"
            )


@dataclass(frozen=True)
class Looks:
    """A batch of N pairs: rows i and i + N are looks at one moment.

    Attributes:
        frames: (2N, S, S, 3) uint8.
        picture: (2N,) int64, place in the pack.
        other: (2N,) int64, place of the picture that was mixed in; the own one if none was.
        plain: (2N,) bool, not edited.
    """

    frames: Tensor
    picture: Tensor
    other: Tensor
    plain: Tensor


class HardPairs:
    """Makes batches from a pack, on the device that holds it.

    Attributes:
        nearest: (P, K) int64, by picture those that are hard to tell from it; None until mined.
    """

    def __init__(
        self, pack: PicturePack, overlays: dict[str, Tensor], config: HardPairConfig, seed: int
    ) -> None:
        """Prepare batches.

        Args:
            pack: all pictures.
            overlays: as `Beside` takes them, on the same device and of the same side.
            config: how batches are made.
            seed: batch i depends on it, on i and on what was mined.
        """
        self.pack, self.config = pack, config
        self.alike = alike(pack)  # (P, P)
        self._bounds = shot_bounds(pack, config.neighbour_frames)
        self._clips, self._families = pack.members(pages=False), pack.members(pages=True)
        self._photos = pack.photos()
        self._overlays, self._seed = overlays, seed
        self._chance = Chance(pack.pictures.device, seed)
        self.nearest: NDArray[np.int64] | None = None

    def mine(self, bank: Tensor) -> None:
        """Look up which pictures are most like each other and are not the same.

        Robinson et al., "Contrastive learning with hard negative samples", ICLR 2021: what is
        nearest teaches most.

        Args:
            bank: (P, D) unit rows, a descriptor of every picture.
        """
        several = min(NEAREST, len(bank) - 1)
        found = [
            (bank[at : at + ROWS_AT_ONCE] @ bank.T)
            # Below every cosine: what shows the same would be the hardest, and is no negative.
            .masked_fill(self.alike[at : at + ROWS_AT_ONCE], -2.0)
            .topk(several, dim=1)
            .indices
            for at in range(0, len(bank), ROWS_AT_ONCE)
        ]
        self.nearest = torch.cat(found).cpu().numpy()

    def batch(self, number: int, size: int) -> Looks:
        """Batch `number`, for an encoder of an input size."""
        seed = self._seed * 1_000_003 + number
        random = np.random.default_rng(seed)
        self._chance.restart(seed)
        first = self._moments(random)
        picture = np.concatenate([first, self._neighbours(first, random)])
        plain = self._plain(len(first), random)
        other = np.where(plain, picture, random.integers(0, len(self.pack), len(picture)))
        shown = self._shown(picture)
        for rows, most, edits in self._edits(picture, plain):
            at = self._there(rows)
            beside = Beside(self._shown(other[rows]), self._overlays, self._chance)
            shown[at] = edited(shown[at], beside, random, most, edits)
        return Looks(as_frames(shown, size), *map(self._there, (picture, other, plain)))

    def _moments(self, random: np.random.Generator) -> NDArray[np.int64]:
        """(N,) places: clips, pages and photos, and what is hard to tell from some of them."""
        config = self.config
        chosen = [np.zeros(0, np.int64)]
        for groups, share, each in (
            (self._clips, config.clip_share, config.frames_per_clip),
            (self._families, config.page_share, config.pages_per_family),
        ):
            wanted = round(share * config.pairs)
            few = random.permutation(len(groups))[: -(-wanted // each)]
            places = [random.permutation(groups[at])[:each] for at in few]
            chosen += [np.concatenate(places)[:wanted]] if places else []
        photos = random.permutation(self._photos)
        hard = round(config.hard_share * config.pairs) if self.nearest is not None else 0
        easy = max(0, config.pairs - hard - sum(map(len, chosen)))
        drawn = np.concatenate([*chosen, photos[:easy]])
        both = np.concatenate([drawn, self._hard(drawn, hard, random), photos[easy:]])
        _, first = np.unique(both, return_index=True)
        # Sorted back, since `unique` orders by place: photos at the end are what is cut off.
        return both[np.sort(first)][: config.pairs]

    def _hard(
        self, drawn: NDArray[np.int64], count: int, random: np.random.Generator
    ) -> NDArray[np.int64]:
        """So many places that are hard to tell from some of those drawn."""
        if self.nearest is None:
            return np.zeros(0, np.int64)
        near = self.nearest[random.choice(drawn, count)]  # (count, K)
        one = random.integers(0, near.shape[1], (count, 1))
        return np.take_along_axis(near, one, axis=1)[:, 0]

    def _neighbours(
        self, places: NDArray[np.int64], random: np.random.Generator
    ) -> NDArray[np.int64]:
        """For some of the places another one in the same shot."""
        low, high = self._bounds[places].T
        near = random.integers(low, high + 1)
        return np.where(random.random(len(places)) < self.config.neighbour_share, near, places)

    def _plain(self, count: int, random: np.random.Generator) -> NDArray[np.bool_]:
        """(2N,) which looks are not edited: many first ones, no second one."""
        share = self.config.plain_share if self.config.max_first_edits else 1.0
        return np.concatenate([random.random(count) < share, np.zeros(count, np.bool_)])

    def _edits(
        self, picture: NDArray[np.int64], plain: NDArray[np.bool_]
    ) -> list[tuple[NDArray[np.int64], int, Weighted]]:
        """Which rows get how many edits of which table."""
        page, config = self.pack.is_page[picture], self.config
        second = np.arange(len(picture)) >= len(picture) // 2
        parts: list[tuple[NDArray[np.bool_], int, Weighted]] = [
            (page & ~plain, config.max_page_edits, GENTLE),
            (~page & ~plain & ~second, config.max_first_edits, EDITS),
            (~page & second, config.max_edits, EDITS),
        ]
        return [(np.flatnonzero(rows), most, table) for rows, most, table in parts if rows.any()]

    def _shown(self, places: NDArray[np.int64]) -> Tensor:
        """(N, 3, S, S) float32 in [0, 1]."""
        return self.pack.pictures[self._there(places)].to(torch.float32) / 255

    def _there(self, values: NDArray[np.int64] | NDArray[np.bool_]) -> Tensor:
        return torch.from_numpy(values).to(self.pack.pictures.device)
