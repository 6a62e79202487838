"""The key-frame extractor: spans of equal content, each stood for by a frame that edits leave.

After SSAN (Jiang et al., ACM MM 2021): a light network scores candidate frames. Which of them are
stored is an exact cheapest cut into spans, where a frame costs what it has lost of its similarity
to the key frame that stands for it.
"""

import numpy as np
from numpy.typing import NDArray

from models.keyframes.base import CandidateFrames
from models.keyframes.serve import FrameScorer, default_scorer_path
from models.keyframes.settings import KeyFrameSettings
from models.keyframes.shot_numbers import shot_numbers
from models.keyframes.spans import span_costs
from models.keyframes.thumbnails import thumbnails
from models.video.frames import is_blank


class LearnedSelector:
    """Stores `frames_per_hour` frames, `min_frames` at least, one of every shot, none blank.

    Shots shorter than a second share a key frame with the shot before. No frame is further than
    `max_gap_seconds` from the key frame that stands for it. Both rules win over the budget.
    Thread-safe.
    """

    def __init__(self, settings: KeyFrameSettings) -> None:
        """Load the network.

        Raises:
            ModelFileError: the file is missing, unreadable, or no key-frame network.
            ProviderError: the provider can't run here.
        """
        self._settings = settings
        self._scorer = FrameScorer(
            settings.path or default_scorer_path(),
            provider=settings.provider,
            engine_cache=settings.engine_cache,
        )

    @property
    def version(self) -> str:
        """Of the network that scores: key frames of two versions fall on other moments."""
        return self._scorer.model_version

    def select(self, candidates: CandidateFrames) -> NDArray[np.intp]:
        """Indices of the key frames; see `KeyFrameSelector.select`.

        Where frames are encoded already, only those are chosen among, by their descriptors; else
        all, by the looks that the network forecasts them from.
        """
        rows = candidates.descriptors
        all_of_them = np.arange(len(candidates)) if rows is None else candidates.described
        # Before the cut into spans: blank frames need no key frame, and are none.
        shown = np.array([not is_blank(candidates.frames[at]) for at in all_of_them], bool)
        among: NDArray[np.intp] = all_of_them[shown]
        if len(among) == 0:
            return among
        scores = self._scorer.score(thumbnails(candidates.frames[at] for at in among))
        seconds = candidates.seconds[among]
        costs = span_costs(
            scores.looks if rows is None else rows[shown],
            shot_numbers(seconds, candidates.cut_seconds),
            seconds,
            scores.quality,
            longest_seconds=self._settings.max_gap_seconds,
        )
        budget = round(candidates.duration_seconds * self._settings.frames_per_hour / 3600)
        chosen: NDArray[np.intp] = among[costs.at_most(max(budget, self._settings.min_frames))]
        return chosen
