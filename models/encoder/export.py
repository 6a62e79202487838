"""Writes a trained encoder as ONNX, whitened, and checks it against torch.

`python -m models.encoder.export --run DIR --data DIR` writes `models/weights/encoder.onnx`.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from rich.console import Console

from models.encode import FrameEncoder, default_encoder_path
from models.encoder.network import FrameNetwork
from models.encoder.onnx_file import store_half, to_onnx
from models.errors import ModelError
from models.frames import prepare
from models.training.encoder import EncoderTrainer, is_held_out, read_recipe
from models.training.pictures import load_clips, load_photos
from models.training.validate import make_task, retrieval

PARITY_BOUND = 2e-3
SMALLEST_VARIANCE = 1e-6  # of the largest: directions with less are noise


def fold_whitening(network: FrameNetwork, frames: NDArray[np.uint8], strength: float = 0.5) -> None:
    """Fold PCA whitening of the descriptors into the head.

    Jégou and Chum, "Negative evidences and co-occurrences in image retrieval", ECCV 2012: centre,
    rotate, divide by a power of the standard deviation.

    Args:
        network: changed in place.
        frames: (N, S, S, 3) uint8, what the statistics are taken of; N well above D.
        strength: 0 only centres, 1 whitens fully.
    """
    network.eval()
    with torch.inference_mode():
        parts = [
            network.head(
                network.upper(network.lower(torch.from_numpy(frames[at : at + 128]), 0), 0)
            )
            for at in range(0, len(frames), 128)
        ]
    rows = torch.cat(parts).to(torch.float64)  # (N, D)
    scale = rows.norm(dim=1).mean()
    rows = rows / scale
    values, vectors = torch.linalg.eigh(torch.cov(rows.T))
    values = values.clamp(min=SMALLEST_VARIANCE * float(values[-1]))
    turn = (vectors / values.pow(strength / 2)).T  # (D, D)
    head = network.head
    with torch.no_grad():
        head.bias.copy_(turn @ (head.bias.double() / scale - rows.mean(dim=0)))
        head.weight.copy_(turn @ (head.weight.double() / scale))


def export(network: FrameNetwork, path: Path, sample: NDArray[np.uint8]) -> float:
    """Write ONNX, its weights stored as float16, and compare it with torch.

    Args:
        network: in the state to be shipped.
        path: the file to write.
        sample: (N, S, S, 3) uint8 frames to compare on.

    Returns:
        The largest absolute difference of a descriptor's value.

    Raises:
        ModelError: the difference is above the bound.
    """
    network.eval()
    model = to_onnx(network, "descriptors", sample[:2])
    store_half(model)
    weights = b"".join(t.raw_data for t in model.graph.initializer)
    del model.metadata_props[:]
    onnx.helper.set_model_props(
        model,
        {
            "model_version": f"encoder-{hashlib.sha256(weights).hexdigest()[:8]}",
            "input_size": str(network.config.input_size),
            "dimension": str(network.config.dimension),
        },
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    with torch.inference_mode():
        wanted = network(torch.from_numpy(sample)).numpy()
    difference = float(np.abs(FrameEncoder(path).encode(sample) - wanted).max())
    if difference > PARITY_BOUND:
        raise ModelError(f"ONNX differs from torch by {difference:.2g}, more than {PARITY_BOUND}")
    return difference


def main() -> None:
    """Read the arguments, export the run's checkpoint, print what it is worth."""
    parser = argparse.ArgumentParser(description="Export a trained encoder.")
    parser.add_argument("--run", type=Path, help="the training folder; ImageNet's trunk without")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=default_encoder_path())
    parser.add_argument("--recipe", type=Path, default=Path("configs/training/encoder.toml"))
    parser.add_argument("--whitening", type=float, default=0.5)
    arguments = parser.parse_args()
    console = Console()
    recipe = read_recipe(arguments.recipe)
    trainer = EncoderTrainer(recipe, arguments.run or Path("runs/export"))
    if arguments.run:
        trainer.resume()
    size = recipe.network.input_size
    clips, photos = load_clips(arguments.data), load_photos(arguments.data)
    task = make_task(
        [clip for clip in clips if is_held_out(clip.name)],
        photos[:800],
        size=size,
        query_every=1,
        looks=3,
    )
    console.print("trained", retrieval(task, trainer.encode))
    learned = [clip for clip in clips if not is_held_out(clip.name)]
    frames = [picture for clip in learned for picture in clip.pictures][::3]
    frames += [photo.pictures[0] for photo in photos[800:4000:2]]
    fold_whitening(
        trainer.network, np.stack([prepare(f, size) for f in frames]), arguments.whitening
    )
    console.print("whitened", retrieval(task, trainer.encode))
    difference = export(trainer.network, arguments.out, task.queries[:64])
    console.print(f"{arguments.out}: largest difference to torch {difference:.2g}")


if __name__ == "__main__":
    main()
