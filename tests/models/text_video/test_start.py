"""What the plain paths begin with: against slow references, and against a random start."""

import numpy as np
import pytest
import torch

from models.metrics.recall import retrieval
from models.text_video.features import Features
from models.text_video.network import TextVideoNetwork
from models.text_video.pairs import Pairs
from models.text_video.shape import TextVideoConfig
from models.text_video.start import (
    FLATTENING,
    PRIOR,
    main_axes,
    make_start,
    mean_pictures,
    word_vectors,
)
from models.text_video.tokenizer import CLS, SPECIAL
from models.text_video.trunk import TrunkConfig
from models.text_video.video_tower import VideoTower

CHANNELS, KINDS, FIRST = 24, 12, len(SPECIAL)


@pytest.mark.parametrize("captions", [1, 40])
@pytest.mark.parametrize("length", [1, 6])
def test_a_word_is_the_mean_of_its_pictures(captions: int, length: int) -> None:
    random = np.random.default_rng(captions + length)
    places = random.normal(size=(7, 5)).astype(np.float32)
    photos = random.integers(0, 7, captions)
    ids = random.integers(0, 20, (captions, length))
    found = word_vectors(places, photos, ids, 20)
    for word in range(20):
        said = [places[photo] for photo, row in zip(photos, ids, strict=True) for each in row
                if each == word and word >= FIRST]  # fmt: skip
        wanted = np.sum(said, axis=0) / (len(said) + PRIOR) if said else np.zeros(5)
        np.testing.assert_allclose(found[word], wanted, atol=1e-5)


def test_axes_are_flattened_and_apart() -> None:
    random = np.random.default_rng(0)
    pictures = (random.normal(size=(400, 8)) * np.arange(1, 9)).astype(np.float32)
    seen = (pictures - pictures.mean(axis=0)) @ main_axes(pictures, 5).T
    found = seen.T @ seen / len(seen)
    widths = np.sqrt(np.linalg.eigvalsh(np.cov(pictures.T, bias=True)))[::-1][:5]
    np.testing.assert_allclose(np.diag(found), widths ** (2 - 2 * FLATTENING), rtol=1e-3)
    assert np.abs(found - np.diag(np.diag(found))).max() < 1e-2


def test_axes_that_pictures_lack_are_zero() -> None:
    flat = np.zeros((10, 6), np.float32)
    flat[:, 0] = np.arange(10)
    axes = main_axes(flat, 4)
    assert axes.shape == (4, 6)
    assert np.count_nonzero(axes.any(axis=1)) == 1


def made_world() -> tuple[TextVideoNetwork, Features, Pairs, np.ndarray]:
    """Photos of some kinds, each kind with its word, among words that are said of all."""
    random = np.random.default_rng(1)
    kinds = random.integers(0, KINDS, 120)
    centres = random.normal(size=(KINDS, CHANNELS))
    regions = centres[kinds][:, None, None] + 0.1 * random.normal(size=(120, 1, 4, CHANNELS))
    features = Features([str(i) for i in range(120)], ("full",), regions.astype(np.float16))
    said = FIRST + KINDS + random.integers(0, 5, (120, 3))
    ids = np.concatenate([np.full((120, 1), CLS), said, FIRST + kinds[:, None]], axis=1)
    pairs = Pairs(np.arange(120), [""] * 120, np.zeros(120, np.bool_))
    config = TextVideoConfig(
        dimension=16, width=16, entries=FIRST + KINDS + 5, trunk=TrunkConfig(input_size=64)
    )
    torch.manual_seed(0)
    network = TextVideoNetwork(config, CHANNELS).eval()
    network.video.standardise(torch.from_numpy(features.regions[:, 0]).float().flatten(0, 1))
    return network, features, pairs, ids


@torch.inference_mode()
def recall_of_kinds(network: TextVideoNetwork, features: Features, ids: np.ndarray) -> float:
    """R@sum over one photo and one caption of each kind."""
    kinds = ids[:, -1] - FIRST
    chosen = np.array([np.flatnonzero(kinds == kind)[0] for kind in range(KINDS)])
    regions = torch.from_numpy(features.regions[chosen, 0]).float()
    videos = network.video(regions, torch.ones(KINDS, 1, dtype=torch.bool)).vectors
    texts = network.text(torch.from_numpy(ids[chosen])).vectors
    return retrieval(videos.numpy(), texts.numpy(), np.arange(KINDS)).r_sum


def test_a_start_finds_pairs_before_any_training() -> None:
    network, features, pairs, ids = made_world()
    before = recall_of_kinds(network, features, ids)
    make_start(network, features, pairs, ids).apply(network)
    assert recall_of_kinds(network, features, ids) > max(500.0, 1.5 * before)


def test_the_start_is_of_what_the_towers_see() -> None:
    network, features, _, _ = made_world()
    regions = torch.from_numpy(features.regions[:, 0]).float()
    assert isinstance(network.video, VideoTower)
    seen = network.video.standardised(regions).mean(dim=1)
    np.testing.assert_allclose(mean_pictures(network, features), seen.numpy(), atol=1e-3)


@torch.inference_mode()
def test_a_caption_without_known_words_has_a_vector() -> None:
    network, features, pairs, ids = made_world()
    make_start(network, features, pairs, ids).apply(network)
    for row in ([CLS], [CLS, 1], [CLS, 2, 2]):
        vector = network.text(torch.tensor([row])).vectors
        assert float(vector.norm()) == pytest.approx(1, abs=1e-5)


def test_gradients_of_words_at_zero_stay_small() -> None:
    network, features, pairs, ids = made_world()
    make_start(network, features, pairs, ids).apply(network)
    side = network.train().text(torch.tensor([[CLS, 1, 2], [CLS, 2, 0]]))
    torch.autograd.backward(side.vectors[:, 0].sum() + side.tokens[..., 0].sum())
    for parameter in network.text.parameters():
        if parameter.grad is not None:
            assert float(parameter.grad.abs().max()) < 100
