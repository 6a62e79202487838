"""`samesource train`: learns the networks from videos, each by a recipe."""

from pathlib import Path
from typing import Annotated

import typer

from stream.cli.console import stdout

train_app = typer.Typer(help="Train the networks. Needs the extra `train`.", no_args_is_help=True)


@train_app.callback()
def _group() -> None:
    """Keeps each network a subcommand."""


@train_app.command("encoder")
def encoder(
    data: Annotated[Path, typer.Option(help="Folder with clips/*.mp4 and, if any, photos/*.tar.")],
    out: Annotated[Path, typer.Option(help="Checkpoints and the curve go here.")] = Path(
        "runs/encoder"
    ),
    recipe: Annotated[Path, typer.Option(help="What to train and how (TOML).")] = Path(
        "configs/training/encoder.toml"
    ),
    start: Annotated[
        Path | None,
        typer.Option(help="An exported encoder to go on from; ImageNet's weights without."),
    ] = None,
    scenes: Annotated[
        Path | None, typer.Option(help="Each line names the clips of one scene.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False,
    minutes: Annotated[float | None, typer.Option(help="Stop after so long.")] = None,
    device: Annotated[str, typer.Option(help="A torch device.")] = "cpu",
    threads: Annotated[int, typer.Option(help="More only on cores that are idle.")] = 1,
) -> None:
    """Train the frame encoder by self-supervision."""
    import torch

    from models.training.encoder import read_recipe, read_scenes, train_encoder

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
