"""How well captions and held-out photos find each other: the figures that training watches."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.metrics.recall import Retrieval, retrieval
from models.text_video.captions import Photo
from models.text_video.features import Features
from models.text_video.network import TextVideoNetwork
from models.text_video.pairs import make_pairs
from models.text_video.tokenizer import PAD, CaptionTokenizer

LANGUAGES = ("en", "zh")
AT_ONCE = 250  # photos or captions: bounds the memory; the figures are the same


@dataclass(frozen=True)
class Check:
    """Held-out photos with human captions.

    Attributes:
        features: of the photos.
        captions: by language ids, (M, L) int64, and the photo of each, (M,) int64.
    """

    features: Features
    captions: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]


def make_check(
    features: Features, photos: list[Photo], tokenizer: CaptionTokenizer, most_tokens: int
) -> Check:
    """Tokenize the captions of held-out photos.

    Args:
        features: of the photos.
        photos: in the features' order.
        tokenizer: of the run.
        most_tokens: of a caption.

    Raises:
        BrokenDataError: a language has no caption.
    """
    captions = {}
    for language in LANGUAGES:
        pairs = make_pairs(photos, [language])
        captions[language] = (tokenizer.ids(pairs.texts, most_tokens), pairs.photos)
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
        language: retrieval(videos, text_vectors(network, ids, device), owners)
        for language, (ids, owners) in check.captions.items()
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
def text_vectors(
    network: TextVideoNetwork, ids: NDArray[np.int64], device: str
) -> NDArray[np.float32]:
    """(M, L) ids to (M, D) float32 unit rows; captions of a length go together."""
    lengths = (ids != PAD).sum(axis=1)
    order = np.argsort(lengths, kind="stable")
    found = np.empty((len(ids), network.config.dimension), np.float32)
    for at in range(0, len(ids), AT_ONCE):
        rows = order[at : at + AT_ONCE]
        part: Tensor = torch.from_numpy(ids[rows, : lengths[rows].max()]).to(device)
        found[rows] = network.text.vector(network.text.hidden(part), part).cpu().numpy()
    return found


def pair_similarities(
    network: TextVideoNetwork,
    features: Features,
    ids: NDArray[np.int64],
    photos: NDArray[np.int64],
    device: str,
) -> NDArray[np.float32]:
    """How alike a first model finds each caption and its photo, for the weak-pair filter.

    Args:
        network: changed to evaluation mode.
        features: of the photos.
        ids: (M, L) int64 captions.
        photos: (M,) int64.
        device: of the network.

    Returns:
        (M,) float32 cosines.
    """
    network.eval()
    videos = video_vectors(network, features, device)
    texts = text_vectors(network, ids, device)
    similarities: NDArray[np.float32] = (videos[photos] * texts).sum(axis=1)
    return similarities
