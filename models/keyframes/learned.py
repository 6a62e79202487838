"""The key-frame extractor: spans of equal content, each stood for by a frame that edits leave.

After SSAN (Jiang et al., ACM MM 2021): a light network scores candidate frames. Which of them are
stored is an exact cheapest cut into spans, where a frame costs what it has lost of its similarity
to the key frame that stands for it.
"""

import numpy as np
from numpy.typing import NDArray

from models.frames import is_blank
from models.keyframes.scorer import FrameScorer, default_scorer_path
from models.keyframes.settings import KeyFrameSettings
from models.keyframes.spans import span_costs
from models.keyframes.thumbnails import thumbnails
from models.select import CandidateFrames

SHORTEST_SHOT_SECONDS = 1.0


class LearnedSelector:
    """Stores `frames_per_hour` frames, at least one of every shot, none blank.

    Shots shorter than a second share a key frame with the shot before. No frame is further than
    `max_gap_seconds` from the key frame that stands for it. Both rules win over the budget.
    Thread-safe.
    """

    def __init__(self, settings: KeyFrameSettings) -> None:
        """Load the network.

        Raises:
            ModelFileError: the file is missing, unreadable, or no key-frame network.
        """
        self._settings = settings
        self._scorer = FrameScorer(settings.path or default_scorer_path())

    @property
    def model_version(self) -> str:
        """The network that scores."""
        return self._scorer.model_version

    def select(self, candidates: CandidateFrames) -> NDArray[np.intp]:
        """Indices of the key frames; see `KeyFrameSelector.select`."""
        shown = np.array([not is_blank(frame) for frame in candidates.frames], bool)
        if not shown.any():
            return np.empty(0, np.intp)
        scores = self._scorer.score(thumbnails(candidates.frames))
        rows = scores.looks if candidates.descriptors is None else candidates.descriptors
        costs = span_costs(
            rows[shown],
            shot_numbers(candidates.seconds, candidates.cut_seconds)[shown],
            candidates.seconds[shown],
            scores.quality[shown],
            longest_seconds=self._settings.max_gap_seconds,
        )
        budget = round(candidates.duration_seconds * self._settings.frames_per_hour / 3600)
        return np.flatnonzero(shown)[costs.at_most(max(budget, 1))]


def shot_numbers(
    seconds: NDArray[np.float32], cut_seconds: NDArray[np.float32]
) -> NDArray[np.intp]:
    """The shot that each frame is of, (N,) ascending.

    A cut less than `SHORTEST_SHOT_SECONDS` after the one before (or the start) begins no shot.

    Args:
        seconds: (N,) ascending.
        cut_seconds: (C,) ascending.
    """
    kept: list[float] = []
    for cut in cut_seconds.tolist():
        if cut - (kept[-1] if kept else 0.0) >= SHORTEST_SHOT_SECONDS:
            kept.append(cut)
    return np.searchsorted(np.array(kept, np.float64), seconds, side="right")
