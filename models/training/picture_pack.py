"""All pictures of a training run as one tensor of squares, with what may stand for what.

Made once from clips, photos and drawn pages; every batch is then cut from it on the device.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.training.source import Source
from models.video.frames import prepare

STILL_DISTANCE = 9.0  # mean absolute difference of 12 x 12 thumbnails, in grey levels
CUT_DISTANCE = 30.0  # above it, another shot
THUMBNAIL = 12
ROWS_AT_ONCE = 512  # pictures compared with all at once: bounds the memory, the result is the same


@dataclass(frozen=True)
class PicturePack:
    """P pictures, those of one clip in order of time.

    Attributes:
        pictures: (P, 3, S, S) uint8.
        group: (P,) int64: the clip, the family of pages, or the photo itself.
        scene: (P,) int64: equal ones may show the same, whatever group they are of; -1 is no scene.
        is_page: (P,) bool: drawn pages, each of which is like none but itself.
    """

    pictures: Tensor
    group: NDArray[np.int64]
    scene: NDArray[np.int64]
    is_page: NDArray[np.bool_]

    def __post_init__(self) -> None:
        """Refuse arrays of different lengths."""
        for name in ("group", "scene", "is_page"):
            if getattr(self, name).shape != (len(self.pictures),):
                raise ValueError(
                    f"{name} is {getattr(self, name).shape}, expected ({len(self.pictures)},)"
                )

    def __len__(self) -> int:
        return len(self.pictures)

    def to(self, device: str) -> "PicturePack":
        """The same with the pictures on a device."""
        return PicturePack(self.pictures.to(device), self.group, self.scene, self.is_page)

    def members(self, pages: bool) -> list[NDArray[np.int64]]:
        """The places of each group that has several pictures: clips, or families of pages."""
        found = np.split(np.arange(len(self)), np.flatnonzero(np.diff(self.group)) + 1)
        return [at for at in found if len(at) > 1 and self.is_page[at[0]] == pages]

    def photos(self) -> NDArray[np.int64]:
        """The places of pictures that are alone in their group."""
        _, first, count = np.unique(self.group, return_index=True, return_counts=True)
        return np.sort(first[count == 1])

    def thumbnails(self) -> Tensor:
        """(P, 432) float32, levels."""
        parts = [
            functional.interpolate(
                self.pictures[at : at + ROWS_AT_ONCE].to(torch.float32), THUMBNAIL, mode="area"
            ).flatten(1)
            for at in range(0, len(self), ROWS_AT_ONCE)
        ]
        return torch.cat(parts)


def alike(pack: PicturePack) -> Tensor:
    """Which pictures must not be told apart: (P, P) bool, each like itself.

    Those whose thumbnails hardly differ, as in a still shot, and those of one scene in two clips;
    of pages each only itself.
    """
    device = pack.pictures.device
    thumbnails = pack.thumbnails()
    page = torch.from_numpy(pack.is_page).to(device)
    scene, group = (torch.from_numpy(values).to(device) for values in (pack.scene, pack.group))
    out = torch.empty(len(pack), len(pack), dtype=torch.bool, device=device)
    for at in range(0, len(pack), ROWS_AT_ONCE):
        rows = slice(at, at + ROWS_AT_ONCE)
        distance = torch.cdist(thumbnails[rows], thumbnails, p=1) / thumbnails.shape[1]
        out[rows] = (distance < STILL_DISTANCE) & ~page[rows, None] & ~page
        # Scenes tell clips apart, not moments: inside a clip the thumbnails alone decide.
        other_clip = group[rows, None] != group
        out[rows] |= (scene[rows, None] == scene) & (scene >= 0) & other_clip
    out.fill_diagonal_(True)
    return out


def shot_bounds(pack: PicturePack, most: int) -> NDArray[np.int64]:
    """The neighbours in a picture's shot: (P, 2) int64, first and last place, its own in between.

    Args:
        pack: whose clips are taken; photos and pages have no neighbours.
        most: how far off a neighbour is at most, in pictures.
    """
    thumbnails = pack.thumbnails()
    step = (thumbnails[1:] - thumbnails[:-1]).abs().mean(dim=1).cpu().numpy()
    cut = (step > CUT_DISTANCE) | (np.diff(pack.group) != 0) | pack.is_page[1:]
    shot = np.concatenate([[0], np.cumsum(cut)])
    at = np.arange(len(pack))
    start = np.searchsorted(shot, shot)
    end = np.searchsorted(shot, shot, side="right") - 1
    return np.stack([np.maximum(start, at - most), np.minimum(end, at + most)], axis=1)


def packed(
    clips: list[Source],
    photos: list[Source],
    pages: Iterable[list[NDArray[np.uint8]]],
    *,
    side: int,
    scenes: list[set[str]] | None = None,
) -> PicturePack:
    """Squares of all pictures, flat borders cut.

    Args:
        clips: sources of several pictures.
        photos: sources of one.
        pages: families of drawn pages, each (H, W, 3) uint8.
        side: S.
        scenes: names of the clips of each scene that several show.
    """
    number = {name: at for at, scene in enumerate(scenes or []) for name in scene}
    squares: list[NDArray[np.uint8]] = []
    rows: list[tuple[int, int, bool]] = []
    named = [(one.pictures, number.get(one.name, -1), False) for one in [*clips, *photos]]
    for group, (pictures, scene, page) in enumerate(
        [*named, *((family, -1, True) for family in pages)]
    ):
        squares += [prepare(picture, side) for picture in pictures]
        rows += [(group, scene, page)] * len(pictures)
    groups, scene_numbers, is_page = zip(*rows, strict=True)
    return PicturePack(
        torch.from_numpy(np.stack(squares).transpose(0, 3, 1, 2).copy()),
        np.array(groups, np.int64),
        np.array(scene_numbers, np.int64),
        np.array(is_page, np.bool_),
    )
