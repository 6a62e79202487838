"""What the plain paths of both towers begin with: pictures by their main axes, words by pictures.

No step of training is needed for it: a word's vector is the mean of the pictures that it was said
of, as in the visual word vectors of Kiela and Bottou, EMNLP 2014, section 3, which average what a
network sees in the pictures of a word.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.text_video.caption_tower import TextTower
from models.text_video.features import Features
from models.text_video.network import TextVideoNetwork
from models.text_video.pairs import Pairs
from models.text_video.tokenizer import SPECIAL
from models.text_video.video_tower import VideoTower

FLATTENING = 0.7  # 1 makes all axes equally wide, 0 leaves them as they are
PRIOR = 10.0  # a word that was said once counts a tenth of its picture
BAG_LENGTH = 2.0  # well above the tower's `SOFTNESS`, so that sums of words reach unit length
MIN_WIDTH = 1e-3  # beside channels of deviation 1: narrower axes are rounding, blown up below
AT_ONCE = 500  # photos: 0.2 GB as float32, while all of them would be two
SAMPLED = 2000  # captions


@dataclass(frozen=True)
class Start:
    """Weights of the plain paths.

    Attributes:
        axes: (d, C) float32, of standardised channels.
        words: (V, d) float32.
    """

    axes: Tensor
    words: Tensor

    def apply(self, *networks: TextVideoNetwork) -> None:
        """Write them over the plain paths of both towers, in place."""
        with torch.no_grad():
            for network in networks:
                if isinstance(network.video, VideoTower):
                    network.video.picture_in.weight.copy_(self.axes)
                if isinstance(network.text, TextTower):
                    network.text.embedding.weight.copy_(self.words)


def make_start(
    network: TextVideoNetwork, features: Features, pairs: Pairs, ids: NDArray[np.int64]
) -> Start:
    """Compute the weights from what is trained on.

    Args:
        network: its channels are standardised already.
        features: of the photos.
        pairs: M captions and their photos.
        ids: (M, L) of the captions.
    """
    pictures = mean_pictures(network, features)
    axes = main_axes(pictures, network.config.words_width)
    places = pictures @ axes.T
    places /= np.linalg.norm(places, axis=1, keepdims=True).clip(1e-6)
    words = word_vectors(places - places.mean(axis=0), pairs.photos, ids, network.config.entries)
    # One factor for all words: captions' sums get a usual length, their proportions stay.
    bags = words[ids[:SAMPLED]].sum(axis=1)
    words *= BAG_LENGTH / max(float(np.linalg.norm(bags, axis=1).mean()), 1e-6)
    return Start(torch.from_numpy(axes), torch.from_numpy(words))


def mean_pictures(network: TextVideoNetwork, features: Features) -> NDArray[np.float32]:
    """(P, C) standardised channels of every photo, whole, the mean of its regions."""
    if not isinstance(network.video, VideoTower):
        raise ValueError(f"{network.config.video_towers = }, expected one tower to begin with")
    mean, scale = (
        part.cpu().numpy() for part in (network.video.region_mean, network.video.region_scale)
    )
    view, parts = features.view("full"), []
    for at in range(0, len(features.names), AT_ONCE):
        parts.append(features.regions[at : at + AT_ONCE, view].astype(np.float32).mean(axis=1))
    pictures: NDArray[np.float32] = (np.concatenate(parts) - mean) * scale
    return pictures


def main_axes(pictures: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """The axes along which pictures differ most, the wide ones flattened.

    Args:
        pictures: (P, C).
        count: d of them; rows of 0 where there are fewer.

    Returns:
        (d, C).
    """
    away = pictures - pictures.mean(axis=0)
    variances, axes = (
        part.numpy() for part in torch.linalg.eigh(torch.from_numpy(away.T @ away / len(away)))
    )  # ascending; axes are columns
    widths = np.sqrt(variances[::-1].clip(0))
    kept = min(count, int((widths > MIN_WIDTH).sum()))
    found = np.zeros((count, pictures.shape[1]), np.float32)
    found[:kept] = axes.T[::-1][:kept] / widths[:kept, None] ** FLATTENING
    return found


def word_vectors(
    places: NDArray[np.float32], photos: NDArray[np.int64], ids: NDArray[np.int64], entries: int
) -> NDArray[np.float32]:
    """Each word's mean picture, drawn towards 0 where it was said seldom.

    Args:
        places: (P, d) of photos, their mean taken off.
        photos: (M,) of captions.
        ids: (M, L) of captions.
        entries: V.

    Returns:
        (V, d); special ids are 0.
    """
    places_of = torch.from_numpy(np.stack([ids.ravel(), photos.repeat(ids.shape[1])]))
    said = torch.sparse_coo_tensor(
        places_of, torch.ones(ids.size), (entries, len(places)), check_invariants=True
    )
    sums = (said.coalesce() @ torch.from_numpy(places)).numpy()
    sums[: len(SPECIAL)] = 0
    counts = np.bincount(ids.ravel(), minlength=entries)[:, None]
    found: NDArray[np.float32] = (sums / (counts + PRIOR)).astype(np.float32)
    return found
