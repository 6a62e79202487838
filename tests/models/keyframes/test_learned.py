"""The learned extractor: what it keeps, what it is told by, and what is stored of it."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from models.encoder.serve import EncodedFrames
from models.errors import ModelFileError
from models.keyframes import SELECTORS, make_selector
from models.keyframes.base import CandidateFrames
from models.keyframes.learned import LearnedSelector
from models.keyframes.pooling import owners_of, pool_description
from models.keyframes.serve import CHUNK, FrameScorer, default_scorer_path
from models.keyframes.settings import KeyFrameSettings
from models.keyframes.stored import stored_frames
from models.keyframes.thumbnails import THUMBNAIL, thumbnails

SIZE = 64


def _scenes(count: int, seed: int = 3) -> NDArray[np.uint8]:
    """(N, S, S, 3) uint8, coarse pictures, no two alike."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3)).astype(np.uint8)
    return coarse.repeat(SIZE // 8, axis=1).repeat(SIZE // 8, axis=2)


def _video(
    frames: NDArray[np.uint8], cuts: list[float] | None = None, *, described: bool = True
) -> CandidateFrames:
    """One frame a second; the descriptor of a frame is its flattened thumbnail."""
    seconds = np.arange(len(frames), dtype=np.float32)
    rows = thumbnails(frames).reshape(len(frames), -1).astype(np.float32) - 127
    rows /= np.linalg.norm(rows, axis=1, keepdims=True) + 1e-6
    return CandidateFrames(
        frames,
        seconds,
        float(len(frames)),
        cut_seconds=np.array(cuts or [], np.float32),
        described=np.arange(len(frames)) if described else np.empty(0, np.intp),
        descriptors=rows if described else None,
    )


@pytest.fixture(scope="module", params=sorted(SELECTORS))
def selector_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_selector_leaves_out_blank_frames_and_chooses_in_order(selector_name: str) -> None:
    frames = _scenes(8)
    frames[2], frames[5] = 0, 255
    selector = make_selector(KeyFrameSettings.model_validate({"selector": selector_name}))
    for described in (True, False):
        chosen = selector.select(_video(frames, described=described)).tolist()
        assert chosen
        assert chosen == sorted(set(chosen))
        assert not {2, 5} & set(chosen)


def test_every_selector_keeps_nothing_of_a_blank_video(selector_name: str) -> None:
    selector = make_selector(KeyFrameSettings.model_validate({"selector": selector_name}))
    assert len(selector.select(_video(np.zeros((3, SIZE, SIZE, 3), np.uint8)))) == 0


def test_every_selector_chooses_only_among_frames_that_are_encoded(selector_name: str) -> None:
    selector = make_selector(KeyFrameSettings.model_validate({"selector": selector_name}))
    whole = _video(_scenes(12))
    assert whole.descriptors is not None
    some = np.arange(0, 12, 3)
    video = CandidateFrames(
        whole.frames, whole.seconds, 12.0, described=some, descriptors=whole.descriptors[some]
    )
    assert set(selector.select(video).tolist()) <= set(some.tolist())


@pytest.mark.parametrize("frames_per_hour", [300.0, 900.0, 1800.0])
def test_the_budget_is_kept(frames_per_hour: float) -> None:
    selector = LearnedSelector(KeyFrameSettings(frames_per_hour=frames_per_hour, min_frames=1))
    chosen = selector.select(_video(_scenes(60)))
    assert 0 < len(chosen) <= max(60 * frames_per_hour / 3600, 60 / 10)


@pytest.mark.parametrize("seconds", [3, 10, 16, 40, 120])
def test_a_short_video_keeps_more_than_its_share_of_an_hour(seconds: int) -> None:
    settings = KeyFrameSettings()
    chosen = LearnedSelector(settings).select(_video(_scenes(seconds)))
    budget = max(settings.min_frames, seconds * settings.frames_per_hour / 3600)
    assert min(budget, seconds) - 1 <= len(chosen) <= budget, "the price of one leaves some out"


def test_every_shot_of_a_second_has_a_key_frame_whatever_the_budget() -> None:
    selector = LearnedSelector(KeyFrameSettings(frames_per_hour=1, min_frames=1))
    chosen = selector.select(_video(_scenes(9), cuts=[2.5, 4.5, 4.8, 6.5])).tolist()
    shots = [(0, 1, 2), (3, 4), (5, 6), (7, 8)]
    assert [sum(at in shot for at in chosen) for shot in shots] == [1, 1, 1, 1]


def test_the_choice_is_a_pure_function_of_the_video() -> None:
    selector, video = LearnedSelector(KeyFrameSettings()), _video(_scenes(30))
    assert selector.select(video).tolist() == selector.select(video).tolist()


def test_scores_are_the_same_whatever_chunk_a_frame_falls_into() -> None:
    scorer = FrameScorer(default_scorer_path())
    small = thumbnails(_scenes(CHUNK + 40))
    whole, tail = scorer.score(small), scorer.score(small[CHUNK - 20 :])
    assert tail.quality[10:] == pytest.approx(whole.quality[CHUNK - 10 :], abs=1e-5)
    assert ((whole.quality > 0) & (whole.quality < 1)).all()
    assert np.linalg.norm(whole.looks, axis=1) == pytest.approx(np.ones(len(small)), abs=1e-5)


def test_one_frame_is_scored() -> None:
    assert len(FrameScorer(default_scorer_path()).score(thumbnails(_scenes(1))).quality) == 1


def test_frames_of_another_size_are_refused() -> None:
    scorer = FrameScorer(default_scorer_path())
    with pytest.raises(ValueError, match="expected"):
        scorer.score(np.zeros((3, THUMBNAIL + 1, THUMBNAIL, 3), np.uint8))
    with pytest.raises(ValueError, match="at least 1"):
        scorer.score(np.zeros((0, THUMBNAIL, THUMBNAIL, 3), np.uint8))


def test_a_file_that_is_no_key_frame_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    model = onnx.load(str(default_scorer_path()))
    del model.metadata_props[:]
    onnx.save(model, str(path))
    with pytest.raises(ModelFileError, match="export it again"):
        LearnedSelector(KeyFrameSettings(path=path))
    with pytest.raises(ModelFileError, match="missing.onnx"):
        LearnedSelector(KeyFrameSettings(path=tmp_path / "missing.onnx"))


def test_a_frame_belongs_to_the_nearest_key_frame_of_its_own_shot() -> None:
    seconds = np.arange(10, dtype=np.float32)
    owners = owners_of(seconds, np.array([3.5, 7.5], np.float32), np.array([1, 4, 7]))
    assert owners.tolist() == [0, 0, 0, 0, 1, 1, 2, 2, -1, -1]


def test_what_is_stored_is_the_direction_of_the_mean() -> None:
    rows = np.array([[1, 0], [0, 1], [0, 1], [-1, 0]], np.float32)
    described = EncodedFrames(rows, np.array([0.1, 0.3, 0.5, 9.0], np.float32))
    pooled = pool_description(described, np.array([0, 0, 1, -1]), 2)
    assert pooled.descriptors == pytest.approx(np.array([[0.5**0.5, 0.5**0.5], [0, 1]]))
    assert pooled.score_biases == pytest.approx(np.array([0.2, 0.5]))


@pytest.mark.parametrize("pooled", [True, False])
def test_as_many_descriptors_are_stored_as_key_frames(pooled: bool) -> None:
    video = _video(_scenes(20))
    assert video.descriptors is not None
    described = EncodedFrames(video.descriptors, np.zeros(20, np.float32))
    selector = LearnedSelector(KeyFrameSettings(frames_per_hour=720, min_frames=1))
    key, stored = stored_frames(selector, video, np.arange(20), described, pooled=pooled)
    assert 0 < len(key) == len(stored.descriptors) <= 4
    own = (stored.descriptors * video.descriptors[key]).sum(axis=1)
    assert (own == pytest.approx(np.ones(len(own)), abs=1e-5)) is not pooled
