"""Videos of drawn pages, two of each template: footage that looks alike and copies nothing.

Serves the training of the pattern detector: a lecture of one template has a matrix full of middling
similarities, which is no copied span.
"""

from collections.abc import Iterator
from random import Random

import numpy as np
from numpy.typing import NDArray

from models.training.edits.drawn_pages import KINDS, drawn_page

# Set by hand. Of each kind of page; a pool of 131 clips meets each family some hundred times.
FAMILIES = 10
PAGES = 4  # of a show: three cuts
PAGE_SECONDS = (2.0, 5.0)  # of each page, at random
SIDES = ("a", "b")  # the two shows of a family: pages of one template with other words
SHOWS = FAMILIES * len(KINDS) * len(SIDES)

Rgb = NDArray[np.uint8]


def page_shows(frames_per_second: float) -> Iterator[tuple[str, str, list[Rgb]]]:
    """(name, family, frames) of each show; its pages stand still.

    The shows of a family have no page in common.
    """
    for kind in KINDS:
        for number in range(FAMILIES):
            for at, side in enumerate(SIDES):
                name = f"pages-{kind}-{number:02d}-{side}"
                random = Random(name)
                frames: list[Rgb] = []
                for page in range(at * PAGES, (at + 1) * PAGES):
                    count = round(random.uniform(*PAGE_SECONDS) * frames_per_second)
                    frames += [drawn_page(kind, number, page)] * count
                yield name, f"pages-{kind}-{number:02d}", frames
