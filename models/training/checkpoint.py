"""What a training run leaves in its folder, and the learning rate that all runs share."""

import math
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import orjson
import torch

from models.errors import MissingDataError, ModelFileError
from models.training.curve import draw_curve


def read_checkpoint(folder: Path, device: str = "cpu") -> dict[str, Any]:
    """The checkpoint of a run.

    Args:
        folder: of the run.
        device: where its tensors go.

    Raises:
        MissingDataError: there is none.
        ModelFileError: it can't be read.
    """
    path = folder / "checkpoint.pt"
    if not path.is_file():
        raise MissingDataError(f"no checkpoint.pt in {folder}: name the folder of a training run")
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, OSError, EOFError, UnpicklingError) as error:
        first = str(error).partition("\n")[0]
        raise ModelFileError(f"{path} is no checkpoint, or damaged: {first}") from error
    return state


def write_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write a run's state aside and rename it; its curve, as JSON and as a picture.

    Args:
        folder: of the run.
        state: what `read_checkpoint` gives back; `curve` is one of its keys.
    """
    aside = folder / "checkpoint.pt.part"
    torch.save(state, aside)
    aside.rename(folder / "checkpoint.pt")
    (folder / "curve.json").write_bytes(orjson.dumps(state["curve"]))
    draw_curve(state["curve"], folder / "curve.png")


def rate_factor(step: int, steps: int, warm_up: int) -> float:
    """What the learning rate is multiplied with: up in a line, then down half a cosine, to 0."""
    done = step / max(steps, 1)
    return min(1.0, (step + 1) / warm_up) * 0.5 * (1 + math.cos(math.pi * done))
