"""A run of the text-video encoder as the files that serve: `samesource export text`."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.text_video.export import Exported, export_pair
from models.text_video.tokenizer import CaptionTokenizer
from models.text_video.train import trained_network
from models.text_video.trunk import load_trunk

CLIP_LENGTHS = (1, 1, 2, 3, 5, 8)  # frames, from a photo to the most that a tower looks at
TEXTS = (
    "Two dogs run across the snow .",
    "a man",
    "A boy in a red shirt jumps into a pool while his friends watch from the edge of the water .",
    "两只狗在草地上奔跑。",
    "一个小男孩",
    "穿红衣服的女人站在街上，然后骑上自行车。",
)


def export_text(run: Path, out: Path) -> Exported:
    """Export a run's mean weights with their trunk and tokenizer.

    Args:
        run: the training folder.
        out: the folder to write to.

    Raises:
        MissingDataError: the run has no checkpoint.
        ModelFileError: it has no tokenizer.
        ModelError: a file strays from torch.
    """
    network = trained_network(run)
    tokenizer = CaptionTokenizer.load(run / "tokenizer.json")
    trunk = load_trunk(network.config.trunk)
    lengths = [min(length, network.config.most_frames) for length in CLIP_LENGTHS]
    clips = [made_clip(length, trunk.config.input_size) for length in lengths]
    return export_pair(network, trunk, tokenizer, out, clips=clips, texts=TEXTS)


def made_clip(length: int, size: int) -> NDArray[np.uint8]:
    """(T, S, S, 3) uint8 of soft colours, as smooth as photos are; the same each time."""
    random = np.random.default_rng(length)
    small = random.integers(0, 256, (length, 12, 12, 3), np.uint8)
    return np.stack(
        [
            np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC))
            for picture in small
        ]
    )
