"""What a training run leaves in its folder."""

from collections.abc import Collection
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import orjson
import torch
from torch import Tensor, nn

from models.errors import MissingDataError, ModelFileError
from models.training.curve import draw_curve

SHOWN_LETTERS = 200  # of torch's list of what doesn't fit


def read_checkpoint(
    folder: Path, device: str = "cpu", *, keys: Collection[str] = ()
) -> dict[str, Any]:
    """The checkpoint of a run.

    Args:
        folder: of the run.
        device: where its tensors go.
        keys: that every checkpoint of this kind of run has.

    Raises:
        MissingDataError: there is none.
        ModelFileError: it can't be read, or is of another kind of run.
    """
    path = folder / "checkpoint.pt"
    if not path.is_file():
        raise MissingDataError(f"no checkpoint.pt in {folder}: name the folder of a training run")
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, OSError, EOFError, UnpicklingError) as error:
        first = str(error).partition("\n")[0]
        raise ModelFileError(f"{path} is no checkpoint, or damaged: {first}") from error
    if missing := sorted(set(keys) - set(state)):
        raise ModelFileError(f"{path} has no {missing[0]!r}: it is of another kind of run")
    return state


def load_weights(module: nn.Module, weights: dict[str, Tensor], folder: Path) -> None:
    """Take a checkpoint's weights over.

    Args:
        module: of a shape that the recipe gave it.
        weights: of the checkpoint, by name.
        folder: of its run, for the message.

    Raises:
        ModelFileError: they are of another recipe or of another version of the code.
    """
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        said = " ".join(str(error).split())[:SHOWN_LETTERS]
        raise ModelFileError(
            f"{folder}/checkpoint.pt is of another {type(module).__name__}, by its recipe or by an "
            f"older version of the code: {said}"
        ) from error


def write_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write a run's state aside and rename it; its curve, as JSON and as a picture.

    Args:
        folder: of the run.
        state: what `read_checkpoint` gives back; `curve` is one of its keys.
    """
    aside = folder / "checkpoint.pt.part"  # a stop while it is written leaves the last one whole
    torch.save(state, aside)
    aside.rename(folder / "checkpoint.pt")
    (folder / "curve.json").write_bytes(orjson.dumps(state["curve"]))
    draw_curve(state["curve"], folder / "curve.png")
