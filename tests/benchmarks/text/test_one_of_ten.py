"""One shot of ten: what is counted, on a tiny untrained tower."""

import numpy as np

from benchmarks.text.one_of_ten import _found, figures_of, in_first
from models.text_video.captions import Photo
from models.text_video.features import Features
from models.text_video.pairs import learn_tokenizer
from models.text_video.run import Split
from tests.benchmarks.text.test_clips import made_network

PHOTOS = 45


def test_a_shot_that_its_caption_knows_is_found_by_its_frame() -> None:
    alone = np.eye(200, dtype=np.float32)
    groups = np.arange(200).reshape(20, 10)
    lost = np.zeros((20, 200), np.float32)
    lost[:10] = 1  # ten clips that are nearer to everything
    vector, nearest, served, photo = _found(alone, alone, lost, groups, shot=3)
    assert (vector, nearest, served, photo) == (0.5, 1.0, 0.5, 1.0)
    assert in_first(np.zeros((30, 30), np.float32)) == 1  # nothing is nearer


def test_every_photo_is_asked_for() -> None:
    regions = np.random.default_rng(0).normal(size=(PHOTOS, 1, 4, 6)).astype(np.float16)
    names = [str(number) for number in range(PHOTOS)]
    photos = [Photo(name, {"en": [f"photo {name}"], "zh": [f"照片{name}"]}, 1) for name in names]
    split = Split(Features(names, ("full",), regions), photos)
    network = made_network()
    rows = figures_of(network, learn_tokenizer(photos, 20), split, seed=1)
    assert [(row.language, row.clips) for row in rows] == [("en", 4), ("zh", 4)]
    for row in rows:  # of four clips all are among ten
        assert (row.vector, row.nearest, row.served, row.alone) == (100, 100, 100, 100)
