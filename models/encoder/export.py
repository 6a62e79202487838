"""Writes a trained encoder as ONNX, whitened and with score biases, and checks it against torch.

`samesource export encoder --help` says how.
"""

import hashlib
from dataclasses import astuple
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from rich.console import Console

from models.encoder.background import (
    BETAS,
    NEIGHBOURS,
    background_pictures,
    best_biases,
    bias_figures,
)
from models.encoder.frozen import frozen_features
from models.encoder.network import FrameNetwork, load_imagenet_trunk
from models.encoder.onnx_file import store_half, to_onnx
from models.encoder.recipe import EncoderRecipe
from models.encoder.score_biases import ScoredNetwork
from models.encoder.serve import FrameEncoder
from models.encoder.train import is_held_out
from models.encoder.validate import DISTRACTORS, Retrieval, make_task, rank, without_biases
from models.encoder.warm_start import load_exported
from models.encoder.whitening import fold_whitening
from models.errors import MissingDataError, ModelError
from models.training.checkpoint import load_weights, read_checkpoint
from models.training.pictures import load_clips, load_photos

PARITY_BOUND = 2e-3


def export(network: FrameNetwork | ScoredNetwork, path: Path, sample: NDArray[np.uint8]) -> float:
    """Write ONNX, its weights stored as float16, and compare it with torch.

    Args:
        network: in the state to be shipped, with or without score biases.
        path: the file to write.
        sample: (N, S, S, 3) uint8 frames to compare on.

    Returns:
        The largest absolute difference of a descriptor's value or of a score bias.

    Raises:
        ModelError: the difference is above the bound.
    """
    network.eval()
    scored = network if isinstance(network, ScoredNetwork) else None
    config = network.network.config if isinstance(network, ScoredNetwork) else network.config
    outputs = ["descriptors"] if scored is None else ["descriptors", "score_offsets"]
    model = to_onnx(network, outputs, sample[:2])
    store_half(model)
    properties = {"input_size": str(config.input_size), "dimension": str(config.dimension)}
    if scored is not None:
        properties["score_neighbours"] = str(scored.neighbours)
        properties["score_beta"] = str(scored.beta)
        properties["score_background"] = str(len(scored.background))
    weights = b"".join(t.raw_data for t in model.graph.initializer)
    named = hashlib.sha256(weights + repr(sorted(properties.items())).encode())
    properties["model_version"] = f"encoder-{named.hexdigest()[:8]}"
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, properties)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    with torch.inference_mode():
        found = network(torch.from_numpy(sample))
    wanted = [found] if scored is None else list(found)
    made = FrameEncoder(path).describe(sample)
    difference = max(
        float(np.abs(ours - theirs.numpy()).max())
        for ours, theirs in zip((made.descriptors, made.score_biases), wanted, strict=False)
    )
    if difference > PARITY_BOUND:
        raise ModelError(f"ONNX differs from torch by {difference:.2g}, more than {PARITY_BOUND}")
    return difference


def export_run(
    data: Path,
    out: Path,
    *,
    recipe: EncoderRecipe,
    run: Path | None,
    start: Path | None,
    whitening: float,
    neighbours: int | None,
    beta: float | None,
    console: Console,
) -> float:
    """Export a run's checkpoint, or an exported encoder again, and measure it on held-out clips.

    Args:
        data: folder with `clips/` and `photos/`.
        out: the file to write.
        recipe: what the run was trained with.
        run: the training folder; without it and `start`, the trunk is as ImageNet made it.
        start: an exported encoder.
        whitening: strength of what is folded into the head; 0 leaves the head as it is.
        neighbours: k of the score biases; None tries some on held-out clips.
        beta: weight of the score biases; None tries some; 0 writes a file without.
        console: the figures go here.

    Returns:
        The largest difference of the file's outputs from torch's.

    Raises:
        MissingDataError: no clips, or none that is held out.
        ModelError: the file strays from torch.
    """
    network = _trained(recipe, run, start)
    size = recipe.network.input_size
    clips, photos = load_clips(data), load_photos(data)
    held = [clip for clip in clips if is_held_out(clip.name)]
    if not held:
        raise MissingDataError(
            f"none of the {len(clips)} clips in {data} is held out, so there is nothing to measure "
            "on: one in ten is, by the hash of its name; add clips"
        )
    learned = [clip for clip in clips if not is_held_out(clip.name)]
    task = make_task(held, photos[:DISTRACTORS] or learned, size=size, query_every=1, looks=3)
    pictures = background_pictures(learned, photos[DISTRACTORS:], size=size)
    library, queries, background = (
        frozen_features(network, frames) for frames in (task.library, task.queries, pictures)
    )
    if whitening > 0:
        fold_whitening(network.head, background, whitening)
    stored, asked = (_described(network, features) for features in (library, queries))
    plain = rank(task, without_biases(stored), without_biases(asked))
    console.print(f"without score biases {_shown(plain)}")
    sample = task.queries[:64]
    if beta == 0:
        difference = export(network, out, sample)
    else:
        against = _described(network, background)
        tried = bias_figures(
            task,
            stored,
            asked,
            against,
            neighbours=NEIGHBOURS if neighbours is None else (neighbours,),
            betas=BETAS if beta is None else (beta,),
        )
        for (k, weight), figures in tried.items():
            console.print(f"k {k} beta {weight} {_shown(figures)}")
        difference = export(ScoredNetwork(network, against, *best_biases(tried)), out, sample)
    version = FrameEncoder(out).model_version
    console.print(f"{out} is {version}; largest difference to torch {difference:.2g}")
    return difference


def _trained(recipe: EncoderRecipe, run: Path | None, start: Path | None) -> FrameNetwork:
    torch.manual_seed(recipe.seed)
    network = FrameNetwork(recipe.network)
    if run is not None:
        state = read_checkpoint(run, keys=("network",))
        load_weights(network, state["network"], run)
    elif start is not None:
        load_exported(network, start)
    elif recipe.imagenet:
        load_imagenet_trunk(network)
    return network.eval()


def _described(network: FrameNetwork, features: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.inference_mode():
        return np.asarray(network.describe(torch.from_numpy(features)).numpy())


def _shown(figures: Retrieval) -> str:
    names = ("recall@1", "µAP", "recall@p90", "wrong 99 %", "right 50 %")
    return ", ".join(f"{n} {v:.4f}" for n, v in zip(names, astuple(figures), strict=True))
