"""A run goes on from a checkpoint of its own kind and shape, and says so where it is another."""

from pathlib import Path

import pytest

from models.detector.network import DetectorConfig
from models.detector.recipe import DetectorRecipe
from models.detector.train import DetectorTrainer
from models.errors import MissingDataError, ModelFileError
from models.keyframes.network import KeyFrameConfig
from models.keyframes.recipe import KeyFrameRecipe
from models.keyframes.train import KeyFrameTrainer, trained_network
from models.training.checkpoint import read_checkpoint

SMALL = DetectorRecipe(network=DetectorConfig(widths=(4, 4, 4, 4, 4), merged=4))
FEW = KeyFrameRecipe(network=KeyFrameConfig(widths=(4, 4, 4), look=4))


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    """The folder of a detector's run."""
    DetectorTrainer(SMALL, tmp_path / "boxes").save()
    return tmp_path / "boxes"


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """The folder of a key-frame run."""
    KeyFrameTrainer(FEW, tmp_path / "frames").save()
    return tmp_path / "frames"


def test_a_run_of_the_same_shape_is_taken_over(boxes: Path, frames: Path, tmp_path: Path) -> None:
    DetectorTrainer(SMALL, tmp_path / "next").start_from(boxes)
    DetectorTrainer(SMALL, boxes).resume()
    KeyFrameTrainer(FEW, frames).resume()
    assert trained_network(frames).config == FEW.network


def test_another_shape_is_told(boxes: Path, frames: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"boxes/checkpoint\.pt is of another PatternNetwork"):
        DetectorTrainer(DetectorRecipe(), tmp_path / "next").start_from(boxes)
    with pytest.raises(ModelFileError, match="another PatternNetwork"):
        DetectorTrainer(DetectorRecipe(), boxes).resume()
    with pytest.raises(ModelFileError, match="another KeyFrameNetwork"):
        KeyFrameTrainer(KeyFrameRecipe(), frames).resume()


def test_another_kind_of_run_is_told(boxes: Path, frames: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="has no 'mean': it is of another kind of run"):
        DetectorTrainer(SMALL, tmp_path / "next").start_from(frames)
    with pytest.raises(ModelFileError, match="another KeyFrameNetwork"):
        KeyFrameTrainer(FEW, boxes).resume()


def test_a_folder_without_a_run_and_a_damaged_file_are_told(boxes: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"no checkpoint\.pt in .*none"):
        read_checkpoint(tmp_path / "none")
    (boxes / "checkpoint.pt").write_bytes(b"PK\x03\x04")
    with pytest.raises(ModelFileError, match="is no checkpoint, or damaged"):
        DetectorTrainer(SMALL, boxes).resume()
