"""Held-out figures of the pattern detector, for its training and its export."""

import numpy as np

from models.aligners.base import Segment
from models.detector.boxes import find_segments
from models.detector.lines import LineFinder
from models.detector.network import PatternNetwork, torch_run
from models.detector.pasted_pairs import PairMaker, PastedPair
from models.detector.recipe import DetectorRecipe, with_length
from models.detector.refine import Refiner
from models.metrics import score_pairs
from models.training.descriptor_pool import Footage, part_of

HELD_OUT_FOLD, FOLDS = 0, 10  # the very clips that the encoder's training holds out
HELD_OUT_SEED = 1_000_003  # no run is likely to train with it; every run is checked on its pairs


def split_pool(pool: list[Footage]) -> tuple[list[Footage], list[Footage]]:
    """Footage to learn from, and footage that is held out, one clip in ten."""
    held = [footage for footage in pool if part_of(footage.group, FOLDS) == HELD_OUT_FOLD]
    return [footage for footage in pool if part_of(footage.group, FOLDS) != HELD_OUT_FOLD], held


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
        refiner = Refiner(LineFinder(pair.similarity))
        found[str(number)] = [refiner.refine(s) for s in find_segments(pair.similarity, run)]
    truth = {str(number): pair.boxes for number, pair in enumerate(check)}
    best = {"f1": 0.0, "precision": 0.0, "recall": 0.0, "min_score": 0.0}
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
                "min_score": least,
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
