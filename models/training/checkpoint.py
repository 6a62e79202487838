"""Reads what a training run left; serves resuming, starting from another run, and export."""

from pathlib import Path
from typing import Any

import torch

from models.errors import MissingDataError


def read_checkpoint(folder: Path, device: str = "cpu") -> dict[str, Any]:
    """The checkpoint of a run.

    Args:
        folder: of the run.
        device: where its tensors go.

    Raises:
        MissingDataError: there is none.
    """
    path = folder / "checkpoint.pt"
    if not path.is_file():
        raise MissingDataError(f"no checkpoint.pt in {folder}: name the folder of a training run")
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state
