"""A hand that holds the camera before a drawn scene: it rests, then turns or comes nearer.

So no two shots move alike, and no second of a shot looks like the next.
"""

import numpy as np
from PIL import Image

NEAREST = 2.0
"""Most that it magnifies."""
REST_SECONDS = (0.3, 1.4)  # between two movements, at random
MOVE_SECONDS = (0.3, 0.9)  # of one: as a hand moves a camera, so that no two seconds look alike


class Camera:
    """A pure function of its seed and the time."""

    def __init__(self, seed: int, seconds: float) -> None:
        """Decide the way.

        Args:
            seed: another one moves otherwise.
            seconds: how long the shot lasts.
        """
        rng = np.random.default_rng(seed)
        times, places = [0.0], [rng.uniform(0, 1, 3)]
        while times[-1] < seconds:
            times.append(times[-1] + rng.uniform(*REST_SECONDS))
            times.append(times[-1] + rng.uniform(*MOVE_SECONDS))
            places += [places[-1], rng.uniform(0, 1, 3)]
        self._times, self._places = np.asarray(times), np.asarray(places)

    def see(self, picture: Image.Image, seconds: float) -> Image.Image:
        """The part of a picture that it looks at, as large as the picture."""
        x, y, near = (np.interp(seconds, self._times, column) for column in self._places.T)
        share = 1 / (1 + (NEAREST - 1) * near)
        width, height = picture.size
        left, top = x * (1 - share) * width, y * (1 - share) * height
        box = (left, top, left + share * width, top + share * height)
        return picture.resize(picture.size, Image.Resampling.BICUBIC, box)
