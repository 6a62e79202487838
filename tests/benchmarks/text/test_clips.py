"""Ways to make a clip's vector, and the question of order, on a tiny untrained tower."""

import numpy as np
import pytest
import torch

from benchmarks.text.clips import (
    WAYS,
    in_order,
    make_clips,
    mean_vectors,
    nearest_shots,
    tower_vectors,
)
from models.text_video.captions import Photo
from models.text_video.features import Features
from models.text_video.network import TextVideoNetwork
from models.text_video.run import Split
from models.text_video.shape import TextVideoConfig
from models.text_video.trunk import TrunkConfig

PHOTOS = 7


def made_split() -> Split:
    regions = np.random.default_rng(0).normal(size=(PHOTOS, 1, 4, 6)).astype(np.float16)
    names = [str(number) for number in range(PHOTOS)]
    photos = [
        Photo(name, {"en": [f"photo {name} ."], "zh": [f"照片{name}。"]}, 1) for name in names
    ]
    return Split(Features(names, ("full",), regions), photos)


def made_network() -> TextVideoNetwork:
    torch.manual_seed(0)
    config = TextVideoConfig(dimension=8, width=8, entries=20, trunk=TrunkConfig(input_size=64))
    return TextVideoNetwork(config, 6).eval()


@pytest.mark.parametrize(("language", "joint"), [("en", ", then "), ("zh", "，然后")])
@pytest.mark.parametrize("shots", [2, 3])
def test_every_photo_comes_once_beside_its_caption(language: str, joint: str, shots: int) -> None:
    split = made_split()
    made = make_clips(split, language, shots, seed=1)
    assert len(made.texts) == len(made.regions) == PHOTOS // shots
    seen = []
    for text, clip in zip(made.texts, made.regions, strict=True):
        told = [int("".join(filter(str.isdigit, part))) for part in text.split(joint)]
        shown = torch.from_numpy(split.features.regions[told, 0].astype(np.float32))
        assert torch.equal(clip, shown)
        seen += told
    assert len(set(seen)) == len(seen)


@torch.inference_mode()
def test_ways_give_unit_rows_and_the_mean_forgets_order() -> None:
    network, made = made_network(), make_clips(made_split(), "en", 3, seed=1)
    for way in WAYS.values():
        vectors = way(network, made.regions)
        assert vectors.shape == (2, 8)
        assert vectors.norm(dim=1).numpy() == pytest.approx(np.ones(2), abs=1e-5)
    forth, back = (mean_vectors(network, each) for each in (made.regions, made.regions.flip(1)))
    assert torch.allclose(forth, back, atol=1e-6)
    one = made.regions[:, :1]
    assert torch.allclose(tower_vectors(network, one), mean_vectors(network, one), atol=1e-5)


@torch.inference_mode()
def test_a_shot_by_itself_is_a_clip_of_one_shot() -> None:
    network, made = made_network(), make_clips(made_split(), "en", 3, seed=1)
    texts = np.random.default_rng(0).standard_normal((2, 8)).astype(np.float32)
    shots = [tower_vectors(network, made.regions[:, [place]]).numpy() for place in range(3)]
    wanted = np.max([texts @ each.T for each in shots], axis=0)
    np.testing.assert_allclose(nearest_shots(network, made.regions, texts), wanted, atol=1e-5)


def test_order_is_a_share_and_ties_are_half() -> None:
    near, far = np.ones(4, np.float32), np.zeros(4, np.float32)
    assert in_order(near, far) == 100
    assert in_order(far, near) == 0
    assert in_order(near, near) == 50
