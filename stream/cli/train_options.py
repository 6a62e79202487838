"""Options that the training commands share."""

from pathlib import Path
from typing import Annotated

import typer


def _usable(device: str) -> str:
    """The device, if torch can put something there.

    Raises:
        typer.BadParameter: torch knows no such device, or it isn't there.
    """
    if device != "cpu":
        import torch

        try:
            # torch reads the name of a device that isn't there without a word.
            torch.empty(1, device=device)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise typer.BadParameter(str(error).partition("\n")[0]) from error
    return device


Data = Annotated[Path, typer.Option(help="Folder with clips/*.mp4 and, if any, photos/*.tar.")]
Out = Annotated[Path, typer.Option(help="Checkpoints and the curve go here.")]
Recipe = Annotated[Path, typer.Option(help="What to train and how (TOML).")]
Encoder = Annotated[
    Path | None, typer.Option(help="Makes the descriptors; the shipped one without.")
]
Pictures = Annotated[Path | None, typer.Option(help="Decoded footage, made where it is missing.")]
Start = Annotated[Path | None, typer.Option(help="The folder of an earlier run to begin with.")]
StartEncoder = Annotated[
    Path | None, typer.Option(help="An exported encoder to go on from; ImageNet's weights without.")
]
Scenes = Annotated[Path | None, typer.Option(help="Each line names the clips of one scene.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")]
Minutes = Annotated[float | None, typer.Option(min=0.0, help="Stop after so long.")]
Device = Annotated[str, typer.Option(help="A torch device.", callback=_usable)]
Threads = Annotated[int, typer.Option(min=1, help="More only on cores that are idle.")]
