"""The rows of `same_source`: which frames are stored and searched, and what boxes the copies."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from benchmarks.copies.frame_choices import (
    Choice,
    Parts,
    choose,
    choose_hashes,
    even,
    even_selector,
)
from benchmarks.copies.set_frames import SetFrames, VideoFrames
from benchmarks.library.set_search import Choose, Searched, search_set
from models.aligners.base import Aligner
from models.aligners.temporal_network import TemporalNetworkAligner, TemporalNetworkSettings
from models.all_aligners import ALIGNERS, make_aligner
from models.keyframes import make_selector
from models.keyframes.base import KeyFrameSelector
from models.keyframes.settings import KeyFrameSettings
from stream.library.settings import LibrarySettings

# The points of the curve from dense to sparse: distance of frames that are stored evenly, and
# frames an hour that the network chooses. Around the default of 900, each way by about three.
UNIFORM_SECONDS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
FRAMES_PER_HOUR = (300.0, 540.0, 800.0, 1080.0, 1800.0)  # that the network chooses
BASELINES = ("hough_voting", "temporal_network", "dynamic_programming", "dynamic_time_warping")
DETECTOR = "pattern_detector"
DENSE = "uniform every 1 s"
NO_MOTION = f"{DENSE}, no motion"
DENSE_PARTS = f"{DENSE}, parts"
KEY_FRAMES = "key frames"
KEY_FRAMES_NO_MOTION = f"{KEY_FRAMES}, no motion"
JOINT = "key frames, trained jointly"
SAME_COUNT = "uniform at the key frames' count"
PDQ = "PDQ, uniform every 1 s"
# Exports of what `samesource train joint` made of both networks; no row where they aren't.
JOINT_WEIGHTS = Path("runs/joint")
# Hashes that differ in 96 of 256 bits: few copies are lost, and the aligner sees to the rest.
PDQ_MIN_SIMILARITY = 0.25
# Chosen by `tune_aligners --descriptor pdq` on sets made of training clips.
PDQ_TEMPORAL_NETWORK = TemporalNetworkSettings()


@dataclass(frozen=True)
class Sampling:
    """A choice of frames.

    Attributes:
        name: for the table.
        group: `uniform`, `uniform, pooled`, `key frames` or `PDQ`; the curves' legend.
        choose: of one video.
        dense_decoding: whether it needs the candidate rate of the settings; one frame a second
            is enough if not.
        density: key frames per hour.
    """

    name: str
    group: str
    choose: Choose
    dense_decoding: bool = False
    density: float = 0.0

    @property
    def hashes(self) -> bool:
        """Whether it stores PDQ hashes, which have no 4-bit codes."""
        return self.group == "PDQ"


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
    """Key frames of every video, chosen once for each density.

    Attributes:
        settings: of the service.
        name: for the table.
        parts: of frames that search, which search too; None without an encoder for them.
    """

    settings: KeyFrameSettings
    name: str = KEY_FRAMES
    parts: Parts | None = None
    _chosen: dict[tuple[str, float], Choice] = field(default_factory=dict)
    _selectors: dict[float, KeyFrameSelector] = field(default_factory=dict)

    def of(self, video: VideoFrames, density: float) -> Choice:
        """What is stored and searched of a video, at so many key frames per hour."""
        key = (str(video.path), density)
        if key not in self._chosen:
            other = {} if density == self.settings.frames_per_hour else {"min_frames": 1}
            changed = self.settings.model_copy(update={"frames_per_hour": density, **other})
            if density not in self._selectors:
                self._selectors[density] = make_selector(changed)
            query = even_selector(changed.query_every_seconds, repeats=False)
            self._chosen[key] = choose(
                video, self._selectors[density], query, pooled=changed.pooled, repeats=False
            )
        return self._chosen[key]

    def sampling(
        self, density: float | None = None, *, motion: bool = True, parts: bool = True
    ) -> Sampling:
        """Key frames stored, the settings' query frames searched; the service's own choice.

        Args:
            density: key frames per hour, instead of the settings'.
            motion: whether the motion of videos is stored and compared.
            parts: whether parts of put-together pictures search too.
        """
        chosen = self.settings.frames_per_hour if density is None else density
        name = self.name if density is None else f"{self.name}, {density:g}/h"

        def frames_of(video: VideoFrames) -> Choice:
            choice = replace(self.of(video, chosen), motion=motion)
            return self.parts.beside(video, choice) if parts and self.parts else choice

        name = name if motion else f"{name}, no motion"
        name = name if parts else f"{name}, no parts"
        return Sampling(name, "key frames", frames_of, True, chosen)

    def count(self, frames: SetFrames) -> int:
        """Key frames of a set, at the density of the settings."""
        density = self.settings.frames_per_hour
        return sum(len(self.of(video, density).stored) for video in frames.videos)


def uniform(
    every_seconds: float,
    query_every_seconds: float,
    name: str,
    *,
    pooled: bool = False,
    repeats: bool = True,
    motion: bool = True,
    parts: Parts | None = None,
) -> Sampling:
    """One frame stored every so many seconds; as many searched, or more.

    Args:
        every_seconds: of those that are stored.
        query_every_seconds: of those that search.
        name: for the table.
        pooled: whether mean descriptors are stored.
        repeats: whether exact repeats of a still picture are among the frames. The service
            leaves them out, so rows that are held against its key frames do so too.
        motion: whether the motion of videos is stored and compared.
        parts: of put-together pictures, which search too; None: none do.
    """
    stored = even_selector(every_seconds)
    query = even_selector(min(every_seconds, query_every_seconds), repeats=repeats)

    def chosen(video: VideoFrames) -> Choice:
        choice = choose(video, stored, query, pooled=pooled, repeats=repeats, motion=motion)
        return parts.beside(video, choice) if parts else choice

    return Sampling(name, "uniform, pooled" if pooled else "uniform", chosen)


def pdq_sampling() -> Sampling:
    """Hashes of one frame a second, stored and searched."""
    return Sampling(PDQ, "PDQ", lambda video: choose_hashes(video, 1.0))


def spacing_for(frames: SetFrames, count: int, query_every_seconds: float) -> float:
    """The even distance, in seconds, at which a set stores about `count` of its query frames."""
    seconds = [video.seconds[even(video, query_every_seconds)] for video in frames.videos]
    low, high = query_every_seconds, 60.0
    for _ in range(24):
        middle = (low * high) ** 0.5
        stored = sum(len(np.unique(np.rint(one / middle))) for one in seconds)
        low, high = (middle, high) if stored > count else (low, middle)
    return float((low * high) ** 0.5)


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
    parts = key_frames.parts
    query = key_frames.settings.query_every_seconds
    dense, keyed = uniform(1.0, 1.0, DENSE), key_frames.sampling()
    unmoved = uniform(1.0, 1.0, NO_MOTION, motion=False)
    dense_parts = [uniform(1.0, 1.0, DENSE_PARTS, parts=parts)] if parts else []
    keyed_unmoved = key_frames.sampling(motion=False)
    spacing = spacing_for(frames, key_frames.count(frames), query)
    same, pooled = (
        uniform(spacing, query, f"{SAME_COUNT}{end}", pooled=bool(end), repeats=False, parts=parts)
        for end in ("", ", pooled")
    )
    rows = [
        _row(
            pdq_sampling(), "temporal_network", lambda: TemporalNetworkAligner(PDQ_TEMPORAL_NETWORK)
        ),
        *(_row(unmoved, name, ALIGNERS[name]) for name in BASELINES),
        *(_row(unmoved, name, make) for name, make in detectors.items()),
        *(_row(dense, name, make) for name, make in detectors.items()),
        *(_row(one, name, make) for one in dense_parts for name, make in detectors.items()),
        _row(same, first, best),
        _row(pooled, first, best),
        *(_row(keyed_unmoved, name, ALIGNERS[name]) for name in BASELINES),
        _row(keyed_unmoved, first, best),
        *([_row(key_frames.sampling(parts=False), first, best)] if parts else []),
        *(_row(keyed, name, make) for name, make in detectors.items()),
        *_joint_rows(key_frames),
    ]
    curve = [
        uniform(every, query, f"uniform every {every:g} s, searched every {query:g} s{end}",
                pooled=bool(end), repeats=False, parts=parts)
        for end in ("", ", pooled")
        for every in UNIFORM_SECONDS
    ]  # fmt: skip
    if key_frames.settings.selector != "even":
        curve += [key_frames.sampling(count) for count in FRAMES_PER_HOUR]
    return rows + [_row(sampling, first, best, curve=True) for sampling in curve]


def _joint_rows(shipped: KeyFrames) -> list[Row]:
    """Key frames and detector that were trained together, where the key frames are learned."""
    settings = shipped.settings
    chooses, boxes = (JOINT_WEIGHTS / f"{name}.onnx" for name in ("keyframes", "detector"))
    if DETECTOR not in ALIGNERS or settings.selector != "learned" or not chooses.exists():
        return []
    keyed = KeyFrames(settings.model_copy(update={"path": chooses}), JOINT, shipped.parts)
    detectors = detectors_of({"joint": boxes})
    return [_row(keyed.sampling(), name, make) for name, make in detectors.items()]


def key_frames_of(frames: SetFrames, settings: KeyFrameSettings) -> KeyFrames:
    """What the service stores and searches of a set's videos."""
    encoder = frames.encoder if settings.query_parts else None
    return KeyFrames(settings, parts=Parts(encoder, settings.query_parts) if encoder else None)


def detectors_of(weights: dict[str, Path]) -> dict[str, Callable[[], Aligner]]:
    """Pattern detectors by the name of their row; none where there is none yet.

    Raises:
        ModelFileError: a file that isn't one.
    """
    if DETECTOR not in ALIGNERS:
        return {}
    if not weights:
        return {DETECTOR: ALIGNERS[DETECTOR]}
    from models.detector.serve import PatternDetector, PatternDetectorSettings

    def from_file(path: Path) -> Callable[[], Aligner]:
        return lambda: PatternDetector(PatternDetectorSettings(path=path))

    return {f"{DETECTOR} ({name})": from_file(path) for name, path in weights.items()}


def search_row(frames: SetFrames, sampling: Sampling, library: LibrarySettings) -> Searched:
    """A sampling through the library's search."""
    if sampling.hashes:
        changed = {"code_bits": 8, "min_similarity": PDQ_MIN_SIMILARITY}
        library = library.model_copy(update=changed)
    return search_set(frames, sampling.choose, library)


def _row(
    sampling: Sampling, aligner: str, make: Callable[[], Aligner], *, curve: bool = False
) -> Row:
    return Row(f"{sampling.name}; {aligner}", sampling, aligner, make, curve)
