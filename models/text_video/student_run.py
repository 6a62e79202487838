"""A run that joins trained pairs, from their folders and the data that they learned from on."""

from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console

from models.errors import ModelFileError, RecipeError
from models.text_video.features import TRAINING_VIEWS
from models.text_video.pairs import make_pairs
from models.text_video.run import FEATURES, HELD_VIEWS, caption_reader, load_split
from models.text_video.shape import TextVideoConfig
from models.text_video.student import (
    StudentRecipe,
    StudentTrainer,
    Teacher,
    joined_config,
    joined_network,
    make_lessons,
)
from models.text_video.student_sentences import make_sentences
from models.text_video.trunk import load_trunk
from models.text_video.validate import make_check, video_vectors


def train_student(
    recipe: StudentRecipe,
    runs: list[Path],
    data_dir: Path,
    out_dir: Path,
    *,
    features_dir: Path = FEATURES,
    minutes: float | None = None,
    resume: bool = False,
    device: str = "cpu",
    threads: int = 1,
) -> StudentTrainer:
    """Join the pairs of some training folders, and teach one text tower what theirs say.

    Args:
        recipe: how.
        runs: training folders, the first one of a pair that reads ids.
        data_dir: as for `models.text_video.run.train_text_video`.
        out_dir: for the tokenizer, checkpoints and the curve.
        features_dir: what the trunk sees, and sentence vectors, are kept here.
        minutes: stop after so long; the recipe's last step if None.
        resume: go on from the checkpoint in `out_dir`.
        device: a torch device.
        threads: of the trunk.

    Returns:
        The trainer in its last state, saved.

    Raises:
        MissingDataError: photos, captions or a run aren't there, or nothing to resume.
        BrokenDataError: photos or captions can't be read.
        ModelFileError: the pairs can't be joined.
        RecipeError: the recipe names a network.
    """
    if recipe.network != TextVideoConfig():
        raise RecipeError(
            "[network] in a student's recipe: its shape is its teachers', leave it out"
        )
    console = Console()
    teachers = [Teacher.of(run) for run in runs]
    config = joined_config(teachers, recipe)
    trunk = load_trunk(config.trunk)
    if {teacher.channels for teacher in teachers} != {trunk.channels}:
        raise ModelFileError(f"pairs that learned on another trunk than {config.trunk}")
    train, held = (
        load_split(
            data_dir, name, trunk, features_dir, views=views, threads=threads, console=console
        )
        for name, views in (("train", TRAINING_VIEWS), ("val", HELD_VIEWS))
    )
    tokenizer = teachers[0].tokenizer
    sentences = make_sentences(
        make_pairs(train.photos, recipe.sources),
        tokenizer,
        config.max_tokens,
        joined_share=recipe.joined_share,
        spliced_share=recipe.spliced_share,
        keywords_share=recipe.keywords_share,
        misspelt_share=recipe.misspelt_share,
        seed=recipe.seed,
    )
    console.print(f"{len(teachers)} pairs teach {len(sentences.read)} sentences")
    lessons = make_lessons(teachers, sentences, config.dimension, features_dir)
    torch.manual_seed(recipe.seed)
    trainer = StudentTrainer(
        replace(recipe, network=config),
        joined_network(config, teachers, lessons.turns),
        trunk.channels,
        out_dir,
        device,
    )
    if resume:
        trainer.resume()
    tokenizer.save(out_dir / "tokenizer.json")
    check = make_check(held.features, held.photos, caption_reader(config, tokenizer, features_dir))
    trainer.run(lessons, video_vectors(trainer.mean, train.features, device), check, minutes)
    return trainer
