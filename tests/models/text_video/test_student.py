"""Pairs that are joined: what is taught is what all say, and what is shipped says it."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from models.errors import MissingDataError, ModelError, ModelFileError, RecipeError
from models.metrics.recall import retrieval
from models.text_video.captions import read_captions
from models.text_video.export import export_run
from models.text_video.methods.combined import Methods
from models.text_video.pairs import Pairs, make_pairs
from models.text_video.photos import make_views, read_photos
from models.text_video.recipe import read_text_recipe
from models.text_video.run import train_text_video
from models.text_video.sentences import DIMENSIONS, MULTILINGUAL, sentence_vectors
from models.text_video.serve import open_pair
from models.text_video.student import (
    StudentRecipe,
    StudentTrainer,
    Teacher,
    joined_config,
    joined_network,
    make_lessons,
    student_loss,
)
from models.text_video.student_run import train_student
from models.text_video.student_sentences import Sentences, make_sentences
from models.text_video.train import TextTrainer, trained_network
from models.text_video.validate import text_vectors
from models.training.recipe_file import read_recipe_file
from tests.models.text_video.small_recipe import RECIPE

NETWORK = RECIPE.network
STUDENT = StudentRecipe(
    steps=60,
    rate=5e-3,
    warm_up=5,
    averaging=0.9,
    validate_every=60,
    captions=64,
    text_width=24,
    text_layers=2,
    half=False,  # on processors without bfloat16 it would take long
)


@pytest.fixture(scope="module")
def runs(
    data: Path, kept: Path, taught: TextTrainer, tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """A pair that reads ids and one that reads sentence vectors."""
    folder = tmp_path_factory.mktemp("sentences")
    recipe = replace(RECIPE, network=replace(NETWORK, read_sentences=("use",)))
    train_text_video(recipe, data, folder, features_dir=kept)
    return [taught.folder, folder]


@pytest.fixture(scope="module")
def joined(
    data: Path, kept: Path, runs: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> StudentTrainer:
    folder = tmp_path_factory.mktemp("joined")
    return train_student(STUDENT, runs, data, folder, features_dir=kept)


def sentences_of(pairs: Pairs, teacher: Teacher, recipe: StudentRecipe) -> Sentences:
    """What a run with the recipe teaches."""
    return make_sentences(
        pairs,
        teacher.tokenizer,
        32,
        joined_share=recipe.joined_share,
        spliced_share=recipe.spliced_share,
        keywords_share=recipe.keywords_share,
        misspelt_share=recipe.misspelt_share,
        seed=recipe.seed,
    )


def test_sentences_of_one_meaning_are_alike_in_both_languages(tmp_path: Path) -> None:
    texts = ["two dogs run on the beach", "两只狗在沙滩上奔跑", "a man reads a newspaper"]
    vectors = sentence_vectors(texts, [MULTILINGUAL], tmp_path).astype(np.float32)
    assert vectors.shape == (3, DIMENSIONS[MULTILINGUAL])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-2)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.3
    [file] = tmp_path.iterdir()
    file.write_bytes(file.read_bytes())
    np.testing.assert_array_equal(
        sentence_vectors(texts, [MULTILINGUAL], tmp_path).astype(np.float32), vectors
    )


def test_a_pair_over_sentence_vectors_learns(runs: list[Path]) -> None:
    last = [row for row in Teacher.of(runs[1]).network.named_parameters() if "text" in row[0]]
    assert last and all(torch.isfinite(value).all() for _, value in last)
    curve = torch.load(runs[1] / "checkpoint.pt", weights_only=False)["curve"]
    measured = [row for row in curve if "en r_sum" in row][-1]
    assert measured["en t2v r5"] > 65  # of twelve photos: 42 by chance
    assert measured["zh t2v r5"] > 65


def test_it_is_not_exported(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="can't be exported: teach one with it"):
        export_run(runs[1], tmp_path)


def test_methods_that_look_at_words_are_refused_with_it(tmp_path: Path) -> None:
    reading = replace(NETWORK, read_sentences=("use",))
    Methods({"curriculum": {}, "negative_nce": {}}, reading)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[network]\nread_sentences = ["use"]\n[methods.masked_words]\n')
    with pytest.raises(RecipeError, match="masked_words looks at words"):
        read_text_recipe(recipe)


def test_the_joined_pair_finds_what_it_was_taught(
    data: Path, joined: StudentTrainer, tmp_path: Path
) -> None:
    made = export_run(joined.folder, tmp_path / "pair")
    assert made.text_cosine > 0.9999
    assert made.video_cosine > 0.99
    pair = open_pair(tmp_path / "pair")
    photos = [p for _, p in read_photos(data / "photos/flickr8k-val.tar")]
    videos = np.stack([pair.video.embed(make_views(photo, 64, ("full",))) for photo in photos])
    for language in ("en", "zh"):
        pairs = make_pairs(read_captions(data / "captions/flickr8k-val.jsonl"), [language])
        found = retrieval(videos, pair.text.embed(pairs.texts), pairs.photos)
        assert found.text_to_video.r5 > 65
        assert joined.curve[-1][f"{language} r_sum"] == pytest.approx(found.r_sum, abs=25)


def test_the_student_comes_near_what_its_teachers_say(
    joined: StudentTrainer, runs: list[Path], data: Path, kept: Path
) -> None:
    teachers = [Teacher.of(run) for run in runs]
    pairs = make_pairs(read_captions(data / "captions/flickr8k-train.jsonl"), STUDENT.sources)
    sentences = sentences_of(pairs, teachers[0], STUDENT)
    lessons = make_lessons(teachers, sentences, 32, kept)
    fresh = joined_network(joined_config(teachers, STUDENT), teachers, lessons.turns).eval()
    near, before = (
        float((text_vectors(n, lessons.ids, "cpu") * lessons.targets).sum(axis=1).mean())
        for n in (trained_network(joined.folder), fresh)
    )
    assert near > 0.9
    assert near > before


def test_layers_that_the_first_pair_has_not_change_nothing_at_first(
    runs: list[Path], data: Path, kept: Path
) -> None:
    teachers = [Teacher.of(run) for run in runs]
    pairs = make_pairs(read_captions(data / "captions/flickr8k-val.jsonl"), ["en", "zh"])
    lessons = make_lessons(teachers, sentences_of(pairs, teachers[0], STUDENT), 32, kept)

    def said(layers: int, width: int) -> NDArray[np.float32]:
        config = joined_config(teachers, replace(STUDENT, text_layers=layers, text_width=width))
        network = joined_network(config, teachers, lessons.turns).eval()
        return text_vectors(network, lessons.ids, "cpu")

    shallow = said(1, 16)
    np.testing.assert_allclose(said(3, 16), shallow, atol=1e-6)
    wide = said(2, 24)
    assert (wide * shallow).sum(axis=1).min() > 0.99
    assert not np.array_equal(wide, shallow)


def test_a_student_is_no_smaller_than_who_teaches_it(runs: list[Path]) -> None:
    teachers = [Teacher.of(run) for run in runs]
    with pytest.raises(ModelFileError, match="text_layers = 0, but the first pair has 1"):
        joined_config(teachers, replace(STUDENT, text_layers=0))
    with pytest.raises(ModelFileError, match="text_width = 8, but the first pair has 16"):
        joined_config(teachers, replace(STUDENT, text_width=8))
    with pytest.raises(RecipeError, match="text_width = 17, expected a multiple of 2 heads"):
        joined_config(teachers, replace(STUDENT, text_width=17))


def test_vectors_side_by_side_compare_as_both_pairs_do_together(
    runs: list[Path], data: Path, kept: Path
) -> None:
    teachers = [Teacher.of(run) for run in runs]
    pairs = make_pairs(read_captions(data / "captions/flickr8k-val.jsonl"), ["en", "zh"])
    alone = replace(
        STUDENT, joined_share=0.0, spliced_share=0.0, keywords_share=0.0, misspelt_share=0.0
    )
    sentences = sentences_of(pairs, teachers[0], alone)
    # In all dimensions nothing is lost: 64 axes of two pairs with 32 each.
    lessons = make_lessons(teachers, sentences, 64, kept)
    both = np.zeros((len(pairs), 20), np.float32)
    turned = np.zeros((20, 64), np.float32)
    for teacher, turn in zip(teachers, lessons.turns, strict=True):
        network = teacher.network
        reads = network.config.read_sentences
        told = (
            sentence_vectors(pairs.texts, reads, kept)
            if reads
            else teacher.tokenizer.ids(pairs.texts)
        )
        videos = functional.normalize(torch.randn(20, 32), dim=1).numpy()
        both += text_vectors(network, told, "cpu") @ videos.T / float(network.temperature.detach())
        turned += videos @ turn.T
    seen = lessons.targets @ turned.T  # targets have lost their length
    lengths = (both / seen)[:, :1]
    np.testing.assert_allclose(seen * lengths, both, rtol=1e-2, atol=1e-2 * np.abs(both).max())


def test_the_loss_is_least_at_the_targets() -> None:
    generator = torch.Generator().manual_seed(1)
    targets = functional.normalize(torch.randn(8, 16, generator=generator))
    photos = functional.normalize(torch.randn(20, 16, generator=generator))
    exact = student_loss(targets, targets, photos, STUDENT)
    turned = student_loss(targets.roll(1, 0), targets, photos, STUDENT)
    assert set(exact) == {"distance", "texts", "photos"}
    for name, value in exact.items():
        assert float(value) == pytest.approx(0, abs=1e-5)
        assert float(turned[name]) > 1


def test_a_resumed_run_ends_where_a_whole_one_does(
    runs: list[Path], joined: StudentTrainer, data: Path, kept: Path, tmp_path: Path
) -> None:
    recipe = replace(STUDENT, steps=6, validate_every=3)
    train_student(replace(recipe, steps=3), runs, data, tmp_path / "half", features_dir=kept)
    half = train_student(recipe, runs, data, tmp_path / "half", features_dir=kept, resume=True)
    assert half.step == 6 and joined.step == STUDENT.steps
    assert [row["step"] for row in half.curve if "en r_sum" in row] == [3, 6]


def test_what_cannot_be_joined_is_refused(
    runs: list[Path], joined: StudentTrainer, data: Path, kept: Path, tmp_path: Path
) -> None:
    def join(*folders: Path) -> None:
        train_student(STUDENT, list(folders), data, tmp_path / "out", features_dir=kept)

    with pytest.raises(ModelFileError, match="1 pairs to learn from, expected two or more"):
        join(runs[0])
    with pytest.raises(ModelFileError, match="name one that reads ids first"):
        join(runs[1], runs[0])
    with pytest.raises(ModelFileError, match="pairs of other shapes can't be joined"):
        join(runs[0], joined.folder)
    with pytest.raises(MissingDataError):
        join(runs[0], tmp_path / "nowhere")
    with pytest.raises(RecipeError, match="its shape is its teachers'"):
        train_student(replace(STUDENT, network=NETWORK), runs, data, tmp_path, features_dir=kept)


def test_the_shipped_recipe_is_the_default() -> None:
    shipped = read_recipe_file(Path("configs/training/text-student.toml"), StudentRecipe)
    assert asdict(shipped) == asdict(StudentRecipe())
    twin = read_text_recipe(Path("configs/training/text-video-sentences.toml"))
    first = read_text_recipe(Path("configs/training/text-video.toml"))
    assert twin.network == replace(first.network, read_sentences=tuple(DIMENSIONS))
