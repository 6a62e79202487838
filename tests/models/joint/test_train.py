"""Joint training: the detector's loss reaches the frames' scores, and a run goes on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.detector.network import DetectorConfig
from models.detector.pair_plans import PairRecipe
from models.detector.recipe import DetectorRecipe
from models.detector.train import DetectorTrainer
from models.joint.pairs import JointPairs
from models.joint.recipe import JointRecipe
from models.joint.train import JointTrainer
from models.keyframes.footage import SeenFootage
from models.keyframes.network import KeyFrameConfig
from models.keyframes.recipe import KeyFrameRecipe
from models.keyframes.train import KeyFrameTrainer
from models.training.checkpoint import read_checkpoint
from tests.models.made_footage import footage

BOXES = DetectorRecipe(
    steps=8,
    network=DetectorConfig(widths=(6, 8, 8, 8, 8), merged=8),
    made=PairRecipe(longest_seconds=30.0),
    averaging=0.5,
)
FRAMES = KeyFrameRecipe(network=KeyFrameConfig(widths=(4, 4, 4)))
RECIPE = JointRecipe(steps=3, pairs=2, warm_up=1, lengths_seconds=(30.0,), detector=BOXES)


@pytest.fixture(scope="module")
def pool() -> list[SeenFootage]:
    """Clips with thumbnails of chance."""
    random = np.random.default_rng(4)
    clips = [footage(number) for number in range(14)]
    sizes = [(3, one.descriptors.shape[1], 32, 32, 3) for one in clips]
    return [
        SeenFootage(one, random.integers(0, 256, size, np.uint8))
        for one, size in zip(clips, sizes, strict=True)
    ]


def trainer_in(folder: Path, recipe: JointRecipe = RECIPE, *, resume: bool = False) -> JointTrainer:
    frames = KeyFrameTrainer(FRAMES, folder / "keyframes")
    boxes = DetectorTrainer(BOXES, folder / "detector")
    if resume:
        frames.resume()
        boxes.resume()
    trainer = JointTrainer(recipe, folder, frames, boxes)
    if resume:
        trainer.step, trainer.curve = boxes.step, boxes.curve
    return trainer


def weights(trainer: JointTrainer) -> NDArray[np.float32]:
    networks = (trainer.key_frames.network, trainer.detector.network, trainer.detector.mean)
    values = [value for one in networks for value in one.state_dict().values()]
    return np.concatenate([value.to(torch.float32).flatten().numpy() for value in values])


def test_the_detectors_loss_reaches_the_scores_of_the_frames(
    pool: list[SeenFootage], tmp_path: Path
) -> None:
    recipe = JointRecipe(pairs=2, lengths_seconds=(30.0,), kept_weight=0.0, detector=BOXES)
    trainer = trainer_in(tmp_path, recipe)
    network = trainer.key_frames.network
    before = {name: value.clone() for name, value in network.state_dict().items()}
    figures = trainer.update(JointPairs(pool, recipe)[0])
    assert np.isfinite(list(figures.values())).all()
    gradients = [p.grad for p in network.quality.parameters()]
    assert all(g is not None and float(g.abs().sum()) > 0 for g in gradients)
    after = network.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_a_run_that_is_stopped_and_resumed_reaches_the_same_numbers(
    pool: list[SeenFootage], tmp_path: Path
) -> None:
    whole = trainer_in(tmp_path / "whole")
    whole.run(pool, None)
    parts = trainer_in(tmp_path / "parts")
    parts.run(pool, 0.0)
    assert parts.step == 1
    rest = trainer_in(tmp_path / "parts", resume=True)
    rest.run(pool, None)
    assert rest.step == whole.step == 3
    assert np.array_equal(weights(rest), weights(whole))
    assert rest.curve == whole.curve
    assert [sorted(row) for row in whole.curve] == [["kept", "loss", "step"]] * 3
    for name in ("keyframes", "detector"):
        state = read_checkpoint(tmp_path / "parts" / name)
        assert (state["step"], state["curve"]) == (3, whole.curve)
