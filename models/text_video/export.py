"""Writes a trained pair of towers as ONNX with their tokenizer, and checks them against torch.

`samesource export text-video` does it for a training folder.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from models.encoder.onnx_file import store_as_bytes, store_half, to_onnx
from models.errors import ModelError
from models.text_video.caption_tower import TextTower
from models.text_video.features import TRAINING_VIEWS
from models.text_video.network import TextVideoNetwork
from models.text_video.pairs import make_pairs
from models.text_video.run import FEATURES, load_split
from models.text_video.score_biases import NUMBERS, PairBiases, make_biases
from models.text_video.serve import Pair, PairFiles, open_pair
from models.text_video.student_sentences import keywords
from models.text_video.tokenizer import CaptionTokenizer
from models.text_video.train import trained_network
from models.text_video.trunk import RegionTrunk, load_trunk
from models.text_video.validate import LANGUAGES, text_vectors, video_vectors
from models.text_video.video_tower import JoinedVideoTower, VideoTower

KEYWORDS = 0.4  # queries of one to three words a caption, which biases count as well; by hand
SAME_COSINE = 0.9999  # of two exports of the same weights, which differ by rounding alone
MIN_COSINE = 0.99  # set by hand: the shipped files have 0.9990, a wrong layer far less
MIN_FRAME_COSINE = 0.98  # the same: 0.9985
# What files and torch are compared on.
CLIP_LENGTHS = (1, 2, 3, 5, 8)  # frames, from a photo to the most that a tower looks at
TEXTS = (
    "Two dogs run across the snow .",
    "a man",
    "A boy in a red shirt jumps into a pool while his friends watch from the edge of the water .",
    "两只狗在草地上奔跑。",
    "一个小男孩",
    "穿红衣服的女人站在街上，然后骑上自行车。",
)


class VideoPart(nn.Module):
    """Frames of one clip to its vector and theirs: trunk, tower and biases together."""

    def __init__(
        self, trunk: RegionTrunk, tower: VideoTower | JoinedVideoTower, biases: nn.Module
    ) -> None:
        super().__init__()
        self.trunk, self.tower, self.biases = trunk, tower, biases

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """(T, S, S, 3) uint8 RGB to (1, D) and (T, D) float32 unit rows."""
        whole, alone = self.tower.vectors(self.trunk(frames))
        return self.biases(whole), self.biases(alone)


class TextPart(nn.Module):
    """Ids of captions to their vectors."""

    def __init__(self, tower: TextTower, biases: nn.Module) -> None:
        super().__init__()
        self.tower, self.biases = tower, biases

    def forward(self, ids: Tensor) -> Tensor:
        """(N, L) int64 ids to (N, D) float32 unit rows."""
        vectors: Tensor = self.biases(self.tower.vector(self.tower.hidden(ids), ids))
        return vectors


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        model_version: of both files.
        megabytes: of all three files.
        video_cosine: the least, between the file's and torch's vectors of clips.
        frame_cosine: the least, of single frames, where rounding isn't evened out by others.
        text_cosine: the least, of captions.
    """

    model_version: str
    megabytes: float
    video_cosine: float
    frame_cosine: float
    text_cosine: float


def export_run(
    run: Path,
    out: Path,
    *,
    data: Path | None = None,
    features: Path = FEATURES,
    like: Path | None = None,
) -> Exported:
    """Export a run's mean weights with their trunk and tokenizer.

    Args:
        run: the training folder.
        out: the folder to write to.
        data: what it learned from, as `models.text_video.run.load_split` reads it, for score
            biases; a pair without any if None.
        features: what the trunk sees of the photos is kept here.
        like: an earlier export of the same weights, whose version is kept.

    Raises:
        MissingDataError: the run has no checkpoint, or photos or captions aren't there.
        BrokenDataError: photos or captions can't be read, or are too few.
        ModelFileError: it has no tokenizer, or `like` is no pair.
        ModelError: a file strays from torch, or its vectors aren't those of `like`.
    """
    network = trained_network(run)
    tokenizer = CaptionTokenizer.load(run / "tokenizer.json")
    trunk = load_trunk(network.config.trunk)
    biases = None
    if data is not None:
        split = load_split(data, "train", trunk, features, views=TRAINING_VIEWS)
        pairs, most = make_pairs(split.photos, LANGUAGES), network.config.max_tokens
        typed = keywords(pairs, int(KEYWORDS * len(pairs)), np.random.default_rng(1))
        kinds = [
            text_vectors(network, tokenizer.ids(texts, most), "cpu")
            for texts in (pairs.texts, typed)
        ]
        biases = make_biases(video_vectors(network, split.features, "cpu"), kinds)
    lengths = [min(length, network.config.max_frames) for length in CLIP_LENGTHS]
    clips = [made_clip(length, trunk.config.input_size) for length in lengths]
    return export_pair(
        network, trunk, tokenizer, out, clips=clips, texts=TEXTS, biases=biases, like=like
    )


def export_pair(
    network: TextVideoNetwork,
    trunk: RegionTrunk,
    tokenizer: CaptionTokenizer,
    out: Path,
    *,
    clips: Sequence[NDArray[np.uint8]],
    texts: Sequence[str],
    biases: PairBiases | None = None,
    like: Path | None = None,
) -> Exported:
    """Write both towers and the tokenizer, and compare the files with torch.

    Weights are stored as int8 with a scale for each row, the small ones as float16.

    Args:
        network: in the state to be shipped.
        trunk: that it was trained on.
        tokenizer: that it was trained with.
        out: the folder to write to.
        clips: each (T, S, S, 3) uint8, to compare on.
        texts: captions to compare on.
        biases: that the vectors shall hold.
        like: an earlier export of the same weights, whose version is kept: what it embedded needs
            not be embedded again.

    Raises:
        ModelFileError: `like` is no pair.
        ModelError: a file strays from torch, the pair doesn't read ids, or its vectors aren't those
            of `like`.
    """
    config = network.config
    if not isinstance(network.text, TextTower):
        raise ModelError("a pair that reads sentence vectors can't be exported: teach one with it")
    of_video, of_text = biases or (nn.Identity(), nn.Identity())
    video = VideoPart(trunk, network.video, of_video).eval()
    text = TextPart(network.text, of_text).eval()
    frames = np.zeros((2, *clips[0].shape[1:]), np.uint8)
    models = {
        "video": to_onnx(video, ["vector", "frame_vectors"], frames, free={0: config.max_frames}),
        "text": to_onnx(
            text,
            ["vectors"],
            tokenizer.ids(["two dogs", "一只狗"], config.max_tokens),
            name="ids",
            free={0: 1 << 16, 1: config.max_tokens},
        ),
    }
    for model in models.values():
        store_as_bytes(model)
        store_half(model)
    properties: dict[str, dict[str, object]] = {
        "video": {"input_size": config.trunk.input_size, "most_frames": config.max_frames},
        "text": {"most_tokens": config.max_tokens, "tokenizer_sha256": tokenizer.sha256},
    }
    earlier = None if like is None else open_pair(like, precision="float32")
    version = _version(models, tokenizer) if earlier is None else earlier.model_version
    dimension = config.dimension + (NUMBERS if biases else 0)
    told: dict[str, dict[str, object]] = {
        name: {"model_version": version, "dimension": dimension, **own}
        for name, own in properties.items()
    }
    with tempfile.TemporaryDirectory(prefix="samesource-") as aside:  # until all is compared
        files = PairFiles.of(Path(aside))
        tokenizer.save(files.tokenizer)
        for name, path in (("video", files.video), ("text", files.text)):
            said = {key: str(value) for key, value in told[name].items()}
            onnx.helper.set_model_props(models[name], said)
            onnx.save(models[name], str(path))
        found = Exported(
            version,
            sum(path.stat().st_size for path in files) / 1e6,
            *_compared(files, video, text, clips, texts, tokenizer),
        )
        strays = min(found.video_cosine, found.text_cosine) < MIN_COSINE
        if strays or found.frame_cosine < MIN_FRAME_COSINE:
            raise ModelError(
                f"ONNX differs from torch: {found}, expected cosines of {MIN_COSINE}, of single "
                f"frames {MIN_FRAME_COSINE}"
            )
        if earlier is not None:
            check_like(open_pair(files), earlier, clips, texts)
        out.mkdir(parents=True, exist_ok=True)
        for path in files:
            shutil.copyfile(path, out / path.name)
    for path in (PairFiles.of(out).video_int8, PairFiles.of(out).weights):  # of other weights
        path.unlink(missing_ok=True)
    return found


def check_like(
    pair: Pair, earlier: Pair, clips: Sequence[NDArray[np.uint8]], texts: Sequence[str]
) -> None:
    """Compare a pair with an earlier export of the same weights.

    Raises:
        ModelError: a vector is another one.
    """
    if pair.video.dimension != earlier.video.dimension:
        raise ModelError(
            f"{earlier.model_version} has {earlier.video.dimension} numbers, these "
            f"{pair.video.dimension}: score biases are in both or in neither"
        )
    seen = min(float(pair.video.embed(clip) @ earlier.video.embed(clip)) for clip in clips)
    read = float((pair.text.embed(texts) * earlier.text.embed(texts)).sum(axis=1).min())
    if min(seen, read) < SAME_COSINE:
        raise ModelError(
            f"{earlier.model_version} says something else: least cosine of videos {seen:.5f}, of "
            f"texts {read:.5f}, expected {SAME_COSINE}: leave its version to its own weights"
        )


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


def _version(models: dict[str, onnx.ModelProto], tokenizer: CaptionTokenizer) -> str:
    weights = hashlib.sha256(tokenizer.sha256.encode())
    for name in sorted(models):
        for tensor in models[name].graph.initializer:
            weights.update(tensor.raw_data)
    return f"text-video-{weights.hexdigest()[:8]}"


@torch.inference_mode()
def _compared(
    files: PairFiles,
    video: VideoPart,
    text: TextPart,
    clips: Sequence[NDArray[np.uint8]],
    texts: Sequence[str],
    tokenizer: CaptionTokenizer,
) -> tuple[float, float, float]:
    """The least cosines of the files' and torch's vectors: of clips, their frames, captions."""
    pair = open_pair(files)
    seen, alone = [], list[float]()
    for clip in clips:
        ours, (whole, frames) = pair.video.embed_frames(clip), video(torch.from_numpy(clip))
        seen.append(float(ours.vector @ whole[0].numpy()))
        alone += (ours.frames * frames.numpy()).sum(axis=1).tolist()
    ids = torch.from_numpy(tokenizer.ids(texts, text.tower.config.max_tokens))
    read = (pair.text.embed(texts) * text(ids).numpy()).sum(axis=1)
    return min(seen), min(alone), float(read.min())
