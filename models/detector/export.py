"""Writes a trained pattern detector as ONNX and checks it against torch.

`samesource export detector` does it for a training folder.
"""

import hashlib
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from models.detector.batches import padded
from models.detector.boxes import Run
from models.detector.calibrate import calibrate
from models.detector.grid import ALIGN, CHANNELS, lay_out
from models.detector.network import DetectorConfig, PatternNetwork, Scores, torch_run
from models.detector.recipe import DetectorRecipe
from models.detector.validate import held_out_figures, split_pool, validation_pairs
from models.encoder.onnx_file import OPSET, store_half
from models.encoder.serve import FrameEncoder
from models.errors import MissingDataError, ModelError
from models.runtime import open_session
from models.training.checkpoint import load_weights, read_checkpoint
from models.training.descriptor_pool import load_pool
from models.training.recipe_file import fill

CALIBRATION_PAIRS = 600  # five weights are fitted to their spans; the model card's F1 is on them
PARITY_BOUND = 2e-2  # of a score, set by hand: float16 weights stray, a wrong layer strays further


def export_detector(
    network: PatternNetwork,
    path: Path,
    calibration: NDArray[np.float64],
    sample: NDArray[np.float32],
    *,
    encoder_version: str,
) -> float:
    """Write ONNX, its weights stored as float16, and compare it with torch.

    Args:
        network: in the state to be shipped.
        path: the file to write.
        calibration: weights of the score's logistic regression.
        sample: (N, 8, H, W) float32 pictures to compare on, N at least 2.
        encoder_version: whose descriptors it learned from.

    Returns:
        The largest difference of a score, or of a distance relative to it.

    Raises:
        ModelError: the difference is above the bound.
    """
    scores = Scores(network).eval()
    sides = {2: ALIGN * torch.export.Dim("h", max=64), 3: ALIGN * torch.export.Dim("w", max=64)}
    program = torch.onnx.export(
        scores,
        (torch.zeros(2, CHANNELS, 2 * ALIGN, 3 * ALIGN),),
        input_names=["picture"],
        output_names=["what", "distances"],
        dynamic_shapes=({0: torch.export.Dim("n", min=1, max=4096), **sides},),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    for node in model.graph.node:  # traces of the source code, of no use in a weights file
        del node.metadata_props[:]
        node.ClearField("doc_string")
    store_half(model)
    _note(model, calibration, encoder_version)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return _difference(torch_run(network), path, sample)


def export_run(run: Path, path: Path, *, encoder: FrameEncoder, pictures: Path) -> dict[str, float]:
    """Calibrate a run's scores on held-out footage, and write it as ONNX.

    Args:
        run: a training folder.
        path: the file to write.
        encoder: makes the descriptors.
        pictures: the footage of the run.

    Returns:
        Figures on the held-out pairs, and `difference`, the largest one to torch.

    Raises:
        MissingDataError: no checkpoint or too little footage.
        ModelFileError: it is of another kind of run, or damaged.
        ModelError: its spans can't be calibrated, or ONNX differs from torch by more than the
            bound.
    """
    state = read_checkpoint(run, keys=("mean", "recipe"))
    table, checkpoint = state["recipe"]["network"], run / "checkpoint.pt"
    network = PatternNetwork(fill(DetectorConfig, table, checkpoint, "network."))
    load_weights(network, state["mean"], run)
    network.eval()
    held = split_pool(load_pool(pictures, encoder))[1]
    recipe = DetectorRecipe(validation_pairs=CALIBRATION_PAIRS)
    try:
        pairs = validation_pairs(held, recipe)
    except ValueError as error:
        raise MissingDataError(
            f"no pairs can be made of the held-out clips in {pictures}: {error}"
        ) from error
    figures = held_out_figures(network, pairs)
    weights = calibrate(torch_run(network), pairs)
    sample = padded([lay_out(pair.similarity) for pair in pairs[:8]])
    difference = export_detector(
        network, path, weights, sample, encoder_version=encoder.model_version
    )
    return {**figures, "difference": difference}


def recalibrated(path: Path, calibration: NDArray[np.float64]) -> str:
    """Write another calibration into a file.

    Args:
        path: an exported detector.
        calibration: as `export_detector` takes it.

    Returns:
        The file's new version.
    """
    model = onnx.load(str(path))
    known = {entry.key: entry.value for entry in model.metadata_props}
    version = _note(model, calibration, known["encoder_version"])
    aside = path.with_suffix(".part")
    onnx.save(model, str(aside))
    aside.rename(path)  # at once: a worker that starts meanwhile reads the old file or the new one
    return version


def _note(model: onnx.ModelProto, calibration: NDArray[np.float64], encoder_version: str) -> str:
    """Name the file by its weights and its calibration: another of either is another version."""
    written = " ".join(f"{value:.6g}" for value in calibration)
    parts = [tensor.raw_data for tensor in model.graph.initializer]
    version = f"spd-{hashlib.sha256(b''.join([*parts, written.encode()])).hexdigest()[:8]}"
    del model.metadata_props[:]
    onnx.helper.set_model_props(
        model,
        {
            "model_version": version,
            "calibration": written,
            "encoder_version": encoder_version,
        },
    )
    return version


def _difference(run: Run, path: Path, sample: NDArray[np.float32]) -> float:
    what, distances = run(sample)
    ours = open_session(path).run(None, {"picture": sample})
    # Distances are exponentials: a long one strays in proportion, so compare it in proportion.
    relative = np.abs(ours[1] - distances) / (1 + distances)
    difference = float(max(np.abs(ours[0] - what).max(), relative.max()))
    if difference > PARITY_BOUND:
        raise ModelError(f"ONNX differs from torch by {difference:.2g}, more than {PARITY_BOUND}")
    return difference
