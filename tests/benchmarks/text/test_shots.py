"""Clips of photos: each photo once beside its caption, and the vectors that the service has."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.text import shots as module
from benchmarks.text.shots import clip_vectors, make_clips, nearest_shots, read_shots
from models.text_video.captions import Photo
from models.text_video.photos import make_views, read_photos
from models.text_video.serve import Pair
from tests.benchmarks.text.conftest import HELD, TRAIN

PHOTOS = [
    Photo(f"p{number}", {"en": [f"photo {number} ."], "zh": [f"照片{number}。"]}, 1 + number)
    for number in range(7)
]
SIZE = 32


@pytest.mark.parametrize(("language", "joint"), [("en", ", then "), ("zh", "，然后")])
@pytest.mark.parametrize("shots", [2, 3])
def test_every_photo_comes_once_beside_its_caption(language: str, joint: str, shots: int) -> None:
    made = make_clips(PHOTOS, language, shots, seed=1)
    assert len(made.texts) == len(made.groups) == len(PHOTOS) // shots
    told = [
        [int("".join(filter(str.isdigit, part))) for part in text.split(joint)]
        for text in made.texts
    ]
    assert told == made.groups.tolist()
    assert len(set(made.groups.flat)) == made.groups.size


def test_both_languages_tell_of_the_same_clips() -> None:
    english, chinese = (make_clips(PHOTOS, language, 2, seed=1) for language in ("en", "zh"))
    np.testing.assert_array_equal(english.groups, chinese.groups)
    other = make_clips(PHOTOS, "en", 2, seed=2)
    assert english.groups.tolist() != other.groups.tolist()


def test_photos_stand_beside_their_captions_as_serving_prepares_them(data: Path) -> None:
    photos, pictures = read_shots(data, "val", SIZE, seed=1)
    there = dict(read_photos(data / "photos" / "flickr8k-val.tar"))
    assert [photo.image for photo in photos] == [*there]
    assert pictures.shape == (HELD, SIZE, SIZE, 3)
    assert pictures.dtype == np.uint8
    for photo, picture in zip(photos, pictures, strict=True):
        [wanted] = make_views(there[photo.image], SIZE, ("full",))
        np.testing.assert_array_equal(picture, wanted)


def test_of_more_photos_some_are_drawn_by_the_seed(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, all_pictures = read_shots(data, "train", SIZE, seed=1)
    assert len(whole) == TRAIN
    monkeypatch.setattr(module, "MOST", 20)
    some, pictures = read_shots(data, "train", SIZE, seed=1)
    places = [whole.index(photo) for photo in some]
    assert len(some) == 20 and places == sorted(set(places))
    np.testing.assert_array_equal(pictures, all_pictures[places])
    assert read_shots(data, "train", SIZE, seed=2)[0] != some


@pytest.mark.parametrize("count", [1, 3, 10])
def test_a_clips_vectors_are_those_that_the_service_gives(
    data: Path, shipped: Pair, count: int
) -> None:
    """Ten shots are more than the tower looks at together."""
    _, pictures = read_shots(data, "val", shipped.video.input_size, seed=1)
    groups = np.random.default_rng(0).permutation(10)[None, :count]
    whole, frames = clip_vectors(shipped.video, pictures, groups)
    assert whole.shape == (1, shipped.video.dimension)
    assert frames.shape == (1, count, shipped.video.dimension)
    assert whole[0] @ shipped.video.embed(pictures[groups[0]]) > 0.9999
    alone = np.stack([shipped.video.embed(pictures[[place]]) for place in groups[0]])
    assert (frames[0] * alone).sum(axis=1).min() > 0.999, "a shot by itself is a clip of one shot"


def test_the_nearest_shot_is_that_of_a_slow_search() -> None:
    random = np.random.default_rng(0)
    texts = random.standard_normal((4, 8)).astype(np.float32)
    frames = random.standard_normal((5, 3, 8)).astype(np.float32)
    wanted = [[max(text @ frame for frame in clip) for clip in frames] for text in texts]
    np.testing.assert_allclose(nearest_shots(texts, frames), wanted, atol=1e-5)
