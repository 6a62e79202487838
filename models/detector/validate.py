"""Held-out figures of the pattern detector, and its export: `samesource export spd`."""

from pathlib import Path

import numpy as np

from models.aligners.base import Segment
from models.detector.batches import padded
from models.detector.boxes import find_segments
from models.detector.calibrate import calibrate
from models.detector.export import export_detector, torch_run
from models.detector.grid import lay_out
from models.detector.network import DetectorConfig, PatternNetwork
from models.detector.pasted_pairs import PairMaker, PastedPair
from models.detector.recipe import DetectorRecipe, with_length
from models.detector.refine import Refiner
from models.encoder.serve import FrameEncoder
from models.metrics import score_pairs
from models.training.checkpoint import load_weights, read_checkpoint
from models.training.descriptor_pool import Footage, load_pool, part_of
from models.training.recipe_file import fill

HELD_OUT_FOLD, FOLDS = 0, 10
HELD_OUT_SEED = 1_000_003
CALIBRATION_PAIRS = 600


def split_pool(pool: list[Footage]) -> tuple[list[Footage], list[Footage]]:
    """Footage to learn from, and footage that is held out, one clip in ten."""
    held = [footage for footage in pool if part_of(footage.name, FOLDS) == HELD_OUT_FOLD]
    return [footage for footage in pool if part_of(footage.name, FOLDS) != HELD_OUT_FOLD], held


def validation_pairs(held: list[Footage], recipe: DetectorRecipe) -> list[PastedPair]:
    """The same pairs of held-out footage for every run."""
    made = with_length(recipe.made, 94.0)
    maker = PairMaker(held, made, HELD_OUT_SEED)
    return [maker.pair(index) for index in range(recipe.validation_pairs)]


def held_out_figures(network: PatternNetwork, check: list[PastedPair]) -> dict[str, float]:
    """Precision, recall and F1 by the VCSL protocol on made pairs, at the best least score."""
    run = torch_run(network)
    found: dict[str, list[Segment]] = {}
    for number, pair in enumerate(check):
        refiner = Refiner(pair.similarity)
        found[str(number)] = [refiner.refine(s) for s in find_segments(pair.similarity, run)]
    truth = {str(number): pair.boxes for number, pair in enumerate(check)}
    best = {"f1": 0.0, "precision": 0.0, "recall": 0.0, "least_score": 0.0}
    for least in np.arange(0.1, 0.9, 0.1).tolist():
        boxes = {
            pair: [box_of(s) for s in segments if s.score >= least]
            for pair, segments in found.items()
        }
        score = score_pairs(boxes, truth, list(truth))
        if score.f1 > best["f1"]:
            best = {
                "f1": score.f1,
                "precision": score.precision,
                "recall": score.recall,
                "least_score": least,
            }
    return best


def box_of(segment: Segment) -> list[float]:
    """[query start, reference start, query end, reference end] in seconds."""
    return [
        segment.query_start_seconds,
        segment.reference_start_seconds,
        segment.query_end_seconds,
        segment.reference_end_seconds,
    ]


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
        MissingDataError: no checkpoint or no footage.
        ModelFileError: it is of another kind of run, or damaged.
        ModelError: ONNX differs from torch by more than the bound.
    """
    state = read_checkpoint(run, keys=("mean", "recipe"))
    table, checkpoint = state["recipe"]["network"], run / "checkpoint.pt"
    network = PatternNetwork(fill(DetectorConfig, table, checkpoint, "network."))
    load_weights(network, state["mean"], run)
    network.eval()
    held = split_pool(load_pool(pictures, encoder))[1]
    recipe = DetectorRecipe(validation_pairs=CALIBRATION_PAIRS)
    pairs = validation_pairs(held, recipe)
    figures = held_out_figures(network, pairs)
    weights = calibrate(torch_run(network), pairs)
    sample = padded([lay_out(pair.similarity) for pair in pairs[:8]])
    difference = export_detector(
        network, path, weights, sample, encoder_version=encoder.model_version
    )
    return {**figures, "difference": difference}
