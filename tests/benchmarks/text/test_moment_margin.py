"""The sweep of the margin: what moments gain, and what they cost."""

import numpy as np

from benchmarks.text.moment_margin import MARGINS, PHOTOS, by_margin, some_photos
from models.text_video.captions import Photo
from models.text_video.features import Features
from models.text_video.pairs import learn_tokenizer
from models.text_video.run import Split
from tests.benchmarks.text.test_clips import made_network


def split_of(count: int) -> Split:
    """Photos of one region each, with a caption of their own."""
    regions = np.random.default_rng(0).normal(size=(count, 1, 4, 6)).astype(np.float16)
    names = [str(number) for number in range(count)]
    photos = [Photo(name, {"en": [f"photo {name}"], "zh": [f"照片{name}"]}, 1) for name in names]
    return Split(Features(names, ("full",), regions), photos)


def test_as_many_photos_are_drawn_as_validation_has_each_with_its_captions() -> None:
    whole = split_of(PHOTOS + 50)
    some = some_photos(whole, seed=1)
    assert len(some.photos) == PHOTOS == len(set(some.features.names))
    assert [photo.image for photo in some.photos] == some.features.names
    place = int(some.features.names[7])
    np.testing.assert_array_equal(some.features.regions[7], whole.features.regions[place])
    assert len(some_photos(split_of(60), seed=1).photos) == 60


def test_every_margin_is_measured_and_above_one_no_moment_counts() -> None:
    made = split_of(60)
    tokenizer = learn_tokenizer(made.photos, 20)
    rows = by_margin(made_network(), tokenizer, made, "en", seed=1)
    assert [*rows] == [*MARGINS]
    assert all(ten == 100 for ten, _ in rows.values()), "of six clips, all are among ten"
    assert all(0 < pair < 600 for _, pair in rows.values())
