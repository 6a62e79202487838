"""What is near to everything is no longer before what fits."""

import numpy as np
import onnxruntime
import pytest
import torch

from models.encoder.onnx_file import store_as_bytes, to_onnx
from models.errors import BrokenDataError
from models.text_video import score_biases
from models.text_video.score_biases import (
    LIFT,
    NEAREST,
    NUMBERS,
    WEIGHT,
    PairBiases,
    ScoreBiases,
    Vectors,
    make_biases,
)

DIMENSION = 24
rng = np.random.default_rng


def unit(rows: np.ndarray) -> Vectors:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def drawn(count: int, seed: int) -> Vectors:
    """Rows with much in common, as those of trained towers have."""
    return unit(rng(seed).standard_normal((count, DIMENSION)) + 0.7)


@pytest.fixture(scope="module")
def biases() -> PairBiases:
    return make_biases(drawn(900, 0), [drawn(1200, 1), drawn(300, 8)])


def held(module: ScoreBiases, rows: Vectors) -> Vectors:
    found: Vectors = module(torch.from_numpy(rows)).numpy()
    return found


def slow_biases(rows: Vectors, module: ScoreBiases) -> np.ndarray:
    """(N,) of rows, one by one, without a bound."""
    kinds = np.split(module.middles.numpy(), np.cumsum(module.kinds)[:-1])
    near = [np.mean([sorted(kind @ row)[-NEAREST:] for kind in kinds]) for row in rows]
    return WEIGHT * (np.array(near) - float(module.average))


def test_the_cosine_is_the_similarity_less_both_biases(biases: PairBiases) -> None:
    videos, texts = drawn(50, 2), drawn(40, 3)
    of_videos, of_texts = held(biases.video, videos), held(biases.text, texts)
    for rows in (of_videos, of_texts):
        assert rows.shape[1] == DIMENSION + NUMBERS
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    of_text, of_video = (
        slow_biases(rows, module).clip(-(LIFT**2), LIFT**2)
        for rows, module in ((texts, biases.text), (videos, biases.video))
    )
    wanted = texts @ videos.T - of_text[:, None] - of_video
    np.testing.assert_allclose(of_texts @ of_videos.T * (1 + 2 * LIFT**2), wanted, atol=1e-5)
    assert np.abs(slow_biases(videos, biases.video)).max() > 0.01


def test_on_the_whole_there_is_no_bias(biases: PairBiases) -> None:
    assert abs(slow_biases(drawn(900, 0), biases.video).mean()) < 1e-6
    assert abs(slow_biases(drawn(1200, 1), biases.text).mean()) < 1e-6


def test_what_is_near_to_everything_no_longer_hides_what_fits(biases: PairBiases) -> None:
    """Each text has its video, and beside them one is what all texts have in common."""
    texts = drawn(200, 4)
    videos = unit(texts + 0.5 * rng(5).standard_normal(texts.shape).astype(np.float32))
    hub = unit(np.ones((1, DIMENSION)))
    with_hub = np.concatenate([videos, hub])
    plain = texts @ with_hub.T
    fair = held(biases.text, texts) @ held(biases.video, with_hub).T
    first = [(found.argmax(axis=1) == len(videos)).mean() for found in (plain, fair)]
    assert first[0] > 0.1 and first[1] < first[0] / 3
    right = [(found.argmax(axis=1) == np.arange(200)).mean() for found in (plain, fair)]
    assert right[1] > right[0]


def test_a_bias_is_bounded(biases: PairBiases) -> None:
    """The numbers beside must not outweigh what a vector says."""
    odd = unit(-np.ones((1, DIMENSION)))
    assert slow_biases(odd, biases.video)[0] < -(LIFT**2)
    row = held(biases.video, odd)[0]
    assert np.isfinite(row).all()
    assert row[DIMENSION] * (1 + 2 * LIFT**2) ** 0.5 == pytest.approx(LIFT)


def test_a_small_training_has_as_many_middles_as_it_has_rows(
    biases: PairBiases, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ScoreBiases(drawn(9, 0), [drawn(9, 1), drawn(5, 2)], of_texts=True).kinds == [9, 5]
    with pytest.raises(BrokenDataError, match="3 photos.*expected 4 or more"):
        make_biases(drawn(9, 0), [drawn(9, 1), drawn(3, 1)])
    monkeypatch.setattr(score_biases, "SEED", 7)
    again = ScoreBiases(drawn(900, 0), [drawn(1200, 1), drawn(300, 8)], of_texts=False)
    assert not torch.equal(again.middles, biases.video.middles)


def test_the_same_rows_have_the_same_biases_and_a_file_holds_them_small(
    biases: PairBiases,
) -> None:
    again = make_biases(drawn(900, 0), [drawn(1200, 1), drawn(300, 8)])
    assert torch.equal(again.text.middles, biases.text.middles)
    model = to_onnx(biases.text.eval(), ["rows"], drawn(2, 6), name="plain")
    store_as_bytes(model)
    assert len(model.SerializeToString()) < 2 * len(biases.text.middles) * DIMENSION
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    texts = drawn(30, 7)
    for count in (30, 1):
        found = session.run(None, {"plain": texts[:count]})[0]
        np.testing.assert_allclose(found, held(biases.text, texts[:count]), atol=5e-3)
