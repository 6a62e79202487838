"""How well captions and held-out photos find each other: the figures that training watches."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.metrics.recall import Retrieval, retrieval
from models.text_video.caption_tower import SentenceTower
from models.text_video.captions import Photo
from models.text_video.features import Features
from models.text_video.network import TextVideoNetwork
from models.text_video.pairs import make_pairs
from models.text_video.tokenizer import PAD

LANGUAGES = ("en", "zh")
Readable = NDArray[np.int64] | NDArray[np.float16]  # ids, or sentence vectors
AT_ONCE = 250  # photos or captions: bounds the memory; the figures are the same


@dataclass(frozen=True)
class Check:
    """Held-out photos with human captions.

    Attributes:
        features: of the photos.
        captions: by language what the text tower reads, and the photo of each, (M,) int64.
    """

    features: Features
    captions: dict[str, tuple[Readable, NDArray[np.int64]]]


def make_check(
    features: Features, photos: list[Photo], read: Callable[[list[str]], Readable]
) -> Check:
    """Make the captions of held-out photos readable.

    Args:
        features: of the photos.
        photos: in the features' order.
        read: texts to what the run's text tower takes.

    Raises:
        BrokenDataError: a language has no caption.
    """
    captions = {}
    for language in LANGUAGES:
        pairs = make_pairs(photos, [language])
        captions[language] = (read(pairs.texts), pairs.photos)
    return Check(features, captions)


@torch.inference_mode()
def check_figures(network: TextVideoNetwork, check: Check, device: str) -> dict[str, Retrieval]:
    """Rank both ways, by language.

    Args:
        network: changed to evaluation mode.
        check: what `make_check` made.
        device: of the network.
    """
    network.eval()
    videos = video_vectors(network, check.features, device)
    return {
        language: retrieval(videos, text_vectors(network, told, device), owners)
        for language, (told, owners) in check.captions.items()
    }


@torch.inference_mode()
def video_vectors(
    network: TextVideoNetwork, features: Features, device: str
) -> NDArray[np.float32]:
    """(P, D) float32 unit rows: every photo, whole, as a clip of one frame."""
    view, parts = features.view("full"), []
    for at in range(0, len(features.names), AT_ONCE):
        regions = features.regions[at : at + AT_ONCE, view].astype(np.float32)
        present = torch.ones((len(regions), 1), dtype=torch.bool, device=device)
        side = network.video(torch.from_numpy(regions).to(device), present)
        parts.append(side.vectors.cpu().numpy())
    return np.concatenate(parts)


@torch.inference_mode()
def text_vectors(network: TextVideoNetwork, told: Readable, device: str) -> NDArray[np.float32]:
    """Captions to (M, D) float32 unit rows; those of a length go together.

    Args:
        network: in evaluation mode.
        told: (M, L) int64 ids, or (M, E) float sentence vectors where the network reads those.
        device: of the network.
    """
    found = np.empty((len(told), network.config.dimension), np.float32)
    if isinstance(network.text, SentenceTower):
        for at in range(0, len(told), AT_ONCE):
            few = torch.from_numpy(told[at : at + AT_ONCE].astype(np.float32)).to(device)
            found[at : at + AT_ONCE] = network.text.vector(few).cpu().numpy()
        return found
    lengths = (told != PAD).sum(axis=1)
    order = np.argsort(lengths, kind="stable")
    for at in range(0, len(told), AT_ONCE):
        rows = order[at : at + AT_ONCE]
        part: Tensor = torch.from_numpy(told[rows, : lengths[rows].max()]).to(device)
        found[rows] = network.text.vector(network.text.hidden(part), part).cpu().numpy()
    return found


def pair_similarities(
    network: TextVideoNetwork,
    features: Features,
    told: Readable,
    photos: NDArray[np.int64],
    device: str,
) -> NDArray[np.float32]:
    """How alike a first model finds each caption and its photo, for the weak-pair filter.

    Args:
        network: changed to evaluation mode.
        features: of the photos.
        told: M captions, as `text_vectors` takes them.
        photos: (M,) int64.
        device: of the network.

    Returns:
        (M,) float32 cosines.
    """
    network.eval()
    videos = video_vectors(network, features, device)
    texts = text_vectors(network, told, device)
    similarities: NDArray[np.float32] = (videos[photos] * texts).sum(axis=1)
    return similarities
