"""Looks at parts of frames, cut out when an encoder asks for them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.video.composites import parts_of
from models.video.frames import prepare

# Of one upload: beside the whole frames of twelve hours their descriptors fit into a message.
MAX_VIEWS = 50_000

Rgb = NDArray[np.uint8]


@dataclass(frozen=True)
class Views:
    """Parts of some frames. They are made one batch at a time: hours of them don't fit in memory.

    Attributes:
        frames: (N, S, S, 3) uint8; may be mapped from disk.
        chosen: (K,) indices of the frames that were looked at.
        places: (V,) of each view, which of these it is a part of, ascending.
        boxes: (V, 4) float64, left, top, right, bottom as shares of the frame's sides.
    """

    frames: Rgb
    chosen: NDArray[np.intp]
    places: NDArray[np.intp]
    boxes: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, which: NDArray[np.intp]) -> Rgb:
        """(M, S, S, 3) uint8: some views, each as large as a frame."""
        return np.stack([self._view(view) for view in which.tolist()])

    def _view(self, view: int) -> Rgb:
        frame = self.frames[self.chosen[self.places[view]]]
        side = frame.shape[0]
        left, top, right, bottom = (self.boxes[view] * side).round().astype(int).tolist()
        return prepare(frame[top:bottom, left:right], side)  # a window may have a border of its own


def views_of(frames: Rgb, chosen: NDArray[np.intp], most: int) -> Views:
    """The parts of frames that are put together of several pictures; often none.

    Args:
        frames: (N, S, S, 3) uint8, in order of time.
        chosen: (K,) indices of the frames to look at, about one a second.
        most: parts of a frame, the plainest first; fewer where there would be over `MAX_VIEWS`.
    """
    found: dict[int, list[tuple[float, ...]]] = {}
    for part in parts_of(frames, chosen) if most else []:
        for place in range(part.first, part.end):
            found.setdefault(place, []).append(part.box)
    most = max(1, min(most, MAX_VIEWS // max(len(found), 1)))
    views = [(place, box) for place in sorted(found) for box in found[place][:most]]
    views = views[:: -(-len(views) // MAX_VIEWS) or 1]
    places = np.array([place for place, _ in views], np.intp)
    boxes = np.array([box for _, box in views], np.float64).reshape(-1, 4)
    return Views(frames, chosen, places, boxes)
