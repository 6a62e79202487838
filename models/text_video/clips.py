"""Photos made into clips: pans, zooms, and cuts between photos with their captions joined."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.text_video.features import Features
from models.text_video.tokenizer import PAD, CaptionTokenizer

MOVES = (
    ("left", "full", "right"),
    ("right", "full", "left"),
    ("top", "full", "bottom"),
    ("bottom", "full", "top"),
    ("full", "near", "nearer"),
    ("nearer", "near", "full"),
)
SHOTS = (("full",), ("mirrored",), ("full", "near"), ("near", "full"))
CUT_SHARE = 0.5  # clips of two or three photos, which teach cuts; the rest, moves. Set by hand
ENGLISH_JOINTS = ("", ", then", "and then")
CHINESE_JOINTS = ("", "然后", "接着")
NO_PHOTO = -1  # no photo's number; fills up clips of fewer than three


@dataclass(frozen=True)
class Clips:
    """B clips, not yet read from disk.

    Attributes:
        photos: (F,) int64, of the frames of all clips one after the other.
        views: (F,) int64, of the frames.
        present: (B, T) bool, which frames each clip has; F are True.
        ids: (B, L) int64 captions, joined where photos are.
        weights: (B, L) float32, the significance of the words.
        members: (B, 3) int64, the photos of each clip, -1 where there are fewer.
        orders: (B, 2, L) int64, the captions in order and in the opposite one; padding alone where
            a clip has one photo.
    """

    photos: NDArray[np.int64]
    views: NDArray[np.int64]
    present: NDArray[np.bool_]
    ids: NDArray[np.int64]
    weights: NDArray[np.float32]
    members: NDArray[np.int64]
    orders: NDArray[np.int64]


class ClipMaker:
    """Draws clips from photos and their captions."""

    def __init__(self, features: Features, tokenizer: CaptionTokenizer) -> None:
        self._view = {name: number for number, name in enumerate(features.views)}
        self._joints = [
            [row[row != PAD][1:] for row in tokenizer.ids(joints)]
            for joints in (ENGLISH_JOINTS, CHINESE_JOINTS)
        ]

    def draw(
        self,
        photos: NDArray[np.int64],
        ids: NDArray[np.int64],
        weights: NDArray[np.float32],
        chinese: NDArray[np.bool_],
        random: np.random.Generator,
    ) -> Clips:
        """Make a clip of each row: a move over its first photo, or a cut between two or three.

        Args:
            photos: (B, 3) int64.
            ids: (B, 3, L) int64, the photos' captions.
            weights: (B, 3, L) float32.
            chinese: (B,) bool, the captions' language.
            random: of every choice.
        """
        frames: list[list[tuple[int, int]]] = []
        members = np.full(photos.shape, NO_PHOTO, np.int64)
        told, told_weights = np.zeros_like(ids[:, 0]), np.zeros_like(weights[:, 0])
        orders, unused = np.zeros_like(ids[:, :2]), np.zeros_like(told_weights[0])
        for row in range(len(photos)):
            count = int(random.integers(2, 4)) if random.random() < CUT_SHARE else 1
            members[row, :count] = photos[row, :count]
            frames.append(self._frames(photos[row, :count], random))
            joint = self._joints[int(chinese[row])][int(random.integers(len(ENGLISH_JOINTS)))]
            said, weighs = ids[row, :count], weights[row, :count]
            self._join(said, weighs, joint, told[row], told_weights[row])
            if count > 1:
                orders[row, 0] = told[row]
                self._join(said[::-1], weighs[::-1], joint, orders[row, 1], unused)
        lengths = np.array([len(shown) for shown in frames])
        flat = np.array([frame for shown in frames for frame in shown], np.int64)  # (F, 2)
        present = np.arange(lengths.max()) < lengths[:, None]
        return Clips(flat[:, 0], flat[:, 1], present, told, told_weights, members, orders)

    def _frames(
        self, photos: NDArray[np.int64], random: np.random.Generator
    ) -> list[tuple[int, int]]:
        """Photo and view of each frame of a clip."""
        if len(photos) == 1:
            move = MOVES[int(random.integers(len(MOVES)))]
            return [(int(photos[0]), self._view[name]) for name in move]
        shots = [SHOTS[int(number)] for number in random.integers(0, len(SHOTS), len(photos))]
        return [
            (int(photo), self._view[name])
            for photo, shot in zip(photos, shots, strict=True)
            for name in shot
        ]

    def _join(
        self,
        ids: NDArray[np.int64],
        weights: NDArray[np.float32],
        joint: NDArray[np.int64],
        told: NDArray[np.int64],
        told_weights: NDArray[np.float32],
    ) -> None:
        """Write captions one after the other, `<cls>` before the first alone; what exceeds is cut.

        Room is shared evenly, so that the last of the events isn't lost.
        """
        room = (len(told) - 1 - len(joint) * (len(ids) - 1)) // len(ids)
        at = 1
        told[0] = ids[0, 0]
        for number, (row, row_weights) in enumerate(zip(ids, weights, strict=True)):
            if number:
                told[at : at + len(joint)] = joint
                at += len(joint)
            count = min(int((row != PAD).sum()) - 1, room)
            told[at : at + count] = row[1 : 1 + count]
            told_weights[at : at + count] = row_weights[1 : 1 + count]
            at += count
