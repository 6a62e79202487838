"""`samesource train text-video`: learns the text-video encoder from photos and their captions."""

from pathlib import Path
from typing import Annotated

import typer

from stream.cli.output import stdout
from stream.cli.train_options import Device, Minutes, Recipe, Resume, Start, Threads

Captioned = Annotated[
    Path, typer.Argument(help="Folder with photos/ and captions/ of flickr8k-train and -val.")
]
Features = Annotated[
    Path, typer.Option(help="What the frozen trunk sees is kept here, made where it is missing.")
]


def text_video(
    data: Captioned,
    out: Annotated[Path, typer.Option(help="Tokenizer, checkpoints and the curve go here.")] = Path(
        "runs/text-video"
    ),
    recipe: Recipe = Path("configs/training/text-video.toml"),
    features: Features = Path("runs/text-video-features"),
    start: Start = None,
    keep: Annotated[
        Path | None,
        typer.Option(help="Which pairs are learned from: a .npy of booleans (weak-pair filter)."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**32 - 1, help="Instead of the recipe's.")
    ] = None,
    resume: Resume = False,
    minutes: Minutes = None,
    device: Device = "cpu",
    threads: Threads = 1,
) -> None:
    """Train the text-video encoder: a tower for captions, one for photos and clips."""
    from dataclasses import replace

    import torch

    from models.text_video.recipe import read_text_recipe
    from models.text_video.run import read_keep, train_text_video

    torch.set_num_threads(threads)
    read = read_text_recipe(recipe)
    trainer = train_text_video(
        read if seed is None else replace(read, seed=seed),
        data,
        out,
        features_dir=features,
        start=start,
        keep=None if keep is None else read_keep(keep),
        minutes=minutes,
        resume=resume,
        device=device,
        threads=threads,
    )
    stdout.print(f"{out}/checkpoint.pt is at step {trainer.step}")


def text_student(
    data: Captioned,
    runs: Annotated[
        list[Path],
        typer.Argument(help="Folders of `train text-video`, two or more; the first reads ids."),
    ],
    out: Annotated[Path, typer.Option(help="Tokenizer, checkpoints and the curve go here.")] = Path(
        "runs/text-student"
    ),
    recipe: Recipe = Path("configs/training/text-student.toml"),
    features: Features = Path("runs/text-video-features"),
    resume: Resume = False,
    minutes: Minutes = None,
    device: Device = "cpu",
    threads: Threads = 1,
) -> None:
    """Join text-video pairs: their video towers, and one for words that learns from all."""
    import torch

    from models.text_video.student import StudentRecipe
    from models.text_video.student_run import train_student
    from models.training.recipe_file import read_recipe_file

    torch.set_num_threads(threads)
    trainer = train_student(
        read_recipe_file(recipe, StudentRecipe),
        runs,
        data,
        out,
        features_dir=features,
        minutes=minutes,
        resume=resume,
        device=device,
        threads=threads,
    )
    stdout.print(f"{out}/checkpoint.pt is at step {trainer.step}")
