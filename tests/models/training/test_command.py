"""`samesource train detector` as the detector's card says it: videos in, better than chance out.

With `TRAINING_FOOTAGE=DIR`, a folder with clips/*.mp4, it learns from a tenth of them for
ten minutes; without, from clips that it draws, for as many steps as a busy machine takes too.
"""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from models.detector.recipe import read_detector_recipe
from models.detector.train import DetectorTrainer
from models.detector.validate import held_out_figures, validation_pairs
from models.encoder.serve import FrameEncoder, default_encoder_path
from models.training.descriptor_pool import load_pool
from models.training.pool_pictures import build_pictures
from stream.demo.clips import make_clip
from stream.demo.plan import Clip, Drawn
from stream.demo.scenes import SCENES
from tests.stream.command import Command

FOOTAGE = os.environ.get("TRAINING_FOOTAGE")
MINUTES = 10.0
SHARE = 10
HELD = 8 if FOOTAGE else 4
DRAWN = 9  # four are held out by the test, and one by the training; pairs take four clips
SHOTS, SHOT_SECONDS = 2, 1.0
RECIPE = Path("configs/training/detector.toml")
SHORT_RECIPE = """
steps = 40
pairs = 8
rate = 4e-3
warm_up = 10
lengths_seconds = [30.0]
averaging = 0.95
[network]
widths = [16, 32, 48, 64, 64]
merged = 32
"""


def drawn(folder: Path) -> list[Path]:
    """Clips of a few short shots each."""
    scenes = sorted(SCENES)
    clips = []
    for number in range(DRAWN):
        shots = tuple(
            Drawn(scenes[(SHOTS * number + shot) % len(scenes)], 100 * number + shot, SHOT_SECONDS)
            for shot in range(SHOTS)
        )
        clips.append(make_clip(Clip(f"c{number:02d}", shots), folder, "clips"))
    return clips


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two data folders: to learn from, and to measure on."""
    folder = tmp_path_factory.mktemp("footage")
    paths = sorted(Path(FOOTAGE).glob("clips/*.mp4")) if FOOTAGE else drawn(folder)
    learned = paths[::SHARE] if FOOTAGE else paths[HELD:]
    held = [path for path in paths if path not in learned][:HELD]
    for name, own in (("learned", learned), ("held", held)):
        (folder / name / "clips").mkdir(parents=True)
        for path in own:
            (folder / name / "clips" / path.name).symlink_to(path.resolve())
    return folder / "learned", folder / "held"


@pytest.mark.timeout(60 * (MINUTES + 10))
def test_a_short_training_on_some_clips_beats_random_weights(
    footage: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    learned, held = footage
    recipe_file, length = RECIPE, ["--minutes", str(MINUTES)]
    if not FOOTAGE:
        recipe_file, length = tmp_path / "recipe.toml", []
        recipe_file.write_text(SHORT_RECIPE)
    done = Command(monkeypatch, capfd)(
        "train", "detector", "--data", learned, "--out", tmp_path / "detector",
        "--recipe", recipe_file, *length,
    )  # fmt: skip
    assert done.code == 0, done.err[-2000:]
    assert (tmp_path / "detector" / "curve.png").exists()

    encoder, recipe = FrameEncoder(default_encoder_path()), read_detector_recipe(recipe_file)
    build_pictures(held, tmp_path / "held", size=encoder.input_size)
    pool = load_pool(tmp_path / "held", encoder)
    check = validation_pairs(pool, replace(recipe, validation_pairs=64 if FOOTAGE else 24))
    untrained = DetectorTrainer(recipe, tmp_path / "untrained")
    trained = DetectorTrainer(recipe, tmp_path / "detector")
    trained.resume()
    before, after = (held_out_figures(one.mean, check)["f1"] for one in (untrained, trained))
    print(
        f"F1 {100 * before:.1f} with random weights, {100 * after:.1f} after {trained.step} steps"
    )
    assert after > before + 0.05, (before, after, trained.step)
