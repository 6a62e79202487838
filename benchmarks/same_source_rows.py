"""The rows of `same_source`: which frames are stored and searched, and what boxes the copies."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.frame_choices import Choice, Descriptor, even
from benchmarks.library_run import Choose, Searched, search_set
from benchmarks.set_frames import SetFrames, VideoFrames
from models.align import Aligner
from models.aligners import ALIGNERS, make_aligner
from models.aligners.temporal_network import TemporalNetworkAligner, TemporalNetworkSettings
from models.keyframes import SELECTORS, make_selector
from models.keyframes.settings import KeyFrameSettings
from stream.library.settings import LibrarySettings

UNIFORM_SECONDS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
FRAMES_PER_HOUR = (300.0, 540.0, 800.0, 1080.0, 1800.0)
BASELINES = ("hough_voting", "temporal_network", "dynamic_programming", "dynamic_time_warping")
DETECTOR = "pattern_detector"
# Chosen by `tune_aligners --descriptor pdq` on sets made of training clips.
PDQ_TEMPORAL_NETWORK = TemporalNetworkSettings()


@dataclass(frozen=True)
class Sampling:
    """A choice of frames.

    Attributes:
        name: for the table.
        group: `uniform` or `key frames`; the curves' legend.
        choose: of one video.
        dense_decoding: whether it needs the candidate rate of the settings; one frame a second
            is enough if not.
    """

    name: str
    group: str
    choose: Choose
    dense_decoding: bool = False
    descriptor: Descriptor = "encoder"


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        name: unique.
        aligner: for the table.
        make: the aligner; made once for each run.
        curve: whether it is a point of the curves.
    """

    name: str
    sampling: Sampling
    aligner: str
    make: Callable[[], Aligner]
    curve: bool = False


@dataclass
class KeyFrames:
    """Key frames of every video, chosen once for each density, and what choosing costs.

    Attributes:
        settings: of the service.
        cpu_seconds: by density, for all videos that were asked about.
    """

    settings: KeyFrameSettings
    cpu_seconds: dict[float, float] = field(default_factory=dict)
    _chosen: dict[tuple[str, float], NDArray[np.intp]] = field(default_factory=dict)

    def of(self, video: VideoFrames, settings: KeyFrameSettings) -> NDArray[np.intp]:
        """Indices of the key frames, ascending."""
        key = (str(video.path), settings.frames_per_hour)
        if key not in self._chosen:
            selector = make_selector(settings)
            before = time.process_time()
            self._chosen[key] = selector.select(video.candidates())
            spent = time.process_time() - before
            self.cpu_seconds[settings.frames_per_hour] = (
                self.cpu_seconds.get(settings.frames_per_hour, 0.0) + spent
            )
        return self._chosen[key]

    def sampling(self, frames_per_hour: float | None = None) -> Sampling:
        """Key frames stored, the settings' query frames searched."""
        settings = self.settings
        if frames_per_hour is not None:
            settings = settings.model_copy(update={"frames_per_hour": frames_per_hour})

        def choose(video: VideoFrames) -> Choice:
            stored = self.of(video, settings)
            return Choice(stored, np.union1d(stored, even(video, settings.query_every_seconds)))

        name = "key frames" if frames_per_hour is None else f"key frames, {frames_per_hour:g}/h"
        return Sampling(name, "key frames", choose, dense_decoding=True)

    def count(self, frames: SetFrames) -> int:
        """Key frames of a set, at the density of the settings."""
        return sum(len(self.of(video, self.settings)) for video in frames.videos)


def uniform(every_seconds: float, query_every_seconds: float, name: str | None = None) -> Sampling:
    """One frame stored every so many seconds; as many searched, or more."""

    def choose(video: VideoFrames) -> Choice:
        stored = even(video, every_seconds)
        searching = even(video, min(every_seconds, query_every_seconds))
        return Choice(stored, np.union1d(stored, searching))

    return Sampling(name or f"uniform every {every_seconds:g} s", "uniform", choose)


def spacing_for(frames: SetFrames, count: int) -> float:
    """The even distance, in seconds, at which a set stores about `count` frames."""
    low, high = 0.5, 60.0
    for _ in range(24):
        middle = (low * high) ** 0.5
        stored = sum(len(even(video, middle)) for video in frames.videos)
        low, high = (middle, high) if stored > count else (low, middle)
    return (low * high) ** 0.5


def rows_of(frames: SetFrames, key_frames: KeyFrames, weights: dict[str, Path]) -> list[Row]:
    """All rows that can be run with what there is.

    Args:
        frames: of the set; the uniform row at the key frames' count depends on it.
        key_frames: chooses them.
        weights: files of the pattern detector by name; the first is the one of all rows but the
            last ones. Without any, the shipped one, if `ALIGNERS` has it.
    """
    detectors = detectors_of(weights)
    first = next(iter(detectors), "temporal_network")
    best = detectors.get(first, lambda: make_aligner(first))
    dense, keyed = uniform(1.0, 1.0), key_frames.sampling()
    query = key_frames.settings.query_every_seconds
    same = uniform(
        spacing_for(frames, key_frames.count(frames)), query, "uniform at the key frames' count"
    )
    pdq = Sampling("PDQ, uniform every 1 s", "PDQ", dense.choose, descriptor="pdq")
    rows = [
        _row(pdq, "temporal_network", lambda: TemporalNetworkAligner(PDQ_TEMPORAL_NETWORK)),
        *(_row(dense, name, ALIGNERS[name]) for name in BASELINES),
        *(_row(dense, name, make) for name, make in detectors.items()),
        _row(same, first, best),
        *(_row(keyed, name, ALIGNERS[name]) for name in BASELINES),
        *(_row(keyed, name, make) for name, make in detectors.items()),
    ]
    curve = [uniform(every, query, f"uniform every {every:g} s, searched every {query:g} s")
             for every in UNIFORM_SECONDS]  # fmt: skip
    if key_frames.settings.selector == "learned":
        curve += [key_frames.sampling(count) for count in FRAMES_PER_HOUR]
    return rows + [_row(sampling, first, best, curve=True) for sampling in curve]


def detectors_of(weights: dict[str, Path]) -> dict[str, Callable[[], Aligner]]:
    """Pattern detectors by the name of their row; none where there is none yet.

    Raises:
        ModelFileError: a file that isn't one.
    """
    if DETECTOR not in ALIGNERS:
        return {}
    if not weights:
        return {DETECTOR: ALIGNERS[DETECTOR]}
    from models.aligners.pattern_detector import PatternDetector, PatternDetectorSettings

    def from_file(path: Path) -> Callable[[], Aligner]:
        return lambda: PatternDetector(PatternDetectorSettings(path=path))

    return {f"{DETECTOR} ({name})": from_file(path) for name, path in weights.items()}


def search_each(
    frames: SetFrames, rows: Sequence[Row], library: LibrarySettings
) -> dict[str, Searched]:
    """Each sampling of the rows once through the library's search, by its name."""
    samplings = {row.sampling.name: row.sampling for row in rows}
    return {
        name: search_set(frames, sampling.choose, library, sampling.descriptor)
        for name, sampling in samplings.items()
    }


def _row(
    sampling: Sampling, aligner: str, make: Callable[[], Aligner], *, curve: bool = False
) -> Row:
    return Row(f"{sampling.name}; {aligner}", sampling, aligner, make, curve)


def known_selectors() -> tuple[str, ...]:
    """For the command's help."""
    return tuple(sorted(SELECTORS))
