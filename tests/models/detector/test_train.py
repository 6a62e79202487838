"""Training of the pattern detector: what it sees is true; it learns, resumes and exports."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.aligners.base import Segment
from models.aligners.matrix import SimilarityMatrix
from models.detector.batches import PairBatches
from models.detector.calibrate import fit_logistic
from models.detector.export import export_detector
from models.detector.grid import CHANNELS
from models.detector.lines import LineFinder
from models.detector.network import DetectorConfig, PatternNetwork
from models.detector.pasted_pairs import PairMaker, PairRecipe
from models.detector.recipe import DetectorRecipe
from models.detector.serve import PatternDetector, PatternDetectorSettings
from models.detector.timelines import Piece, Timeline, sliced
from models.detector.train import DetectorTrainer
from models.detector.validate import held_out_figures
from models.errors import ModelFileError
from models.losses.interval_overlap import interval_overlap
from models.losses.quality_focal import quality_focal
from models.training.descriptor_pool import Footage
from tests.models.made_footage import footage

SMALL = DetectorConfig(widths=(6, 8, 8, 8, 8), merged=8)
CLEAN = PairRecipe(
    longest_seconds=30.0,
    clear_share=0.0,
    several_share=0.0,
    reversed_share=0.0,
    other_speed_share=0.0,
    gaps_seconds=(1.0,),
    query_steps_seconds=(1.0,),
    most_noise=0.0,
    most_mixed=0.0,
    pooled_share=0.0,
)
RECIPE = DetectorRecipe(
    steps=8, pairs=4, warm_up=2, lengths_seconds=(30.0,), network=SMALL, made=CLEAN, averaging=0.5
)


POOL = [footage(number) for number in range(14)]


def along_the_boxes(matrix: SimilarityMatrix, boxes: NDArray[np.float32]) -> list[float]:
    """Mean similarity on each box's diagonal."""
    means = []
    for q0, r0, q1, r1 in boxes.tolist():
        rows = np.flatnonzero((matrix.query_seconds > q0) & (matrix.query_seconds < q1))
        at = r0 + (matrix.query_seconds[rows] - q0) * (r1 - r0) / (q1 - q0)
        columns = np.abs(matrix.reference_seconds[None, :] - at[:, None]).argmin(axis=1)
        means.append(float(matrix.values[rows, columns].mean()))
    return means


@pytest.mark.parametrize("changed", [{}, {"other_speed_share": 1.0}, {"several_share": 1.0}])
def test_boxes_lie_where_the_reference_is_pasted(changed: dict[str, Any]) -> None:
    maker = PairMaker(POOL, replace(CLEAN, longest_seconds=60.0, **changed), 5)
    pairs = [maker.pair(index) for index in range(12)]
    means = [m for pair in pairs for m in along_the_boxes(pair.similarity, pair.boxes)]
    assert len(means) >= 12
    assert np.mean(means) > 0.75 and min(means) > 0.4
    assert np.mean([pair.similarity.values.mean() for pair in pairs]) < 0.2


def test_backward_spans_run_down_the_other_diagonal() -> None:
    maker = PairMaker(POOL, replace(CLEAN, longest_seconds=60.0, reversed_share=1.0), 6)
    pairs = [maker.pair(index) for index in range(8)]
    assert all(pair.reversed.all() for pair in pairs)
    means = []
    for pair in pairs:
        turned = pair.boxes[:, [0, 3, 2, 1]]
        means += along_the_boxes(pair.similarity, turned)
    assert np.mean(means) > 0.75


def test_what_moves_in_a_copy_moves_in_its_original() -> None:
    spans = replace(CLEAN, longest_seconds=60.0, reversed_share=0.0, motionless_share=0.0)
    maker = PairMaker(POOL, spans, 5)
    agreed = []
    for index in range(12):
        pair = maker.pair(index)
        finder = LineFinder(pair.similarity)
        for q0, r0, q1, r1 in pair.boxes.tolist():
            span = Segment(q0, q1, r0, r1, 1.0)
            elsewhere = Segment(q0, q1, max(r0 - 5, 0), max(r1 - 5, 1), 1.0)
            if q1 - q0 > 8:
                agreed.append((finder.motion_agreement(span), finder.motion_agreement(elsewhere)))
    here, there = np.array(agreed).T
    assert len(agreed) > 5
    assert np.median(here) > 0.6 > 0.4 > np.median(there)


def test_at_double_speed_twice_as_much_moves() -> None:
    even = [replace(POOL[0], motion=np.full(48, 1.5, np.float32))]
    once = Timeline([Piece(0, 0, 0.0, 12.0)]).motion(even, np.random.default_rng(0))
    twice = Timeline([Piece(0, 0, 0.0, 12.0, speed=2.0)]).motion(even, np.random.default_rng(0))
    assert len(once) == 48 and len(twice) == 24
    np.testing.assert_allclose(np.expm1(twice), 2 * np.expm1(1.5), rtol=1e-5)
    np.testing.assert_allclose(once, 1.5, rtol=1e-5)


def test_pairs_without_motion_are_among_them() -> None:
    maker = PairMaker(POOL, replace(CLEAN, motionless_share=1.0), 5)
    assert len(maker.pair(0).similarity.query_motion) == 0


def test_a_pair_is_a_function_of_seed_and_number() -> None:
    one, again = (PairMaker(POOL, PairRecipe(), 3).pair(7) for _ in range(2))
    assert (one.similarity.values == again.similarity.values).all()
    assert (one.boxes == again.boxes).all()
    other = PairMaker(POOL, PairRecipe(), 4).pair(7)
    assert one.similarity.values.shape != other.similarity.values.shape


def test_too_little_footage_is_refused() -> None:
    with pytest.raises(ValueError, match="at least four clips"):
        PairMaker(POOL[:3], PairRecipe(), 1)


def test_a_few_clips_are_enough_for_pairs_of_any_length() -> None:
    maker = PairMaker(POOL[:4], replace(CLEAN, longest_seconds=120.0), 1)
    assert all(maker.pair(index).similarity.values.size for index in range(20))


def test_clips_of_a_single_scene_are_refused() -> None:
    twins = [replace(POOL[0], name=f"twin{number}") for number in range(4)]
    with pytest.raises(ValueError, match="footage of more scenes"):
        PairMaker(twins, CLEAN, 1).pair(0)


def test_clips_of_one_scene_never_meet() -> None:
    twin = replace(POOL[0], name="twin")
    maker = PairMaker([*POOL[:6], twin], replace(CLEAN, clear_share=1.0), 2)
    for index in range(40):
        plan = maker.plan(np.random.default_rng(index))
        known = {piece.clip for piece in plan.reference.pieces}
        asked = {piece.clip for piece in plan.query.pieces}
        assert not ({0, 6} & known and {0, 6} & asked - known)


def family_of(number: int) -> tuple[Footage, Footage]:
    """Two shows of one template: nearly the same pictures, and no copy."""
    one = footage(number)
    return (
        replace(one, name=f"pages-{number}-a", family=f"pages-{number}"),
        replace(one, name=f"pages-{number}-b", family=f"pages-{number}"),
    )


def test_pages_of_one_family_meet_and_are_no_copy() -> None:
    shows = [show for number in range(50, 53) for show in family_of(number)]
    recipe = replace(CLEAN, clear_share=1.0, family_share=1.0)
    maker = PairMaker([*POOL[:6], *shows], recipe, 2)
    met = 0
    for index in range(30):
        plan = maker.plan(np.random.default_rng((2, index)))
        reference = {piece.clip for piece in plan.reference.pieces}
        query = {piece.clip for piece in plan.query.pieces}
        assert not len(plan.boxes) and not reference & query
        families = {number // 2 for number in reference if number >= 6}
        met += bool(families & {number // 2 for number in query if number >= 6})
    assert met > 15


def test_a_slice_of_a_timeline_plays_the_same() -> None:
    timeline = Timeline([Piece(0, 0, 2.0, 6.0), Piece(1, 0, 0.0, 8.0)])
    parts = Timeline(list(sliced(timeline, 3.0, 11.0)))
    times = np.arange(0, 8, 0.25, dtype=np.float32)
    random = np.random.default_rng(0)
    whole = timeline.describe(POOL, times + np.float32(3.0), random)[0]
    assert np.allclose(parts.describe(POOL, times, random)[0], whole)
    assert timeline.cuts(POOL).tolist() == [2.0, 6.0, 10.0]


def test_interval_overlap_is_that_of_the_intervals() -> None:
    random = np.random.default_rng(1)
    ours, truth = random.uniform(0.1, 5, (2, 50, 2))
    got = interval_overlap(torch.tensor(ours), torch.tensor(truth)).numpy()
    for (a, b), (c, d), value in zip(ours, truth, got, strict=True):
        shared = min(b, d) - max(-a, -c)
        assert value == pytest.approx(shared / (max(b, d) - min(-a, -c)))


def test_quality_focal_is_its_formula_in_loops() -> None:
    random = np.random.default_rng(2)
    logits, quality = random.standard_normal(40), random.uniform(0, 1, 40)
    total = 0.0
    for logit, wanted in zip(logits, quality, strict=True):
        score = 1 / (1 + np.exp(-logit))
        entropy = -wanted * np.log(score) - (1 - wanted) * np.log(1 - score)
        total += abs(wanted - score) ** 2 * entropy
    assert float(quality_focal(torch.tensor(logits), torch.tensor(quality))) == pytest.approx(total)


def test_the_logistic_fit_finds_what_made_the_data() -> None:
    random = np.random.default_rng(3)
    rows = np.column_stack([np.ones(4000), random.standard_normal((4000, 2))])
    wanted = np.array([-0.5, 2.0, -1.0])
    right = (random.uniform(size=4000) < 1 / (1 + np.exp(-rows @ wanted))).astype(float)
    np.testing.assert_allclose(fit_logistic(rows, right), wanted, atol=0.25)


def state(trainer: DetectorTrainer) -> NDArray[np.float32]:
    weights = trainer.mean.state_dict().values()
    return np.concatenate([w.to(torch.float32).flatten().numpy() for w in weights])


def test_a_run_that_is_stopped_and_resumed_reaches_the_same_numbers(tmp_path: Path) -> None:
    batches = PairBatches(POOL, RECIPE)
    whole = DetectorTrainer(RECIPE, tmp_path / "whole")
    first = DetectorTrainer(RECIPE, tmp_path / "parts")
    for index in range(4):
        whole.update(batches[index])
    for index in range(2):
        first.update(batches[index])
    first.save()
    second = DetectorTrainer(replace(RECIPE, seed=9), tmp_path / "parts")
    second.recipe = RECIPE
    second.resume()
    for index in range(2, 4):
        second.update(batches[index])
    assert second.step == whole.step == 4
    assert np.allclose(state(second), state(whole), atol=1e-5)
    assert (tmp_path / "parts" / "curve.png").stat().st_size > 1000


def test_a_short_training_beats_random_weights_by_far(tmp_path: Path) -> None:
    recipe = replace(RECIPE, steps=80, pairs=8, rate=8e-3, warm_up=10, averaging=0.9)
    held = PairMaker([footage(100 + number) for number in range(8)], recipe.made, 11)
    check = [held.pair(index) for index in range(24)]
    trainer = DetectorTrainer(recipe, tmp_path)
    before = held_out_figures(trainer.mean, check)["f1"]
    batches = PairBatches(POOL, recipe)
    for index in range(recipe.steps):
        trainer.update(batches[index])
    after = held_out_figures(trainer.mean, check)["f1"]
    assert after > before + 0.3, (before, after)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("detector") / "detector.onnx"
    sample = np.random.default_rng(1).uniform(-1, 1, (2, CHANNELS, 32, 48)).astype(np.float32)
    weights = np.array([0.0, 1.0, 0.0, 0.0, 0.0])
    difference = export_detector(
        PatternNetwork(SMALL).eval(), path, weights, sample, encoder_version="encoder-test"
    )
    assert difference < 2e-2
    return path


def test_an_exported_detector_takes_pictures_of_any_size(exported: Path) -> None:
    detector = PatternDetector(PatternDetectorSettings(path=exported, least_score=0.0))
    assert detector.version.startswith("spd-")
    for index in (1, 2):
        pair = PairMaker(POOL, replace(CLEAN, longest_seconds=30.0 * index), 1).pair(index)
        for segment in detector.align(pair.similarity):
            assert 0 <= segment.score <= 1


def test_a_file_without_metadata_is_refused(exported: Path, tmp_path: Path) -> None:
    import onnx

    model = onnx.load(str(exported))
    del model.metadata_props[:]
    onnx.save(model, str(tmp_path / "bare.onnx"))
    with pytest.raises(ModelFileError, match=r"lacks the metadata"):
        PatternDetector(PatternDetectorSettings(path=tmp_path / "bare.onnx"))


def test_a_file_that_is_calibrated_for_other_features_is_refused(
    exported: Path, tmp_path: Path
) -> None:
    import onnx

    model = onnx.load(str(exported))
    onnx.helper.set_model_props(model, {"model_version": "spd-old", "calibration": "0 1 0"})
    onnx.save(model, str(tmp_path / "old.onnx"))
    with pytest.raises(ModelFileError, match=r"3 features, expected 5 or 6: export it again"):
        PatternDetector(PatternDetectorSettings(path=tmp_path / "old.onnx"))
