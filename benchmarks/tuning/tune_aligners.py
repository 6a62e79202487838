"""Chooses the settings of the aligners on labelled sets that nobody is judged by.

    python -m benchmarks.tuning.tune_aligners SET... [--aligner NAME]... [--trials 20] [--json FILE]

Random settings, then one step at a time from the best of them, by the VCSL F1 over the candidates
and the labelled pairs, at the best least score. Make the sets with `copies/made_copies.py`.
"""

import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Annotated, Any

import numpy as np
import orjson
import typer
from numpy.typing import NDArray
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from benchmarks.copies.rows import Sampling, pdq_sampling, search_row, uniform
from benchmarks.copies.set_frames import SetFrames, read_set_frames
from benchmarks.library.set_search import Aligned, Searched, align_set, right_boxes
from models.aligners.base import Aligner
from models.aligners.dynamic_programming import (
    DynamicProgrammingAligner,
    DynamicProgrammingSettings,
)
from models.aligners.dynamic_time_warping import (
    DynamicTimeWarpingAligner,
    DynamicTimeWarpingSettings,
)
from models.aligners.hough_voting import HoughVotingAligner, HoughVotingSettings
from models.aligners.temporal_network import TemporalNetworkAligner, TemporalNetworkSettings
from models.metrics import ScoredBox, score_pairs
from stream.settings import load_settings

MIN_SCORES = tuple(twentieth / 20 for twentieth in range(1, 20))  # the grid of `min_scores`
# Of a box with a label, on both axes, for it to be a right one; as in `calibrate`.
RIGHT_OVERLAP = 0.3
PLAIN = (0.0, 0.0, 1.0)  # the score's logit is then the similarity
NEWTON_STEPS = 20
# Pull of the score's weights towards 0, where a set has few wrong boxes and they would run away;
# the constant is left free. Set by hand.
RIDGE = 0.05

Values = dict[str, Any]
Grid = dict[str, Sequence[Any]]
ONE_PACE, PACES = (1.0,), (1.0, 0.5, 0.75, 1.25, 1.5, 2.0)


@dataclass(frozen=True)
class Space:
    """What is tried of one aligner; `sure` is fitted, not tried."""

    make: Callable[[Values], Aligner]
    defaults: BaseModel
    grid: Grid
    fitted: bool = True

    @property
    def start(self) -> Values:
        """The point of the grid that is nearest to the defaults."""
        return {
            name: min(values, key=lambda value: _distance(value, getattr(self.defaults, name)))
            for name, values in self.grid.items()
        }


def _distance(value: Any, wanted: Any) -> float:
    if isinstance(value, tuple):
        return float(value != wanted)
    return abs(float(value) - float(wanted))


# Grids of the search, from where nearly everything is a match to where hardly anything is. Set by
# hand.
SIMILARITIES = tuple(twentieth / 20 for twentieth in range(2, 15))
# Share of the medians of a row and a column that is taken off.
BACKGROUNDS = (0.0, 0.25, 0.5, 0.75)
# Ranges set by hand: where the best of a search lies at the end of one, it is too narrow.
SPACES = {
    "hough_voting": Space(
        lambda values: HoughVotingAligner(HoughVotingSettings(**values)),
        HoughVotingSettings(),
        {
            "background": BACKGROUNDS,
            "min_match_similarity": SIMILARITIES,
            "top": (3, 5, 10, 20),
            "bin_seconds": (1.0, 1.5, 2.0, 3.0, 4.0),
            "paces": (ONE_PACE, PACES),
            "pace_doubt": (0.0, 0.1, 0.2),
            "gap_seconds": (2.0, 4.0, 6.0, 9.0),
            "votes": (0.5, 1.0, 1.5, 2.0, 3.0),
            "min_similarity": SIMILARITIES,
        },
    ),
    "dynamic_programming": Space(
        lambda values: DynamicProgrammingAligner(DynamicProgrammingSettings(**values)),
        DynamicProgrammingSettings(),
        {
            "cell_seconds": (0.5, 1.0),
            "background": BACKGROUNDS,
            "floor": SIMILARITIES,
            "gap_seconds": (1.0, 2.0, 4.0, 6.0, 9.0),
            "straight_seconds": (2.0, 3.0, 5.0, 10.0),
            "min_similarity": SIMILARITIES,
            "shortest_seconds": (1.5, 2.0, 3.0, 5.0),
        },
    ),
    "dynamic_time_warping": Space(
        lambda values: DynamicTimeWarpingAligner(DynamicTimeWarpingSettings(**values)),
        DynamicTimeWarpingSettings(),
        {
            "cell_seconds": (0.5, 1.0),
            "background": BACKGROUNDS,
            "min_cell_similarity": SIMILARITIES,
            "discontinuity_seconds": (1.0, 2.0, 3.0, 4.0, 6.0, 9.0),
            "min_similarity": SIMILARITIES,
            "shortest_seconds": (1.5, 2.0, 3.0, 5.0),
        },
    ),
    "temporal_network": Space(
        lambda values: TemporalNetworkAligner(TemporalNetworkSettings(**values)),
        TemporalNetworkSettings(),
        {
            "background": (0.0, 0.15, 0.26, 0.4),
            "floor": (0.15, 0.2, 0.26, 0.32, 0.4, 0.5),
            "step_seconds": (4.0, 7.0, 10.0),
            "gap_cost": (0.05, 0.118, 0.2, 0.3),
            "slack_seconds": (0.25, 0.5, 0.75),
            "total": (0.5, 0.76, 1.0, 1.5, 2.0),
            "evidence": (0.25, 0.3, 0.37, 0.45, 0.55, 0.65),
            "shortest_seconds": (1.5, 2.0, 3.0),
        },
        fitted=False,
    ),
}


@dataclass(frozen=True)
class Run:
    """One set with one choice of frames."""

    name: str
    frames: SetFrames
    searched: Searched

    @property
    def pairs(self) -> list[str]:
        """The candidates and the labelled pairs: all others can't go wrong."""
        seen = {one.pair for one in self.searched.candidates if one.known}
        return sorted(seen | self.frames.copies.labels.keys())


@dataclass(frozen=True)
class Trial:
    """Settings and how well they do.

    Attributes:
        f1: mean over the runs, at `min_score`.
        by_run: at `min_score`.
    """

    values: Values
    f1: float
    min_score: float
    by_run: dict[str, float]
    cpu_seconds: float


def samplings_of(descriptor: str) -> list[Sampling]:
    """What is stored and searched: dense libraries and sparse ones alike."""
    if descriptor == "pdq":
        return [pdq_sampling()]
    return [
        uniform(1.0, 1.0, "every 1 s"),
        uniform(4.0, 1.0, "every 4 s, pooled", pooled=True),
    ]


def thinned(searched: Searched, labelled: Collection[str], most: int, random: Random) -> Searched:
    """With the candidates that are labelled and `most` of the references' others."""
    known = [one for one in searched.candidates if one.known]
    right = [one for one in known if one.pair in labelled]
    others = [one for one in known if one.pair not in labelled]
    return replace(searched, candidates=right + random.sample(others, min(most, len(others))))


def fit(features: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[float, ...]:
    """Weights of a logistic regression, by Newton's method, with a slight pull towards 0.

    Args:
        features: (N, F), the first one 1.
        right: (N,).
    """
    weights = np.zeros(features.shape[1])
    ridge = RIDGE * np.diag([0.0, *[1.0] * (features.shape[1] - 1)])
    for _ in range(NEWTON_STEPS):
        sure = 1 / (1 + np.exp(-np.clip(features @ weights, -30, 30)))
        slope = features.T @ (right - sure) - ridge @ weights
        curve = (features * (sure * (1 - sure))[:, None]).T @ features + ridge
        weights = weights + np.linalg.solve(curve + 1e-6 * np.eye(len(weights)), slope)
        weights = weights.clip(-50, 50)
    return tuple(round(float(weight), 2) for weight in weights)


def features_of(boxes: Sequence[ScoredBox]) -> NDArray[np.float64]:
    """What `confidence` looks at, (N, 3), of boxes whose score is that of `PLAIN`."""
    rows = []
    for one in boxes:
        start, reference_start, end, reference_end = one.box
        shorter = max(min(end - start, reference_end - reference_start), 1e-3)
        rows.append((1.0, math.log(shorter), math.log(one.score / (1 - one.score))))
    return np.array(rows).reshape(-1, 3)


def attempt(space: Space, values: Values, runs: Sequence[Run]) -> Trial:
    """Align all runs, fit the score, take the best least score."""
    tried = {**values, "sure": PLAIN} if space.fitted else values
    aligner = space.make(tried)
    aligned = [align_set(run.searched, aligner, known_only=True) for run in runs]
    if space.fitted:
        sure, aligned = _with_fitted_score(aligned, runs)
        values = {**values, "sure": sure}
    found = [
        [score_pairs(one.at(least), run.frames.copies.labels, run.pairs).f1 for least in MIN_SCORES]
        for one, run in zip(aligned, runs, strict=True)
    ]
    mean = np.mean(found, axis=0)
    best = int(mean.argmax())
    by_run = {run.name: scores[best] for run, scores in zip(runs, found, strict=True)}
    cpu = sum(one.cpu_seconds for one in aligned)
    return Trial(values, float(mean[best]), MIN_SCORES[best], by_run, cpu)


def _with_fitted_score(
    aligned: Sequence[Aligned], runs: Sequence[Run]
) -> tuple[tuple[float, ...], list[Aligned]]:
    features = [features_of(one.boxes) for one in aligned]
    right = [
        right_boxes(one.boxes, run.frames, RIGHT_OVERLAP)
        for one, run in zip(aligned, runs, strict=True)
    ]
    sure = fit(np.concatenate(features), np.concatenate(right))
    scored = []
    for one, rows in zip(aligned, features, strict=True):
        scores = 1 / (1 + np.exp(-np.clip(rows @ np.array(sure), -50, 50)))
        boxes = [
            ScoredBox(box.pair, box.box, float(score))
            for box, score in zip(one.boxes, scores, strict=True)
        ]
        scored.append(replace(one, boxes=boxes))
    return sure, scored


def search(space: Space, runs: Sequence[Run], trials: int, steps: int, random: Random) -> Trial:
    """The defaults, random settings, then single steps along the grid from the best.

    Args:
        space: what is tried.
        runs: on what.
        trials: random settings.
        steps: at most so many, fewer where none is better.
        random: what is drawn.
    """
    best = attempt(space, space.start, runs)
    for _ in range(trials):
        drawn = {name: random.choice(values) for name, values in space.grid.items()}
        found = attempt(space, drawn, runs)
        best = found if found.f1 > best.f1 else best
    improved = True
    while improved and steps > 0:
        improved = False
        names = list(space.grid)
        random.shuffle(names)
        for name in names:
            values = space.grid[name]
            place = values.index(best.values[name])
            for step in (-1, 1):
                if 0 <= place + step < len(values) and steps > 0:
                    steps -= 1
                    drawn = {key: best.values[key] for key in space.grid}
                    found = attempt(space, {**drawn, name: values[place + step]}, runs)
                    if found.f1 > best.f1 + 1e-4:
                        best, improved = found, True
                        break
    return best


def main(
    sets: Annotated[list[Path], typer.Argument(help="Labelled sets of training footage.")],
    aligner: Annotated[list[str] | None, typer.Option(help="By default all.")] = None,
    descriptor: Annotated[str, typer.Option(help="encoder or pdq.")] = "encoder",
    trials: Annotated[int, typer.Option(help="Random settings of each.")] = 20,
    steps: Annotated[int, typer.Option(help="At most, from the best of them.")] = 40,
    unlabelled: Annotated[int, typer.Option(help="Candidates of a run that copy nothing.")] = 80,
    seed: Annotated[int, typer.Option()] = 1,
    kept: Annotated[Path, typer.Option(help="Frames of earlier runs.")] = Path("runs/frames"),
    json: Annotated[Path | None, typer.Option(help="Write the settings here.")] = None,
) -> None:
    """Choose the aligners' settings."""
    console, settings = Console(), load_settings()
    runs = []
    for folder in sets:
        frames = read_set_frames(folder, settings, kept, console)
        for sampling in samplings_of(descriptor):
            whole = search_row(frames, sampling, settings.library)
            searched = thinned(whole, frames.copies.labels.keys(), unlabelled, Random(seed))
            runs.append(Run(f"{folder.name}, {sampling.name}", frames, searched))
            console.print(f"{runs[-1].name}: {len(runs[-1].pairs)} pairs")
    table = Table("aligner", "F1", "least score", *(run.name for run in runs), "CPU s")
    report = {}
    for name in aligner or list(SPACES):
        before = time.process_time()
        best = search(SPACES[name], runs, trials, steps, Random(seed))
        by_run = (f"{best.by_run[run.name]:.3f}" for run in runs)
        spent = time.process_time() - before
        table.add_row(name, f"{best.f1:.3f}", f"{best.min_score:.2f}", *by_run, f"{spent:.0f}")
        console.print(name, best.values, f"F1 {best.f1:.4f} at {best.min_score}")
        report[name] = {
            "settings": best.values, "f1": best.f1, "min_score": best.min_score,
            "by_run": best.by_run, "descriptor": descriptor,
        }  # fmt: skip
        if json is not None:
            json.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
