"""A training run of the text-video encoder on a data folder, from its tars and captions on."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from models.errors import BrokenDataError, MissingDataError
from models.text_video.batches import PairBatches
from models.text_video.captions import Photo, read_captions
from models.text_video.features import (
    TRAINING_VIEWS,
    Features,
    build_features,
    sample_regions,
)
from models.text_video.pairs import (
    Pairs,
    learn_tokenizer,
    make_pairs,
    mismatch,
)
from models.text_video.recipe import TextRecipe
from models.text_video.sentences import sentence_vectors
from models.text_video.shape import TextVideoConfig
from models.text_video.significance import word_significance
from models.text_video.start import make_start
from models.text_video.tokenizer import CaptionTokenizer
from models.text_video.train import TextTrainer, read_fitting
from models.text_video.trunk import RegionTrunk, load_trunk
from models.text_video.validate import Readable, make_check
from models.training.checkpoint import read_checkpoint

FEATURES = Path("runs/text-video-features")
HELD_VIEWS = ("full", "near")


@dataclass(frozen=True)
class Split:
    """Photos with captions, and what the trunk says of them.

    Attributes:
        features: of the photos.
        photos: their captions, in the features' order.
    """

    features: Features
    photos: list[Photo]


def load_split(
    data_dir: Path,
    name: str,
    trunk: RegionTrunk,
    features_dir: Path,
    *,
    views: tuple[str, ...],
    threads: int = 1,
    console: Console | None = None,
) -> Split:
    """Captions of a data folder, and the regions of their photos, made if they aren't there.

    Args:
        data_dir: holds `photos/flickr8k-NAME.tar` and `captions/flickr8k-NAME.jsonl`.
        name: `train` or `val`.
        trunk: makes the regions.
        features_dir: regions are kept here.
        views: of each photo.
        threads: of the trunk.
        console: shows the progress.

    Raises:
        MissingDataError: a file isn't there.
        BrokenDataError: a file can't be read, or a caption's photo isn't in the tar.
    """
    tar = data_dir / "photos" / f"flickr8k-{name}.tar"
    captions = data_dir / "captions" / f"flickr8k-{name}.jsonl"
    photos = {photo.image: photo for photo in read_captions(captions)}
    features = build_features(
        tar, trunk, features_dir, views=views, threads=threads, console=console
    )
    missing = sorted(set(photos) - set(features.names))
    if missing:
        raise BrokenDataError(
            f"{captions}, line {photos[missing[0]].line}: {missing[0]} is not in {tar}"
        )
    # Photos without captions keep their place: pairs name photos by their place in the features.
    wordless = Photo("", {}, 0)
    return Split(features, [photos.get(image, wordless) for image in features.names])


def recipe_pairs(recipe: TextRecipe, photos: list[Photo]) -> tuple[Pairs, NDArray[np.bool_]]:
    """The pairs that a recipe learns from, and which of them were mismatched on purpose.

    Raises:
        BrokenDataError: there is no caption of one of its sources.
    """
    pairs = make_pairs(photos, recipe.draw.sources)
    return mismatch(pairs, recipe.draw.mismatched_share, len(photos), recipe.seed)


def read_keep(path: Path) -> NDArray[np.bool_]:
    """Which pairs are learned from, (M,) bool, of a .npy.

    Raises:
        MissingDataError: no such file.
        BrokenDataError: it holds anything else.
    """
    try:
        keep = np.load(path)
    except FileNotFoundError as error:
        raise MissingDataError(f"no {path}: save a mask of the pairs there, np.save") from error
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise BrokenDataError(f"{path} is no .npy: {error}") from error
    if not isinstance(keep, np.ndarray) or keep.dtype != np.bool_ or keep.ndim != 1:
        found = f"{keep.dtype} {keep.shape}" if isinstance(keep, np.ndarray) else "an archive"
        if isinstance(keep, np.lib.npyio.NpzFile):
            keep.close()
        raise BrokenDataError(f"{path} holds {found}, expected a .npy of bool (M,)")
    return keep


def kept(pairs: Pairs, keep: NDArray[np.bool_]) -> Pairs:
    """The pairs that a mask keeps.

    Raises:
        BrokenDataError: it has another length, or keeps none.
    """
    if keep.shape != (len(pairs),):
        raise BrokenDataError(
            f"the mask of pairs to keep is {keep.shape}, expected ({len(pairs)},): one for every "
            "caption of the recipe's sources"
        )
    if not keep.any():
        raise BrokenDataError(f"the mask of pairs keeps none of {len(pairs)}")
    return pairs.where(keep)


def run_tokenizer(folder: Path, recipe: TextRecipe, photos: list[Photo]) -> CaptionTokenizer:
    """The tokenizer in a run's folder; learned from the captions if there is none."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        learn_tokenizer(photos, recipe.network.entries).save(path)
    return CaptionTokenizer.load(path)


def caption_reader(
    config: TextVideoConfig, tokenizer: CaptionTokenizer, folder: Path
) -> Callable[[list[str]], Readable]:
    """Texts to what the text tower of a network takes.

    Args:
        config: of the network.
        tokenizer: of its run.
        folder: sentence vectors are kept here.
    """
    if config.read_sentences:
        return lambda texts: sentence_vectors(texts, config.read_sentences, folder)
    return lambda texts: tokenizer.ids(texts, config.max_tokens)


def train_text_video(
    recipe: TextRecipe,
    data_dir: Path,
    out_dir: Path,
    *,
    features_dir: Path = FEATURES,
    start: Path | None = None,
    keep: NDArray[np.bool_] | None = None,
    minutes: float | None = None,
    resume: bool = False,
    device: str = "cpu",
    threads: int = 1,
) -> TextTrainer:
    """Train on a data folder.

    Args:
        recipe: what to train and how.
        data_dir: holds photos and captions of `train` and `val`; see `load_split`.
        out_dir: tokenizer, checkpoints and the curve go here.
        features_dir: the photos' regions are kept here.
        start: the folder of an earlier run to begin with, its tokenizer included.
        keep: (M,) bool over `recipe_pairs`, which pairs are learned from; all if None.
        minutes: stop after so long; the recipe's last step if None.
        resume: go on from the checkpoint in `out_dir`.
        device: a torch device.
        threads: of the trunk.

    Returns:
        The trainer in its last state, saved.

    Raises:
        MissingDataError: photos or captions aren't there, or nothing to resume or start from.
        BrokenDataError: photos or captions can't be read, or `keep` isn't of these pairs.
        ModelFileError: the run to resume or start from has no tokenizer, or another shape.
    """
    console, trunk = Console(), load_trunk(recipe.network.trunk)
    earlier = out_dir if resume else start
    if earlier is not None:  # before the trunk takes its minutes
        _check_start(earlier, recipe, trunk.channels)
    train, held = (
        load_split(
            data_dir, name, trunk, features_dir, views=views, threads=threads, console=console
        )
        for name, views in (("train", TRAINING_VIEWS), ("val", HELD_VIEWS))
    )
    pairs, _ = recipe_pairs(recipe, train.photos)
    if keep is not None:
        pairs = kept(pairs, keep)
    # The start's ids, not new ones: its rows of embeddings mean the words of its own tokenizer.
    if start is not None and not resume:
        CaptionTokenizer.load(start / "tokenizer.json").save(out_dir / "tokenizer.json")
    tokenizer = run_tokenizer(out_dir, recipe, train.photos)
    recipe, most = _with_entries(recipe, tokenizer), recipe.network.max_tokens
    trainer = TextTrainer(recipe, trunk.channels, out_dir, device)
    reads = recipe.network.read_sentences
    told = sentence_vectors(pairs.texts, reads, features_dir) if reads else None
    if resume:
        trainer.resume()
    elif start is not None:
        trainer.start_from(start)
    else:
        trainer.standardise(sample_regions(train.features), told)
        if recipe.words_by_pictures:
            ids = tokenizer.ids(pairs.texts, most)
            make_start(trainer.mean, train.features, pairs, ids).apply(
                trainer.network, trainer.mean
            )
    batches = PairBatches(
        train.features,
        pairs,
        tokenizer,
        recipe.draw,
        seed=recipe.seed,
        max_tokens=most,
        significance=(
            word_significance(pairs.texts, tokenizer, most, features_dir)
            if trainer.methods.needs_significance
            else None
        ),
        sentences=told,
    )
    check = make_check(
        held.features, held.photos, caption_reader(recipe.network, tokenizer, features_dir)
    )
    trainer.run(batches, check, minutes)
    return trainer


def _check_start(folder: Path, recipe: TextRecipe, channels: int) -> None:
    """Whether a run can be gone on from; raises as `read_fitting` and `CaptionTokenizer.load`."""
    read_checkpoint(folder)  # a folder without any is no run: say so first
    tokenizer = CaptionTokenizer.load(folder / "tokenizer.json")
    read_fitting(folder, _with_entries(recipe, tokenizer).network, channels)


def _with_entries(recipe: TextRecipe, tokenizer: CaptionTokenizer) -> TextRecipe:
    """The recipe with as many entries as the captions gave."""
    return replace(recipe, network=replace(recipe.network, entries=len(tokenizer)))
