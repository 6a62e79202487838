"""`samesource train`: learns the networks from videos, each by a recipe."""

import os
from pathlib import Path
from typing import Annotated

import typer

from stream.cli.output import stdout
from stream.cli.train_options import (
    Data,
    Device,
    Encoder,
    Minutes,
    Out,
    Pictures,
    Recipe,
    Resume,
    Scenes,
    Start,
    StartEncoder,
    Threads,
)
from stream.cli.train_text_video import text_student, text_video

train_app = typer.Typer(help="Train the networks. Needs the extra `train`.", no_args_is_help=True)
train_app.command("text-video")(text_video)
train_app.command("text-student")(text_student)
train_app.command("text", hidden=True)(text_video)  # its name of before


@train_app.callback()
def _group() -> None:
    """Keeps each network a subcommand."""


@train_app.command("encoder")
def encoder(
    data: Data,
    out: Out = Path("runs/encoder"),
    recipe: Recipe = Path("configs/training/encoder.toml"),
    start: StartEncoder = None,
    scenes: Scenes = None,
    resume: Resume = False,
    minutes: Minutes = None,
    device: Device = "cpu",
    threads: Threads = 1,
) -> None:
    """Train the frame encoder by self-supervision."""
    # In here, as in every command of this file: the others must start without it.
    import torch

    from models.encoder.recipe import read_recipe, read_scenes
    from models.encoder.train import train_encoder

    torch.set_num_threads(threads)
    trainer = train_encoder(
        read_recipe(recipe),
        data,
        out,
        minutes=minutes,
        resume=resume,
        device=device,
        start=start,
        scenes=None if scenes is None else read_scenes(scenes),
    )
    stdout.print(f"{out}/checkpoint.pt is at step {trainer.step}")


@train_app.command("encoder-hard")
def encoder_hard(
    data: Data,
    out: Out = Path("runs/encoder-hard"),
    recipe: Recipe = Path("configs/training/encoder-hard.toml"),
    start: StartEncoder = None,
    scenes: Scenes = None,
    resume: Resume = False,
    minutes: Minutes = None,
    device: Device = "cpu",
    threads: Threads = 1,
) -> None:
    """Train the frame encoder on harder edits, against all pictures at once. Made for a GPU."""
    import torch

    from models.encoder.recipe import read_hard_recipe, read_scenes
    from models.encoder.train_hard import train_encoder_hard

    torch.set_num_threads(threads)
    trainer = train_encoder_hard(
        read_hard_recipe(recipe),
        data,
        out,
        minutes=minutes,
        resume=resume,
        device=device,
        start=start,
        scenes=None if scenes is None else read_scenes(scenes),
        workers=1 if device == "cpu" else os.cpu_count() or 1,
    )
    stdout.print(f"{out}/checkpoint.pt is at step {trainer.step}")


@train_app.command("detector")
@train_app.command("spd", hidden=True)  # its name of before
def detector(
    data: Data,
    out: Out = Path("runs/detector"),
    recipe: Recipe = Path("configs/training/detector.toml"),
    encoder: Encoder = None,
    pictures: Pictures = None,
    start: Start = None,
    resume: Resume = False,
    minutes: Minutes = None,
    device: Device = "cpu",
    threads: Threads = 1,
) -> None:
    """Train the pattern detector on pairs that are pasted together from clips."""
    import torch

    from models.detector.recipe import read_detector_recipe
    from models.detector.train import train_detector
    from models.encoder.serve import FrameEncoder, default_encoder_path

    torch.set_num_threads(threads)
    trainer = train_detector(
        read_detector_recipe(recipe),
        data,
        out,
        encoder=FrameEncoder(encoder or default_encoder_path()),
        pictures=pictures,
        start=start,
        minutes=minutes,
        resume=resume,
        device=device,
        workers=os.cpu_count() or 1,
    )
    stdout.print(f"{out}/checkpoint.pt is at step {trainer.step}")


@train_app.command("keyframes")
def keyframes(
    data: Data,
    out: Out = Path("runs/keyframes"),
    recipe: Recipe = Path("configs/training/keyframes.toml"),
    encoder: Encoder = None,
    pictures: Pictures = None,
    start: Start = None,
    resume: Resume = False,
    minutes: Minutes = None,
    threads: Threads = 1,
) -> None:
    """Train the key-frame network, without labels, for an encoder."""
    import torch

    from models.encoder.serve import FrameEncoder, default_encoder_path
    from models.keyframes.recipe import read_keyframe_recipe
    from models.keyframes.train import train_keyframes

    torch.set_num_threads(threads)
    trainer = train_keyframes(
        read_keyframe_recipe(recipe),
        data,
        out,
        encoder=FrameEncoder(encoder or default_encoder_path()),
        pictures=pictures,
        start=start,
        minutes=minutes,
        resume=resume,
    )
    stdout.print(f"{out}/checkpoint.pt is at step {trainer.step}")


@train_app.command("joint")
def joint(
    data: Data,
    key_frames: Annotated[Path, typer.Option(help="The folder of a key-frame run.")] = Path(
        "runs/keyframes"
    ),
    detector: Annotated[Path, typer.Option(help="The folder of a detector's run.")] = Path(
        "runs/detector"
    ),
    out: Annotated[Path, typer.Option(help="Both networks' checkpoints go here.")] = Path(
        "runs/joint"
    ),
    recipe: Recipe = Path("configs/training/joint.toml"),
    encoder: Encoder = None,
    pictures: Pictures = None,
    resume: Resume = False,
    minutes: Minutes = None,
    threads: Threads = 1,
) -> None:
    """Train key-frame extractor and pattern detector together, from a run of each."""
    import torch

    from models.encoder.serve import FrameEncoder, default_encoder_path
    from models.joint.recipe import read_joint_recipe
    from models.joint.train import train_joint

    torch.set_num_threads(threads)
    trainer = train_joint(
        read_joint_recipe(recipe),
        data,
        out,
        key_frames=key_frames,
        detector=detector,
        encoder=FrameEncoder(encoder or default_encoder_path()),
        pictures=pictures,
        minutes=minutes,
        resume=resume,
    )
    stdout.print(f"{out}/keyframes and {out}/detector are at step {trainer.step}")
