"""What a pool's pictures are: every clip plain, edited, and edited harder, frame by frame alike."""

from pathlib import Path
from random import Random

import numpy as np

from models.training.edits.one_picture import WEIGHTS, hard_names
from models.training.pool_pictures import HARD_VARIANTS, VARIANTS, build_pictures
from models.training.workers import ITEMS_AT_ONCE, spread
from stream.demo.clips import make_clip
from stream.demo.plan import Clip, Drawn

SIZE = 64


def test_every_view_of_a_clip_is_another_one(tmp_path: Path) -> None:
    make_clip(Clip("clip", (Drawn("reef", 1, 0.5),)), tmp_path, "clips")
    build_pictures(tmp_path, tmp_path / "pictures", size=SIZE)
    views = np.load(tmp_path / "pictures" / "clip.npy")
    assert views.shape == (1 + VARIANTS + HARD_VARIANTS, 2, SIZE, SIZE, 3)
    assert len(np.unique(views[:, 0].reshape(len(views), -1), axis=0)) == len(views)


def test_processes_change_nothing() -> None:
    items = list(range(3 * ITEMS_AT_ONCE))
    assert spread(hex, items, 2) == spread(hex, items, 1) == [hex(item) for item in items]


def test_harder_edits_are_drawn_by_their_weights_and_each_once() -> None:
    drawn = [hard_names(Random(seed), 2) for seed in range(2000)]
    assert {len(names) for names in drawn} == {1, 2}
    assert all(len(set(names)) == len(names) for names in drawn)
    counts = {name: sum(name in names for names in drawn) for name in WEIGHTS}
    assert min(counts.values()) > 0
    assert counts["flip"] > 2 * counts["watermark"]
