"""What the rows of `same_source` say about the promises of key frames with the detector."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.copies.figures import Figures
from benchmarks.copies.rows import (
    BASELINES,
    DENSE,
    DETECTOR,
    KEY_FRAMES,
    KEY_FRAMES_NO_MOTION,
    NO_MOTION,
    SAME_COUNT,
)
from benchmarks.tuning.decode_costs import DecodeCosts
from models.metrics import interval

EVERYTHING = "every frame decoded, one a second encoded"

Wanted = tuple[float, float]
"""At least so much, and better so much."""


@dataclass(frozen=True)
class Target:
    """A promise and what was measured.

    Attributes:
        value: None where a row that it needs was not run.
        target: at least so much.
        further: and better so much.
        unit: for the table.
        between: 95 % interval, where the value is of F1.
    """

    name: str
    value: float | None
    target: float
    further: float
    unit: str
    between: tuple[float, float] | None = None

    @property
    def reached(self) -> bool | None:
        """Whether the target is; None where it was not measured."""
        return None if self.value is None else self.value >= self.target


def targets_of(figures: Sequence[Figures], decoding: DecodeCosts) -> list[Target]:
    """What the rows say about the promises; the last detector's row with key frames is ours."""
    plain = [one for one in figures if not one.curve]

    def rows(sampling: str, *aligners: str) -> list[Figures]:
        found = [one for one in plain if one.sampling == sampling]
        return [one for one in found if one.aligner.startswith(aligners)]

    def last(sampling: str) -> Figures | None:
        found = rows(sampling, DETECTOR)
        return found[-1] if found else None

    ours, dense, unmoved = last(KEY_FRAMES), last(DENSE), last(NO_MOTION)
    better = _best([*rows(NO_MOTION, DETECTOR, "temporal_network"), *rows(DENSE, DETECTOR)])
    uniform_baseline = _best(rows(NO_MOTION, *BASELINES))
    keyed_baseline = _best(rows(KEY_FRAMES_NO_MOTION, *BASELINES))
    targets = [
        _f1_target("F1, key frames and pattern detector", ours, (88, 93)),
        _lead_target("F1 over uniform 1 s, the better of detector and temporal network",
                     ours, better, (2.78, 5)),
        _lead_target("F1 over the best baseline aligner, uniform 1 s",
                     dense, uniform_baseline, (3, 6)),
        _lead_target("F1 over the best baseline aligner, key frames",
                     ours, keyed_baseline, (14, 18)),
        _lead_target("F1 over uniform at the same count", ours, last(SAME_COUNT), (5, 10)),
    ]  # fmt: skip
    if ours is None or unmoved is None:
        return targets
    stages = unmoved.cpu_seconds_per_hour
    everything = stages["total"] - stages["decode"] + decoding.everything
    by_outcome = ours.cpu_seconds_per_hour_by_outcome
    clear, matched = (everything / by_outcome[name]["total"] for name in ("clear", "matched"))
    fewer_bytes = unmoved.library_bytes_per_hour / ours.library_bytes_per_hour
    faster = unmoved.match_seconds_per_upload / ours.match_seconds_per_upload
    return [
        *targets,
        Target("library bytes, times fewer than uniform 1 s", fewer_bytes, 1 / 0.15, 1 / 0.08, "x"),
        Target(f"CPU of a clear upload, times less than {EVERYTHING}", clear, 5, 18, "x"),
        Target("CPU of a matched upload, the same", matched, 1, 3, "x"),
        Target("search and alignment, times faster than uniform 1 s", faster, 10, 18, "x"),
        Target("detector's pairs per second, one core", ours.pairs_per_second, 1000, 1000, "/s"),
    ]


def _best(figures: Sequence[Figures]) -> Figures | None:
    return max(figures, key=lambda one: one.f1, default=None)


def _f1_target(name: str, ours: Figures | None, wanted: Wanted) -> Target:
    if ours is None:
        return Target(name, None, *wanted, "%")
    return Target(name, 100 * ours.f1, *wanted, "%", interval(100 * ours.f1_draws))


def _lead_target(name: str, ours: Figures | None, other: Figures | None, wanted: Wanted) -> Target:
    """Points of F1 that a row is ahead of another."""
    if ours is None or other is None:
        return Target(name, None, *wanted, "points")
    between = interval(100 * (ours.f1_draws - other.f1_draws))
    return Target(name, 100 * (ours.f1 - other.f1), *wanted, "points", between)
