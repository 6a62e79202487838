"""The detector's score, fitted anew: on a file that was calibrated for other features."""

import shutil
from pathlib import Path

import onnx
import pytest

from benchmarks.tuning.calibrate_detector import finder_of
from models.detector.evidence import FEATURES
from models.detector.serve import PatternDetector, PatternDetectorSettings, default_detector_path
from models.errors import ModelFileError


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A detector whose score knew three numbers."""
    file = Path(shutil.copy(default_detector_path(), tmp_path))
    model = onnx.load(str(file))
    known = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, {**known, "calibration": "0 1 0"})
    onnx.save(model, str(file))
    return file


def test_a_file_of_before_finds_spans_and_stays_as_it_is(old: Path) -> None:
    before = old.read_bytes()
    assert finder_of(old, FEATURES, with_paths=False)
    assert old.read_bytes() == before
    with pytest.raises(ModelFileError, match="export it again"):
        PatternDetector(PatternDetectorSettings(path=old))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="nothing.onnx: there is no such file"):
        finder_of(tmp_path / "nothing.onnx", FEATURES, with_paths=False)
