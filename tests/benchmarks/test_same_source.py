"""The benchmark's rows and figures on a small set whose truth is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.copies.figures import Figures, figures_of, recall_by_edit
from benchmarks.copies.frame_choices import (
    choose,
    choose_hashes,
    even,
    even_selector,
    fingerprint_of,
)
from benchmarks.copies.plots import write_plots
from benchmarks.copies.rows import (
    DENSE,
    NO_MOTION,
    SAME_COUNT,
    KeyFrames,
    Row,
    rows_of,
    search_row,
    spacing_for,
    uniform,
)
from benchmarks.copies.set_frames import SetFrames, VideoFrames
from benchmarks.copies.tables import cost_table, machine, main_table, target_table
from benchmarks.copies.targets import targets_of
from benchmarks.library.set_search import align_set
from benchmarks.tuning.decode_costs import DecodeCosts
from benchmarks.tuning.min_scores import read_min_scores, surest, weights_of
from models.all_aligners import ALIGNERS
from models.keyframes.settings import KeyFrameSettings
from stream.contract.events import Role
from stream.contract.packed import quantise
from stream.errors import SettingsError
from stream.evaluate.copy_set import CopySet
from stream.library.settings import LibrarySettings

DIMENSION = 128
RATE = 2.0
DECODING = DecodeCosts(candidates=20.0, one_a_second=10.0, everything=100.0)


def looks(seed: int, seconds: int) -> NDArray[np.float32]:
    """A random look for each second, shown by all its candidates, (N, D) unit rows."""
    rows = np.random.default_rng(seed).standard_normal((seconds, DIMENSION))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return np.repeat(rows, int(RATE), axis=0).astype(np.float32)


def hashes_of(rows: NDArray[np.float32]) -> NDArray[np.int8]:
    return np.where(np.tile(rows, 2) > 0, 1, -1).astype(np.int8)


def video(video_id: str, rows: NDArray[np.float32], role: Role) -> VideoFrames:
    count = len(rows)
    random = np.random.default_rng(count)
    return VideoFrames(
        video_id=video_id,
        role=role,
        path=Path(f"{video_id}.mp4"),
        frames=random.integers(0, 255, (count, 16, 16, 3), dtype=np.uint8),
        seconds=(np.arange(count) / RATE).astype(np.float32),
        duration_seconds=count / RATE,
        cut_seconds=np.empty(0, np.float32),
        motion=random.integers(0, 256, 2 * count, dtype=np.uint8),
        blank=np.zeros(count, bool),
        unrepeated=np.arange(count),
        descriptors=rows,
        score_biases=np.zeros(count, np.float32),
        hashes=hashes_of(rows),
        qualities=np.full(count, 100),
        decode_cpu_seconds=0.1,
    )


@pytest.fixture(scope="module")
def frames() -> SetFrames:
    """Query a copies 16 seconds of r, query b nothing; s is in nobody."""
    reference = looks(1, 60)
    copy = np.concatenate((looks(2, 8), reference[20:52], looks(3, 6)))
    copies = CopySet(
        references={"r": Path("set/references/r.mp4"), "s": Path("set/references/s.mp4")},
        queries={"a": Path("set/queries/a.mp4"), "b": Path("set/queries/b.mp4")},
        pairs=[("a", "r"), ("b", "r")],
        labels={"a-r": np.array([[8.0, 10.0, 24.0, 26.0]])},
    )
    videos = [
        video("r", reference, "reference"),
        video("s", looks(4, 30), "reference"),
        video("a", copy, "upload"),
        video("b", looks(5, 30), "upload"),
    ]
    return SetFrames(copies, videos, {}, "made", 0.004, 0.0003)


@pytest.mark.parametrize("every", [0.5, 1.0, 3.0, 7.3])
def test_even_frames_are_the_nearest_to_even_times(frames: SetFrames, every: float) -> None:
    one = frames.videos[0]
    chosen = one.seconds[even(one, every)]
    wanted = np.arange(0, one.duration_seconds, every)
    assert len(chosen) == len(wanted)
    assert np.abs(chosen - wanted).max() <= 0.5


def test_blank_frames_are_not_chosen(frames: SetFrames) -> None:
    one = frames.videos[1]
    one.blank[:10] = True
    assert even(one, 1.0).min() == 10
    one.blank[:10] = False


def test_a_set_stores_about_as_many_even_frames_as_asked(frames: SetFrames) -> None:
    sampling = uniform(spacing_for(frames, 40, 1.0), 1.0, "about 40")
    stored = sum(len(sampling.choose(one).stored) for one in frames.videos)
    assert stored == pytest.approx(40, abs=4)


def test_an_event_carries_what_is_stored_and_what_searches(frames: SetFrames) -> None:
    one = frames.videos[2]
    chosen = choose(one, even_selector(2.0), even_selector(1.0), pooled=False)
    made = fingerprint_of(one, chosen, "made")
    key, query = made.key_frames, made.query_frames
    assert key.seconds[:3].tolist() == [0.0, 2.0, 4.0]
    assert query.seconds[:3].tolist() == [0.0, 1.0, 2.0]
    np.testing.assert_array_equal(query.codes[:3], quantise(one.descriptors[[0, 2, 4]]))
    np.testing.assert_array_equal(key.codes[:2], quantise(one.descriptors[[0, 4]]))


def test_a_row_without_motion_differs_in_nothing_else(frames: SetFrames) -> None:
    one = frames.videos[2]
    moving, unmoved = (
        fingerprint_of(one, uniform(1.0, 1.0, "even", motion=motion).choose(one), "made")
        for motion in (True, False)
    )
    np.testing.assert_array_equal(moving.motion_codes, one.motion)
    still = replace(moving, motion_codes=np.empty(0, np.uint8))
    assert unmoved.to_event() == still.to_event()
    assert len(fingerprint_of(one, choose_hashes(one, 1.0), "made").motion_codes) == 0


def test_a_pooled_descriptor_is_between_those_of_its_frames(frames: SetFrames) -> None:
    one = frames.videos[2]
    own = choose(one, even_selector(4.0), even_selector(1.0), pooled=False)
    pooled = choose(one, even_selector(4.0), even_selector(1.0), pooled=True)
    np.testing.assert_array_equal(own.stored, pooled.stored)
    beside = quantise(one.descriptors[pooled.stored[1] + 2]).astype(int)
    assert pooled.codes[1] @ beside > own.codes[1].astype(int) @ beside


def test_hashes_of_low_quality_are_left_out(frames: SetFrames) -> None:
    one = frames.videos[2]
    one.qualities[2] = 10
    made = fingerprint_of(one, choose_hashes(one, 0.5), "made")
    assert (made.dimension, made.key_frames.seconds[:3].tolist()) == (256, [0.0, 0.5, 1.5])
    one.qualities[2] = 100


def row_of(every: float, aligner: str = "temporal_network") -> Row:
    sampling = uniform(every, 1.0, f"uniform every {every:g} s")
    return Row(f"{sampling.name}; {aligner}", sampling, aligner, ALIGNERS[aligner])


def run(frames: SetFrames, row: Row, min_score: float = 0.5) -> Figures:
    searched = search_row(frames, row.sampling, LibrarySettings())
    return figures_of(
        row, frames, searched, align_set(searched, row.make()),
        min_score=min_score, decoding=DECODING,
    )  # fmt: skip


def test_the_copy_is_found_and_nothing_else(frames: SetFrames) -> None:
    found = run(frames, row_of(1.0))
    assert found.precision > 0.8 and found.recall > 0.8
    assert (found.missed_rate, found.false_alarm_rate, found.micro_ap) == (0, 0, 1)
    assert found.stored_frames_per_hour == pytest.approx(3600, rel=0.05)


def test_queries_that_copy_and_those_that_do_not_have_costs_of_their_own(frames: SetFrames) -> None:
    found = run(frames, row_of(1.0))
    for stages in (by_outcome := found.cpu_seconds_per_hour_by_outcome).values():
        assert stages["encode"] == pytest.approx(3600 * 0.004, rel=0.05)
        assert stages["total"] == pytest.approx(sum(stages.values()) - stages["total"])
    assert by_outcome["matched"]["align"] > by_outcome["clear"]["align"]
    nothing = run(frames, row_of(1.0), min_score=1.01).cpu_seconds_per_hour_by_outcome
    assert nothing["matched"]["total"] == DECODING.one_a_second, "no query, no cost of its own"


def test_a_sparse_library_stores_less_and_costs_less(frames: SetFrames) -> None:
    dense, sparse = run(frames, row_of(1.0)), run(frames, row_of(4.0))
    assert sparse.stored_frames_per_hour == pytest.approx(900, rel=0.1)
    assert sparse.library_bytes_per_hour < dense.library_bytes_per_hour
    for one in (dense, sparse):
        stages = one.cpu_seconds_per_hour
        assert stages["total"] == pytest.approx(sum(stages.values()) - stages["total"])
        assert stages["decode"] == DECODING.one_a_second
        assert stages["encode"] == pytest.approx(3600 * 0.004, rel=0.05)


def test_a_least_score_above_all_scores_finds_nothing(frames: SetFrames) -> None:
    found = run(frames, row_of(1.0), min_score=1.01)
    assert (found.f1, found.missed_rate) == (0, 1)
    assert found.micro_ap == 1, "a ranking needs no threshold"


def test_every_row_runs_and_finds_the_copy(frames: SetFrames) -> None:
    key_frames = KeyFrames(KeyFrameSettings(selector="even", every_seconds=2.0))
    rows = [
        row
        for row in rows_of(frames, key_frames, {})
        if row.aligner in {"temporal_network", "hough_voting"}
    ]
    assert len({row.name for row in rows}) == len(rows)
    figures = [run(frames, row, min_score=0.05) for row in rows]
    assert {one.group for one in figures} >= {"PDQ", "uniform", "key frames"}
    for one in figures:
        assert one.missed_rate == 0 or one.stored_frames_per_hour < 700, one.row
    assert main_table(figures, "made").row_count == cost_table(figures).row_count == len(rows)


def test_recall_by_edit_is_that_of_the_spans_with_it() -> None:
    edits = [
        ("a-r", [0.0, 0.0, 10.0, 10.0], ["blur", "crop"]),
        ("a-r", [20.0, 20.0, 30.0, 30.0], ["crop"]),
        ("b-r", [0.0, 0.0, 10.0, 10.0], ["none"]),
    ]
    found = recall_by_edit({"a-r": [[0.0, 0.0, 10.0, 10.0]]}, edits)
    assert list(found) == ["blur", "crop", "none"]
    assert list(found.values()) == pytest.approx([1.0, 0.5, 0.0], abs=1e-5)


def made_figures(
    row: str, group: str, aligner: str, f1: float, frames: float = 3600, clear: float = 10.0
) -> Figures:
    stages = {"decode": 10.0, "select": 0.0, "encode": 10.0, "search": 1.0, "align": 1.0}
    return Figures(
        row, row, group, aligner, False, 0.5, f1, f1, f1, np.array([f1 - 0.02, f1, f1 + 0.02]),
        0.0, 0.0, f1, f1, frames, frames * 64, {**stages, "total": 22.0},
        {"clear": {"total": clear}, "matched": {"total": 28.0}},
        10, 600.0, 0.01 * frames / 3600, {},
    )  # fmt: skip


def test_targets_compare_key_frames_with_the_rows_that_they_name() -> None:
    rows = [
        made_figures("PDQ, uniform every 1 s", "PDQ", "temporal_network", 0.5),
        made_figures(NO_MOTION, "uniform", "temporal_network", 0.81),
        made_figures(NO_MOTION, "uniform", "hough_voting", 0.75),
        made_figures(DENSE, "uniform", "pattern_detector", 0.80),
        made_figures(NO_MOTION, "uniform", "pattern_detector", 0.78),
        made_figures(SAME_COUNT, "uniform", "pattern_detector", 0.75),
        made_figures("key frames, no motion", "key frames", "temporal_network", 0.72, 720),
        made_figures("key frames", "key frames", "pattern_detector (joint)", 0.84, 720),
    ]
    targets = {one.name: one for one in targets_of(rows, DECODING)}

    def value(start: str) -> float:
        found = [one.value for name, one in targets.items() if name.startswith(start)]
        assert len(found) == 1 and found[0] is not None
        return found[0]

    assert targets["F1, key frames and pattern detector"].reached is False
    over = targets["F1 over uniform 1 s, the better of detector and temporal network"]
    assert over.value == pytest.approx(3.0) and over.reached is True
    assert over.between == pytest.approx((3.0, 3.0)), "draws that are alike differ by as much"
    assert value("F1 over the best baseline aligner, uniform") == pytest.approx(-1.0)
    assert value("F1 over the best baseline aligner, key frames") == pytest.approx(12.0)
    assert value("F1 over uniform at the same count") == pytest.approx(9.0)
    assert value("library bytes") == value("search and alignment") == pytest.approx(5.0)
    assert value("CPU of a clear upload") == pytest.approx((22 - 10 + 100) / 10)
    assert value("CPU of a matched upload") == pytest.approx((22 - 10 + 100) / 28)
    assert target_table(list(targets.values())).row_count == len(targets)


def test_targets_without_the_rows_they_need_are_not_reached_and_not_missed() -> None:
    targets = targets_of([], DECODING)
    assert {one.reached for one in targets} == {None}


def test_the_curves_are_written(frames: SetFrames, tmp_path: Path) -> None:
    curve = [run(frames, row_of(every)) for every in (1.0, 4.0)]
    written = write_plots(curve, tmp_path / "plots")
    assert len(written) == 3
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)


def test_of_least_scores_as_good_the_highest_is_taken() -> None:
    assert surest(np.array([0.70, 0.80, 0.795, 0.791, 0.78])) == 3
    assert surest(np.array([0.5, 0.4, 0.3])) == 0


def test_a_missing_file_of_least_scores_names_the_cure(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="benchmarks.tuning.min_scores"):
        read_min_scores(tmp_path / "none.json")
    (tmp_path / "some.json").write_text('{"a row": {"min_score": 0.4, "f1": 0.8}}')
    assert read_min_scores(tmp_path / "some.json") == {"a row": 0.4}


def test_detector_weights_are_named(tmp_path: Path) -> None:
    file = tmp_path / "detector.onnx"
    file.touch()
    assert weights_of([f"joint={file}"]) == {"joint": file}
    with pytest.raises(SettingsError, match="NAME=PATH"):
        weights_of([str(file)])


def test_the_machine_is_named() -> None:
    assert machine()["cores"] >= 1
    assert machine()["cpu"]
