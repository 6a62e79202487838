"""Training of the text-video encoder: what it sees is true; it learns, resumes and exports."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.errors import BrokenDataError, MissingDataError
from models.metrics.recall import retrieval
from models.text_video.batches import PairBatches
from models.text_video.captions import read_captions
from models.text_video.export import export_run
from models.text_video.features import TRAINING_VIEWS, build_features
from models.text_video.methods.combined import SETTINGS, Methods
from models.text_video.methods.weak_pairs import WeakPairs, kept_pairs
from models.text_video.pairs import learn_tokenizer, make_pairs, mismatch
from models.text_video.photos import VIEWS, make_views, read_photos
from models.text_video.recipe import DrawConfig, read_text_recipe
from models.text_video.run import Split, load_split, train_text_video
from models.text_video.score_biases import NUMBERS
from models.text_video.serve import open_pair
from models.text_video.tokenizer import CLS, PAD, CaptionTokenizer
from models.text_video.train import TextTrainer, trained_network
from models.text_video.trunk import RegionTrunk, load_trunk
from models.text_video.validate import make_check, pair_similarities
from tests.models.text_video.exported_numbers import name_of_weights
from tests.models.text_video.small_recipe import RECIPE
from tests.models.text_video_data import make_data


@pytest.fixture(scope="module")
def trunk() -> RegionTrunk:
    return load_trunk(RECIPE.network.trunk)


@pytest.fixture(scope="module")
def split(data: Path, trunk: RegionTrunk, kept: Path) -> Split:
    return load_split(data, "train", trunk, kept, views=TRAINING_VIEWS)


@pytest.fixture(scope="module")
def tokenizer(split: Split) -> CaptionTokenizer:
    return learn_tokenizer(split.photos, 200)


def batches_of(
    split: Split, tokenizer: CaptionTokenizer, draw: DrawConfig = RECIPE.draw
) -> PairBatches:
    pairs = make_pairs(split.photos, draw.sources)
    weights = np.ones((len(pairs), 12), np.float32)
    return PairBatches(
        split.features, pairs, tokenizer, draw, seed=1, max_tokens=12, significance=weights
    )


def test_a_few_steps_teach_colours_in_both_languages(
    data: Path, kept: Path, taught: TextTrainer, tmp_path: Path
) -> None:
    first, last = [row for row in taught.curve if "en r_sum" in row]
    assert last["en t2v r5"] > 65  # of twelve photos: 42 by chance
    assert last["zh t2v r5"] > 65
    assert last["step"] == 30 > first["step"]
    made = export_run(taught.folder, tmp_path / "pair", data=data, features=kept)
    assert made.text_cosine > 0.999
    assert made.video_cosine > 0.99
    pair = open_pair(tmp_path / "pair")
    assert pair.video.dimension == RECIPE.network.dimension + NUMBERS
    tokenizer = CaptionTokenizer.load(taught.folder / "tokenizer.json")
    assert made.model_version == pair.model_version == name_of_weights(tmp_path / "pair", tokenizer)
    pictures = [
        make_views(p, 64, ("full",)) for _, p in read_photos(data / "photos/flickr8k-val.tar")
    ]
    videos = np.stack([pair.video.embed(picture) for picture in pictures])
    pairs = make_pairs(read_captions(data / "captions/flickr8k-val.jsonl"), ["en"])
    served = retrieval(videos, pair.text.embed(pairs.texts), pairs.photos)
    assert served.r_sum == pytest.approx(last["en r_sum"], abs=25)


def test_a_resumed_run_ends_where_a_whole_one_does(
    split: Split, tokenizer: CaptionTokenizer, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, steps=6, network=replace(RECIPE.network, entries=len(tokenizer)))
    batches = batches_of(split, tokenizer)
    channels = split.features.regions.shape[-1]
    whole = TextTrainer(recipe, channels, tmp_path / "whole")
    for step in range(6):
        whole.update(batches[step])
    half = TextTrainer(recipe, channels, tmp_path / "half")
    for step in range(3):
        half.update(batches[step])
    half.save()
    rest = TextTrainer(recipe, channels, tmp_path / "half")
    rest.resume()
    rest.run(batches, None, None)
    for ours, theirs in zip(whole.mean.parameters(), rest.mean.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_batch_is_a_function_of_seed_and_step(split: Split, tokenizer: CaptionTokenizer) -> None:
    one, other = batches_of(split, tokenizer)[2], batches_of(split, tokenizer)[2]
    for name in ("regions", "present", "ids", "significance", "same"):
        assert torch.equal(getattr(one, name), getattr(other, name))


def test_every_photo_comes_once_a_round(split: Split, tokenizer: CaptionTokenizer) -> None:
    draw = replace(RECIPE.draw, clip_every=0)
    batches = batches_of(split, tokenizer, draw)
    seen = np.concatenate([batches._drawn(0), batches._drawn(1)])
    assert sorted(seen) == list(range(48))
    assert (torch.eye(24, dtype=torch.bool) == batches[0].same).all()


def test_pairs_of_one_photo_are_the_same(split: Split, tokenizer: CaptionTokenizer) -> None:
    draw = replace(RECIPE.draw, pairs=96, clip_every=0)
    same = batches_of(split, tokenizer, draw)[0].same
    assert (same.sum(dim=1) == 2).all()


def test_clips_have_frames_in_order_and_joined_captions(
    split: Split, tokenizer: CaptionTokenizer
) -> None:
    batch = batches_of(split, tokenizer)[2]
    assert len(batch.ids) == 12
    assert int(batch.present.sum(dim=1).min()) >= 2
    assert int(batch.present.sum(dim=1).max()) <= 8
    assert len(batch.regions) == int(batch.present.sum())
    assert ((batch.ids == CLS).sum(dim=1) == 1).all()
    padded = batch.ids == PAD
    assert (padded[:, :-1] <= padded[:, 1:]).all()  # nothing follows padding
    assert (batch.significance[padded] == 0).all()


def test_joined_captions_come_in_the_opposite_order_too(
    split: Split, tokenizer: CaptionTokenizer
) -> None:
    batches = batches_of(split, tokenizer, replace(RECIPE.draw, token_dropout=0.0))
    assert not batches[0].orders.numel()
    batch = batches[2]
    joined = (batch.orders != PAD).any(dim=2)
    assert torch.equal(joined[:, 0], joined[:, 1])
    assert 0 < int(joined[:, 0].sum()) < len(joined)  # the rest are moves over one photo
    for told, row in zip(batch.ids, batch.orders, strict=True):
        if row.any():
            forth, back = row[:, : len(told)]
            assert torch.equal(forth, told)
            assert sorted(back.tolist()) == sorted(forth.tolist())
    changed = (batch.orders[:, 0] != batch.orders[:, 1]).any(dim=1)
    assert changed.any()  # not all: two photos may have one caption here


def test_languages_are_mixed_in_a_batch(split: Split, tokenizer: CaptionTokenizer) -> None:
    only = replace(RECIPE.draw, pairs=48, clip_every=0, token_dropout=0.0)
    mixed = batches_of(split, tokenizer, only)[0].ids
    english = batches_of(split, tokenizer, replace(only, chinese_share=0.0))[0].ids
    words = set(english.flatten().tolist())
    strange = [bool(set(row.tolist()) - words) for row in mixed]
    assert 10 < sum(strange) < 40


def test_mismatched_pairs_have_other_photos(split: Split) -> None:
    pairs = make_pairs(split.photos, ("zh_mt_a", "zh_mt_b"))
    noisy, wrong = mismatch(pairs, 0.5, 48, seed=1)
    assert 0.3 < wrong.mean() < 0.7
    assert ((noisy.photos != pairs.photos) == wrong).all()


def test_the_filter_drops_mismatched_pairs_first(
    data: Path, split: Split, kept: Path, taught: TextTrainer, tmp_path: Path
) -> None:
    tokenizer = CaptionTokenizer.load(taught.folder / "tokenizer.json")
    pairs, wrong = mismatch(make_pairs(split.photos, ("zh",)), 0.5, 48, seed=1)
    scores = pair_similarities(
        taught.mean, split.features, tokenizer.ids(pairs.texts), pairs.photos, "cpu"
    )
    keep = kept_pairs(scores, WeakPairs(volume=0.5))
    assert wrong[keep].mean() < 0.6 * wrong.mean()
    again = train_text_video(
        replace(RECIPE, steps=2, draw=replace(RECIPE.draw, sources=("zh",), mismatched_share=0.5)),
        data,
        tmp_path / "next",
        features_dir=kept,
        start=taught.folder,
        keep=keep,
    )
    assert again.step == 2


@pytest.mark.parametrize("names", [*([name] for name in SETTINGS), list(SETTINGS)])
def test_every_method_trains(
    names: list[str], split: Split, tokenizer: CaptionTokenizer, tmp_path: Path
) -> None:
    recipe = replace(
        RECIPE,
        methods={name: {} for name in names},
        network=replace(RECIPE.network, entries=len(tokenizer)),
    )
    trainer = TextTrainer(recipe, split.features.regions.shape[-1], tmp_path)
    batches = batches_of(split, tokenizer)
    for step in range(4):
        parts = trainer.update(batches[step])
        assert np.isfinite(list(parts.values())).all()
    trainer.save()
    assert trained_network(tmp_path).config == recipe.network


def test_methods_change_neither_start_nor_data(
    split: Split, tokenizer: CaptionTokenizer, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, network=replace(RECIPE.network, entries=len(tokenizer)))
    channels = split.features.regions.shape[-1]
    plain = TextTrainer(recipe, channels, tmp_path)
    full = TextTrainer(replace(recipe, methods={"masked_words": {}}), channels, tmp_path)
    for ours, theirs in zip(plain.network.parameters(), full.network.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(ValueError, match=r"methods\.magic"):
        Methods({"magic": {}}, RECIPE.network)


def test_features_go_on_where_a_stop_left_them(
    data: Path, trunk: RegionTrunk, split: Split, kept: Path
) -> None:
    folder = next(path for path in kept.iterdir() if path.name.startswith("flickr8k-train"))
    whole = np.array(split.features.regions)
    regions = np.load(folder / "regions.npy", mmap_mode="r+")
    regions[40:] = 0
    regions.flush()
    (folder / "done.json").write_text("40")
    again = build_features(data / "photos/flickr8k-train.tar", trunk, kept)
    assert np.array_equal(whole, again.regions)


def test_views_are_the_parts_that_they_name() -> None:
    picture = np.zeros((64, 128, 3), np.uint8)
    picture[:, 64:] = 255
    views = dict(zip(VIEWS, make_views(picture, 64, tuple(VIEWS)), strict=True))
    assert views["full"][:, -1].mean() > 200 > 50 > views["full"][:, 0].mean()
    assert (views["mirrored"] == views["full"][:, ::-1]).all()
    assert views["right"].mean() > views["full"].mean() > views["left"].mean()


def test_missing_and_broken_files_are_named(tmp_path: Path, trunk: RegionTrunk) -> None:
    def load() -> Split:
        return load_split(tmp_path, "train", trunk, tmp_path / "kept", views=("full",))

    with pytest.raises(MissingDataError, match=r"flickr8k-train\.jsonl"):
        load()
    make_data(tmp_path, train=2, held=2)
    captions = tmp_path / "captions/flickr8k-train.jsonl"
    lines = captions.read_text().splitlines()
    for line, said in (
        ("{", "line 2: no JSON"),
        ('{"image": 3}', "line 2: expected"),
        ('{"image": "p1", "en": "dogs"}', "line 2: en is dogs"),
        ('{"image": "p1", "en": [" "]}', "line 2: en is"),
        (lines[0], "line 2: p0 is on line 1 too"),
        ('{"image": "p9", "en": ["dogs"]}', "line 2: p9 is not in"),
    ):
        captions.write_text(f"{lines[0]}\n{line}\n")
        with pytest.raises(BrokenDataError, match=said):
            load()
    captions.write_text("\n".join(lines))
    (tmp_path / "photos/flickr8k-train.tar").write_bytes(b"no tar")
    with pytest.raises(BrokenDataError, match="is no tar"):
        load()
    (tmp_path / "photos/flickr8k-train.tar").unlink()
    with pytest.raises(MissingDataError, match=r"flickr8k-train\.tar"):
        load()


def test_a_language_that_is_missing_is_named(split: Split, tokenizer: CaptionTokenizer) -> None:
    english = [replace(photo, captions={"en": photo.captions["en"]}) for photo in split.photos]
    with pytest.raises(BrokenDataError, match="'zh'"):
        make_check(split.features, english, tokenizer.ids)


def test_the_shipped_recipe_is_read() -> None:
    recipe = read_text_recipe(Path("configs/training/text-video.toml"))
    assert recipe.draw.sources == ("en", "zh", "zh_mt_a", "zh_mt_b")
    assert recipe.network.trunk.input_size == 256
    assert list(recipe.methods) == ["dual_attention", "shot_order"]
