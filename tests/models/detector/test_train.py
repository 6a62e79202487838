"""Training of the pattern detector: what it sees is true; it learns, resumes and exports."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.detector.batches import PairBatches
from models.detector.calibrate import fit_logistic
from models.detector.evidence import FEATURES
from models.detector.export import export_detector
from models.detector.grid import CHANNELS
from models.detector.network import DetectorConfig, PatternNetwork
from models.detector.pasted_pairs import PairMaker
from models.detector.recipe import DetectorRecipe
from models.detector.serve import PatternDetector, PatternDetectorSettings
from models.detector.train import DetectorTrainer
from models.detector.validate import held_out_figures
from models.errors import MissingDataError, ModelFileError
from models.losses.interval_overlap import interval_overlap
from models.losses.quality_focal import quality_focal
from tests.models.made_footage import CLEAN, POOL, footage
from tests.stream.command import Command

SMALL = DetectorConfig(widths=(6, 8, 8, 8, 8), merged=8)
RECIPE = DetectorRecipe(
    steps=8, pairs=4, warm_up=2, lengths_seconds=(30.0,), network=SMALL, made=CLEAN, averaging=0.5
)


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


@pytest.mark.parametrize(
    ("clips", "words"),
    [
        (100, r"the network finds 0 spans.*train it longer"),
        (3, r"no pairs can be made of the held-out clips in .*at least four clips"),
    ],
)
def test_a_run_or_footage_that_is_not_enough_is_one_line_at_export(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    clips: int,
    words: str,
) -> None:
    pool = [footage(number) for number in range(clips)]
    monkeypatch.setattr("models.detector.export.load_pool", lambda *_: pool)
    monkeypatch.setattr("models.detector.export.CALIBRATION_PAIRS", 4)
    torch.manual_seed(1)
    DetectorTrainer(RECIPE, tmp_path).save()
    done = Command(monkeypatch, capfd)(
        *("export", "detector", "--run", tmp_path, "--pictures", tmp_path),
        *("--out", tmp_path / "detector.onnx"),
    )
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert re.match(f"error: {words}", line)
    assert not (tmp_path / "detector.onnx").exists()


def test_a_few_clips_are_not_enough_to_train_on(tmp_path: Path) -> None:
    few = [footage(number) for number in range(4)]
    with pytest.raises(MissingDataError, match="held out.*expected at least four clips"):
        DetectorTrainer(RECIPE, tmp_path).run(few, None)


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
    weights = np.eye(FEATURES)[1]  # the network's own score
    difference = export_detector(
        PatternNetwork(SMALL).eval(), path, weights, sample, encoder_version="encoder-test"
    )
    assert difference < 2e-2
    return path


def test_an_exported_detector_takes_pictures_of_any_size(exported: Path) -> None:
    detector = PatternDetector(PatternDetectorSettings(path=exported, min_score=0.0))
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
    with pytest.raises(ModelFileError, match=r"3 features, expected 11 or 12: export it again"):
        PatternDetector(PatternDetectorSettings(path=tmp_path / "old.onnx"))
