"""Score biases: against a slow reference, in the exported file, and what they are good for."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from models.encoder.background import background_pictures, best_biases, bias_figures
from models.encoder.export import PARITY_BOUND, export
from models.encoder.network import EncoderConfig, FrameNetwork
from models.encoder.score_biases import ScoredNetwork, background_nearest, mean_nearest
from models.encoder.serve import EncodedFrames, FrameEncoder
from models.encoder.validate import Retrieval, RetrievalTask, rank, without_biases
from models.encoder.warm_start import load_exported
from models.training.source import Source

SMALL = EncoderConfig(input_size=32, dimension=16, stages=1, local_stage=0)  # soon traced


def frames(count: int, seed: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def unit(count: int, dimension: int = 16, seed: int = 1) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    found: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return found


def network(seed: int = 1) -> FrameNetwork:
    torch.manual_seed(seed)
    return FrameNetwork(SMALL).eval()


def scored(beta: float = 0.5, neighbours: int = 3) -> ScoredNetwork:
    return ScoredNetwork(network(), unit(80), neighbours, beta).eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scored") / "encoder.onnx"
    export(scored(), path, frames(8))
    return path


@pytest.mark.parametrize("neighbours", [1, 4, 19])
def test_the_mean_of_the_nearest_is_that_of_sorting(neighbours: int) -> None:
    rows, background = unit(7, seed=2), unit(20)
    for row, found in zip(rows, mean_nearest(rows, background, neighbours), strict=True):
        nearest = sorted((float(row @ b) for b in background), reverse=True)[:neighbours]
        assert found == pytest.approx(np.mean(nearest), abs=1e-5)
    for index, found in enumerate(background_nearest(background, neighbours)):
        others = np.delete(background, index, axis=0)
        assert found == pytest.approx(
            float(mean_nearest(background[index : index + 1], others, neighbours)[0]), abs=1e-5
        )


def test_the_network_and_the_file_say_what_the_reference_says(exported: Path) -> None:
    pictures = frames(9, seed=3)
    background = unit(80).astype(np.float16).astype(np.float32)
    encoder = FrameEncoder(exported, batch=4)
    described = encoder.describe(pictures)
    wanted = 0.5 * (
        mean_nearest(described.descriptors, background, 3)
        - background_nearest(background, 3).mean()
    )
    assert np.abs(described.score_biases - wanted).max() < 1e-4
    with torch.inference_mode():
        rows, biases = scored()(torch.from_numpy(pictures))
    assert np.abs(described.descriptors - rows.numpy()).max() < PARITY_BOUND
    assert np.abs(described.score_biases - biases.numpy()).max() < PARITY_BOUND
    assert np.array_equal(encoder.encode(pictures), described.descriptors)


def test_the_file_says_how_its_biases_were_made(exported: Path, tmp_path: Path) -> None:
    metadata = {p.key: p.value for p in onnx.load(str(exported)).metadata_props}
    assert metadata["score_neighbours"] == "3"
    assert metadata["score_beta"] == "0.5"
    assert metadata["score_background"] == "80"
    export(scored(beta=0.75), tmp_path / "other.onnx", frames(2))
    assert FrameEncoder(tmp_path / "other.onnx").model_version != metadata["model_version"]


def test_training_goes_on_from_a_file_with_biases(exported: Path) -> None:
    again = network(seed=2)
    load_exported(again, exported)
    with torch.inference_mode():
        rows = again.eval()(torch.from_numpy(frames(4))).numpy()
    assert np.abs(rows - FrameEncoder(exported).encode(frames(4))).max() < PARITY_BOUND


@pytest.mark.parametrize("neighbours", [0, 80, 81])
def test_more_neighbours_than_background_are_refused(neighbours: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 79"):
        scored(neighbours=neighbours)


def test_a_description_of_different_lengths_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(3,\)"):
        EncodedFrames(unit(3), np.zeros(2, np.float32))


def crowded_task() -> tuple[RetrievalTask, NDArray[np.float32], NDArray[np.float32]]:
    """Copies of spread rows, and strangers that crowd around one direction of the background."""
    crowd = unit(1, seed=9) + 0.25 * unit(30, seed=5)
    spread = unit(30, seed=6)
    library = np.concatenate([spread, crowd[:15]])
    library /= np.linalg.norm(library, axis=1, keepdims=True)
    queries = np.concatenate([spread + 0.6 * unit(30, seed=7), crowd[15:]])
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    none = np.zeros((1, 1, 1, 3), np.uint8)
    clips = np.concatenate([np.arange(30), np.full(15, -1)])
    asked = np.concatenate([np.arange(30), np.arange(100, 115)])
    task = RetrievalTask(none, none, clips, np.zeros(45, int), asked, np.zeros(45, int))
    return task, library.astype(np.float32), queries.astype(np.float32)


def test_biases_bring_crowded_frames_below_true_copies() -> None:
    task, library, queries = crowded_task()
    background = np.concatenate([unit(60, seed=8), unit(1, seed=9).repeat(20, axis=0)])
    figures = bias_figures(task, library, queries, background, neighbours=(5,), betas=(0.0, 1.0))
    plain = rank(task, without_biases(library), without_biases(queries))
    assert figures[5, 0.0] == plain
    assert figures[5, 1.0].average_precision > plain.average_precision + 0.1
    assert best_biases(figures) == (5, 1.0)


def test_the_best_biases_are_by_average_precision_and_recall_together() -> None:
    figures = {
        (1, 0.0): Retrieval(1.0, 0.8, 0.6, 0.5, 0.5),
        (1, 0.5): Retrieval(0.9, 0.7, 0.8, 0.5, 0.5),
        (3, 0.5): Retrieval(0.9, 0.8, 0.65, 0.5, 0.5),
    }
    assert best_biases(figures) == (1, 0.5)


def test_the_background_is_of_clips_and_photos_and_the_same_each_time() -> None:
    clips = [Source(f"c{n}", list(frames(6, seed=n))) for n in range(5)]
    photos = [Source(f"p{n}", list(frames(1, seed=100 + n))) for n in range(40)]
    chosen = background_pictures(clips, photos, size=32, count=20)
    assert chosen.shape == (20, 32, 32, 3)
    assert np.array_equal(chosen, background_pictures(clips, photos, size=32, count=20))
    shown = {picture.tobytes() for clip in clips for picture in clip.pictures}
    assert sum(picture.tobytes() in shown for picture in chosen) == 10
