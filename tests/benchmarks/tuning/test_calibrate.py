"""Calibration: right and wrong boxes are told apart, thresholds do what their name says."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.copies.fingerprinted_set import FingerprintedSet
from benchmarks.tuning.calibrate import (
    CANDIDATE_HITS,
    MIN_SCORES,
    MIN_SIMILARITIES,
    find_boxes,
    is_right,
    report_of,
    tables,
)
from stream.contract.events import Role
from stream.contract.fingerprint import CodedFrames, Fingerprint
from stream.contract.packed import quantise
from stream.evaluate.copy_set import CopySet
from stream.library.settings import LibrarySettings

DIMENSION = 64


def looks(seed: int, seconds: int) -> NDArray[np.float32]:
    """A random look for each second, (N, D) unit rows."""
    rows = np.random.default_rng(seed).standard_normal((seconds, DIMENSION))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def fingerprint(video_id: str, rows: NDArray[np.float32], role: Role) -> Fingerprint:
    frames = CodedFrames(
        np.arange(len(rows), dtype=np.float32), quantise(rows), np.zeros(len(rows), np.int8)
    )
    return Fingerprint(
        video_id=video_id,
        content_version=1,
        owner_id="o",
        role=role,
        request_id="r",
        model_version="made",
        duration_seconds=len(rows),
        key_frames=frames,
        query_frames=frames,
        cut_seconds=np.empty(0, np.float32),
        motion_codes=np.empty(0, np.uint8),
        stage_seconds={"decode": 1.0},
    )


@pytest.fixture(scope="module")
def made() -> FingerprintedSet:
    """Query a copies 12 seconds of r, query b nothing; s is in nobody."""
    reference = looks(1, 40)
    copy = np.concatenate((looks(2, 8), reference[10:22], looks(3, 6)))
    copies = CopySet(
        references={"r": Path("r.mp4"), "s": Path("s.mp4")},
        queries={"a": Path("a.mp4"), "b": Path("b.mp4")},
        pairs=[("a", "r"), ("b", "r")],
        labels={"a-r": np.array([[8.0, 10.0, 20.0, 22.0]])},
    )
    return FingerprintedSet(
        copies,
        [
            fingerprint("r", reference, "reference"),
            fingerprint("s", looks(4, 30), "reference"),
        ],
        [fingerprint("a", copy, "upload"), fingerprint("b", looks(5, 30), "upload")],
        {},
        "made",
    )


# Says nothing about what it is not sure of, so that boxes can be counted.
RULE = LibrarySettings(aligner="temporal_network")


@pytest.mark.parametrize(
    ("box", "right"),
    [
        ((8, 10, 20, 22), True),
        ((6, 8, 18, 20), True),
        ((8, 10, 12, 14), True),
        ((8, 10, 11, 13), False),  # a quarter of the span
        ((8, 30, 20, 42), False),  # another place of the reference
        ((30, 10, 42, 22), False),
    ],
)
def test_a_box_is_right_when_it_overlaps_a_label_well_on_both_axes(
    box: tuple[float, float, float, float], right: bool
) -> None:
    labelled = np.array([[50.0, 60.0, 55.0, 65.0], [8.0, 10.0, 20.0, 22.0]])
    assert is_right(box, labelled) is right
    assert not is_right(box, np.empty((0, 4)))


def test_the_copy_is_found_and_is_right(made: FingerprintedSet) -> None:
    found, cpu_seconds = find_boxes(made, RULE)
    assert [(one.pair, one.right) for one in found] == [("a-r", True)]
    assert cpu_seconds.keys() == {"search", "align"}
    assert all(seconds >= 0 for seconds in cpu_seconds.values())


def test_a_higher_least_score_keeps_fewer_boxes(made: FingerprintedSet) -> None:
    rows = report_of(made, RULE)["by_min_score"]
    assert [row["min_score"] for row in rows] == list(MIN_SCORES)
    kept = [row["right_boxes"] + row["wrong_boxes"] for row in rows]
    assert kept == sorted(kept, reverse=True) and kept[0] == 1
    assert rows[0]["recall"] > 0.8 and rows[0]["false_alarm_rate"] == 0


def test_stricter_candidates_are_fewer(made: FingerprintedSet) -> None:
    report = report_of(made, LibrarySettings())
    stages = {(row["min_similarity"], row["hits"]): row for row in report["candidate_stage"]}
    assert len(stages) == len(MIN_SIMILARITIES) * len(CANDIDATE_HITS)
    for (min_similarity, hits), row in stages.items():
        assert row["recall"] == 1
        for other in stages.values():
            if other["min_similarity"] >= min_similarity and other["hits"] >= hits:
                assert other["per_query"] <= row["per_query"]
    assert stages[0.7, 4]["per_query"] == 0.5
    assert len(tables(report)) == 2
