"""Training the key-frame network: losses against slow references, selection, steps, resume."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.errors import RecipeError
from models.keyframes.export import export_keyframes
from models.keyframes.footage import SeenFootage, ViewBatches
from models.keyframes.recipe import KeyFrameRecipe, read_keyframe_recipe
from models.keyframes.soft import soft_select
from models.keyframes.train import KeyFrameTrainer, random_spans, trained_network
from models.losses.kept_similarity import kept_similarity
from models.losses.segment_classification import segment_classification
from models.training.descriptor_pool import Footage

RECIPE = KeyFrameRecipe(steps=4, videos=2, frames=8, warm_up=1, validate_every=4)


def _pool(clips: int = 12) -> list[SeenFootage]:
    """Clips of one moving grey level, whose descriptors turn with it; edits add noise."""
    random = np.random.default_rng(1)
    pool = []
    for number in range(clips):
        small = random.integers(0, 256, (3, 24, 32, 32, 3)).astype(np.uint8)
        rows = random.standard_normal((3, 24, 16)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=2, keepdims=True)
        cuts = np.array([2.5], np.float32)
        footage = Footage(f"clip{number}", rows, np.zeros((3, 24), np.float32), cuts)
        pool.append(SeenFootage(footage, small))
    return pool


def test_selection_is_one_hot_in_every_span_and_passes_gradients() -> None:
    utilities = torch.tensor([0.1, 0.9, 0.3, 0.2, 0.8], requires_grad=True)
    spans = torch.tensor([0, 0, 0, 1, 1])
    weights = soft_select(utilities, spans)
    assert weights.detach().round(decimals=4).tolist() == [[0, 1, 0, 0, 0], [0, 0, 0, 0, 1]]
    wanted = torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0])
    torch.autograd.backward((weights[0] * wanted).sum())
    assert utilities.grad is not None
    assert utilities.grad[0] > 0
    assert utilities.grad[1] < 0
    assert utilities.grad[3:].tolist() == [0.0, 0.0]


def test_drawn_selections_follow_the_utilities() -> None:
    generator = torch.Generator().manual_seed(1)
    utilities, spans = torch.tensor([0.0, 0.1]), torch.tensor([0, 0])
    drawn = [
        soft_select(utilities, spans, temperature=0.1, generator=generator)[0, 1].item()
        for _ in range(2000)
    ]
    assert np.mean(drawn) == pytest.approx(np.e / (1 + np.e), abs=0.03)


def test_selection_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match="expected"):
        soft_select(torch.zeros(3), torch.zeros(4, dtype=torch.int64))


def test_classification_is_the_mean_negative_log_of_a_softmax() -> None:
    generator = torch.Generator().manual_seed(2)
    frames = torch.nn.functional.normalize(torch.randn(5, 4, generator=generator), dim=1)
    keys = torch.nn.functional.normalize(torch.randn(3, 4, generator=generator), dim=1)
    segments = torch.tensor([0, 0, 1, 2, 2])
    slow = 0.0
    for frame, segment in zip(frames, segments.tolist(), strict=True):
        exponents = [np.exp(float(frame @ key) / 0.05) for key in keys]
        slow -= np.log(exponents[segment] / sum(exponents)) / len(frames)
    assert float(segment_classification(frames, keys, segments)) == pytest.approx(slow, rel=1e-4)


def test_the_forecast_of_what_is_kept_is_judged_pair_by_pair() -> None:
    generator = torch.Generator().manual_seed(3)
    quality = torch.rand(2, 3, generator=generator)
    plain = torch.rand(2, 3, 3, generator=generator) * 2 - 1
    edited = torch.rand(2, 3, 3, generator=generator)
    near = torch.rand(2, 3, 3, generator=generator) > 0.4
    errors = [
        (float(quality[b, m]) * max(float(plain[b, t, m]), 0) - float(edited[b, t, m])) ** 2
        for b in range(2)
        for t in range(3)
        for m in range(3)
        if near[b, t, m]
    ]
    found = float(kept_similarity(quality, plain, edited, near))
    assert found == pytest.approx(float(np.mean(errors)), rel=1e-5)


def test_pseudo_segments_cross_no_cut() -> None:
    shots = torch.tensor([0] * 7 + [1] * 5 + [2])
    spans = random_spans(shots, 4, np.random.default_rng(5))
    assert spans[0] == 0
    assert set((spans[1:] - spans[:-1]).tolist()) <= {0, 1}
    for span in set(spans.tolist()):
        inside = shots[spans == span].tolist()
        assert len(inside) <= 4
        assert len(set(inside)) == 1


def test_a_batch_is_a_function_of_seed_and_number() -> None:
    first, again, other = (
        ViewBatches(_pool(), videos=2, frames=30, batches=3, seed=seed)[1] for seed in (7, 7, 8)
    )
    assert torch.equal(first.plain, again.plain)
    assert torch.equal(first.edited_rows, again.edited_rows)
    assert not torch.equal(first.plain, other.plain)
    assert first.plain.shape == (2, 30, 32, 32, 3)
    assert first.shots.shape == (2, 30)


def test_a_run_goes_on_where_it_stopped_and_can_be_exported(tmp_path: Path) -> None:
    whole = KeyFrameTrainer(RECIPE, tmp_path / "whole")
    whole.run(_pool(), None)
    part = KeyFrameTrainer(RECIPE, tmp_path / "part")
    part.run(_pool(), 0.0)
    assert part.step == 1
    rest = KeyFrameTrainer(RECIPE, tmp_path / "part")
    rest.resume()
    rest.run(_pool(), None)
    assert rest.step == whole.step == 4
    for ours, theirs in zip(rest.network.parameters(), whole.network.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)
    assert (tmp_path / "part" / "curve.png").stat().st_size > 0
    network = trained_network(tmp_path / "part")
    sample = np.random.default_rng(1).integers(0, 256, (9, 32, 32, 3)).astype(np.uint8)
    assert export_keyframes(network, tmp_path / "k.onnx", sample) < 1e-4


def test_the_shipped_recipe_is_read_and_an_unknown_key_is_refused(tmp_path: Path) -> None:
    assert read_keyframe_recipe(Path("configs/training/keyframes.toml")).network.widths[0] == 16
    path = tmp_path / "recipe.toml"
    path.write_text("stepps = 3\n")
    with pytest.raises(RecipeError, match="stepps"):
        read_keyframe_recipe(path)
