"""The pattern detector without its weights: the picture it reads, who answers, boxes, edges."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.aligners.base import Segment
from models.aligners.matrix import DescribedVideo, SimilarityMatrix
from models.detector.assignment import assign
from models.detector.boxes import TILE, find_segments
from models.detector.grid import CHANNELS, Axis, lay_axis, lay_out
from models.detector.lines import LineFinder
from models.detector.network import DetectorConfig, PatternNetwork, place_centres
from models.detector.refine import Refiner
from models.detector.validate import box_of
from models.detector.windows import windowed
from models.video import motion

Array = NDArray[np.float32]
SMALL = DetectorConfig(widths=(4, 4, 4, 4, 4), merged=4)


def seconds(*values: float) -> Array:
    return np.array(values, np.float32)


def matrix(values: Array, cuts: tuple[Array, Array] = (seconds(), seconds())) -> SimilarityMatrix:
    """One frame in the middle of every second."""
    height, width = values.shape
    return SimilarityMatrix(
        values,
        np.arange(height, dtype=np.float32) + 0.5,
        np.arange(width, dtype=np.float32) + 0.5,
        float(height),
        float(width),
        *cuts,
    )


def test_a_cell_shows_the_nearest_frame_of_its_own_shot() -> None:
    axis = lay_axis(seconds(0.5, 4.5), seconds(1.0), 6.0)
    assert axis.frames.tolist() == [0, 1, 1, 1, 1, 1]
    assert lay_axis(seconds(0.5, 4.5), seconds(), 6.0).frames.tolist() == [0, 0, 0, 1, 1, 1]
    assert axis.cuts.tolist() == [0, 1, 0, 0, 0, 0]
    assert axis.distance[1] == pytest.approx(3.0 / 4.0)


def test_cells_cover_the_video_even_where_a_frame_lies_beyond_its_stated_end() -> None:
    assert len(lay_axis(seconds(0.0), seconds(), 0.2)) == 1
    assert len(lay_axis(seconds(0.0, 7.4), seconds(), 3.0)) == 8


def test_the_picture_holds_similarity_contrast_distances_and_cuts() -> None:
    values = np.zeros((5, 7), np.float32)
    values[2, 3] = 0.8
    picture = lay_out(matrix(values, (seconds(2.2), seconds(3.1, 6.0))))
    assert picture.shape == (CHANNELS, 5, 7)
    assert picture[0, 2, 3] == pytest.approx(0.8)
    assert picture[1, 2, 3] == pytest.approx(0.8)
    assert np.flatnonzero(picture[4, :, 0]).tolist() == [2]
    assert np.flatnonzero(picture[5, 0]).tolist() == [3, 6]


def wandering(count: int, seed: int = 0) -> Array:
    """A motion curve that never repeats itself."""
    steps = np.random.default_rng(seed).normal(0, 1, count + 4)
    return np.convolve(steps, np.full(5, 0.6), mode="valid").astype(np.float32) + 2


def test_cells_agree_where_both_videos_move_alike_forwards_and_backwards() -> None:
    curve = wandering(4 * 40)
    still = matrix(np.zeros((20, 40), np.float32))
    pair = replace(still, query_motion=curve[4 * 12 : 4 * 32], reference_motion=curve)
    forwards, backwards = lay_out(pair)[6:]
    assert forwards[3:17].argmax(axis=1).tolist() == [row + 12 for row in range(3, 17)]
    assert np.diagonal(forwards, 12)[3:17].min() > 0.5
    turned = replace(pair, query_motion=pair.query_motion[::-1])
    backwards = lay_out(turned)[7]
    assert backwards[3:17].argmax(axis=1).tolist() == [31 - row for row in range(3, 17)]
    assert not lay_out(replace(pair, query_motion=curve[:0]))[6:].any()


def test_a_part_of_an_axis_keeps_the_motion_of_its_cells() -> None:
    axis = lay_axis(seconds(0.5, 8.5), seconds(), 9.0, wandering(36))
    np.testing.assert_array_equal(axis.part(3, 4).motion, axis.motion[3:7])


def test_a_side_without_frames_is_no_picture() -> None:
    with pytest.raises(ValueError, match="expected frames on both sides"):
        lay_out(matrix(np.zeros((0, 3), np.float32)))


@pytest.mark.parametrize("sides", [(16, 16), (32, 48)])
def test_the_network_answers_at_every_second_cell(sides: tuple[int, int]) -> None:
    network = PatternNetwork(SMALL).eval()
    what, distances = network(torch.zeros(2, CHANNELS, *sides))
    assert what.shape == (2, 2, sides[0] // 2, sides[1] // 2)
    assert distances.shape == (2, 4, sides[0] // 2, sides[1] // 2)
    assert (distances > 0).all()


@pytest.mark.parametrize("backwards", [False, True])
def test_places_along_the_line_answer_and_point_to_the_edges(backwards: bool) -> None:
    centres = place_centres(16, 16)
    box = torch.tensor([[4.0, 8.0, 20.0, 24.0]])
    answers, chosen, distances, weights = assign(centres, box, torch.tensor([backwards]))
    assert answers.any() and not chosen.any()
    query, reference = centres[answers].T
    on_line = 24.0 - (query - 4.0) if backwards else 8.0 + (query - 4.0)
    assert ((reference - on_line).abs() <= 4.5).all()
    edges = torch.cat([centres - distances[..., :2], centres + distances[..., 2:]], dim=-1)
    assert torch.allclose(edges[answers], box.expand(int(answers.sum()), 4))
    assert weights.sum() == pytest.approx(1.0)


def test_the_shortest_span_has_a_place_and_spans_share_alike() -> None:
    boxes = torch.tensor([[2.2, 2.2, 2.8, 2.8], [6.0, 6.0, 30.0, 30.0]])
    _, chosen, _, weights = assign(place_centres(16, 16), boxes, torch.tensor([False, False]))
    for span in (0, 1):
        assert weights[chosen == span].sum() == pytest.approx(1.0)


def test_a_window_keeps_the_part_of_a_span_that_runs_through_it() -> None:
    boxes = np.array([[0, 10, 20, 50], [0, 10, 20, 50], [30, 0, 40, 10]], np.float32)
    backwards = np.array([False, True, False])
    parts, turned = windowed(boxes, backwards, np.array([5, 5, 25, 45], np.float32))
    np.testing.assert_allclose(parts, np.array([[0, 15, 12.5, 40], [0, 5, 15, 35]]))
    assert turned.tolist() == [False, True]


def test_without_spans_no_place_answers() -> None:
    answers, _, distances, _ = assign(
        place_centres(4, 4), torch.zeros(0, 4), torch.zeros(0, dtype=torch.bool)
    )
    assert not answers.any() and (distances > 0).all()


class Oracle:
    """A network that knows the true boxes: at every place on a span it points to its edges.

    Tiles are told apart by a marked picture: channel 0 holds the absolute column, channel 2 the
    absolute row.
    """

    def __init__(self, boxes: list[list[float]]) -> None:
        self.boxes = np.array(boxes, np.float32)

    def __call__(self, pictures: Array) -> tuple[Array, Array]:
        """What the network would say of one tile."""
        height, width = pictures.shape[2:]
        left, top = float(pictures[0, 0, 0, 0]), float(pictures[0, 2, 0, 0])
        window = np.array([top, left, top + height, left + width], np.float32)
        parts, _ = windowed(self.boxes, np.zeros(len(self.boxes), bool), window)
        own = torch.from_numpy(parts)
        answers, _, distances, _ = assign(
            place_centres(height // 2, width // 2), own, torch.zeros(len(own), dtype=torch.bool)
        )
        what = torch.stack([answers.float() * 0.9, torch.zeros(answers.shape)])
        return what[None].numpy(), distances.permute(2, 0, 1)[None].numpy()


def test_one_box_a_span_however_many_places_speak_for_it() -> None:
    truth = [[4.0, 10.0, 20.0, 26.0], [24.0, 2.0, 30.0, 8.0]]
    found = find_segments(matrix(np.zeros((40, 40), np.float32)), Oracle(truth))
    np.testing.assert_allclose(
        sorted(box_of(segment) for segment in found), sorted(truth), atol=1e-3
    )


def test_a_span_across_tiles_is_one_box(monkeypatch: pytest.MonkeyPatch) -> None:
    height, width = 3 * TILE, 4 * TILE
    truth = [[30.0, 60.0, 360.0, 390.0], [10.0, 400.0, 40.0, 430.0]]

    def marked(values: Array, query: Axis, reference: Axis) -> Array:
        picture = np.zeros((CHANNELS, len(query), len(reference)), np.float32)
        picture[0], picture[2] = reference.frames[None, :], query.frames[:, None]
        return picture

    monkeypatch.setattr("models.detector.boxes.picture_of", marked)
    found = find_segments(matrix(np.zeros((height, width), np.float32)), Oracle(truth))
    got = sorted(box_of(segment) for segment in found)
    assert len(got) == 2
    np.testing.assert_allclose(got, sorted(truth), atol=0.5)


def test_of_hours_only_the_tiles_with_matches_are_read() -> None:
    size, read = 3000, []
    values = np.zeros((size, size), np.float32)
    values[np.arange(1000, 1400), np.arange(2000, 2400)] = 0.9

    def run(pictures: Array) -> tuple[Array, Array]:
        read.append(float(pictures[0, 0].max()))
        shape = (pictures.shape[2] // 2, pictures.shape[3] // 2)
        return np.zeros((1, 2, *shape), np.float32), np.ones((1, 4, *shape), np.float32)

    assert find_segments(matrix(values), run) == []
    assert 5 <= len(read) <= 60
    assert np.mean(read) > 0.5


def copied(start: float, at: float, length: float, step: float = 1.0) -> DescribedVideo:
    """A query that shows `length` seconds of the reference from `at` on, between other footage."""
    random = np.random.default_rng(5)
    times = np.arange(0.3, 40, step, dtype=np.float32)
    rows = random.standard_normal((len(times), 32)).astype(np.float32)
    inside = (times >= start) & (times < start + length)
    rows[inside] = LOOKS[shot_of(times[inside] - start + at)]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    cuts = [start, start + length, *(c - at + start for c in CUTS if at < c < at + length)]
    return DescribedVideo(times, rows, 40.0, None, np.sort(np.array(cuts, np.float32)))


LOOKS = np.random.default_rng(3).standard_normal((12, 32)).astype(np.float32)
CUTS = seconds(4.2, 9.9, 13.1, 18.6, 22.3, 27.7, 31.2)


def shot_of(times: Array) -> NDArray[np.intp]:
    return np.searchsorted(CUTS, times, side="right")


def reference(step: float) -> DescribedVideo:
    times = np.arange(0.1, 36, step, dtype=np.float32)
    rows = LOOKS[shot_of(times)]
    return DescribedVideo(
        times, rows / np.linalg.norm(rows, axis=1, keepdims=True), 36.0, None, CUTS
    )


@pytest.mark.parametrize("off", [(-0.9, 0.7), (0.6, 0.8), (1.2, -1.3), (0.0, 0.0)])
@pytest.mark.parametrize("step", [1.0, 2.5])
def test_edges_move_to_the_cuts_and_shots_fall_on_shots(
    off: tuple[float, float], step: float
) -> None:
    pair = SimilarityMatrix.of(copied(11.37, 7.2, 16.0), reference(step))
    rough = Segment(11.37 + off[0], 27.37 + off[1], 7.2 - off[1], 23.2 - off[0], 0.9)
    found = Refiner(LineFinder(pair)).refine(rough)
    np.testing.assert_allclose(box_of(found), [11.37, 7.2, 27.37, 23.2], atol=0.12)


@pytest.mark.parametrize("pace", [1.0, -1.0, 1.2])
def test_in_a_still_shot_the_motion_says_which_second_is_copied(pace: float) -> None:
    curve = wandering(4 * 60)
    times = np.arange(4 * 20) / 4 + 0.125
    source = 25.0 + pace * (times - 10.0)
    alike = replace(
        matrix(np.full((20, 60), 0.7, np.float32)),
        query_motion=motion.at(curve, source).astype(np.float32),
        reference_motion=curve,
    )
    first, last = sorted((25.0 - pace * 10.0, 25.0 + pace * 10.0))
    off = 3.1
    rough = Segment(0.0, 20.0, first + off, last + off, 0.5, reversed=pace < 0)
    assert LineFinder(alike).motion_agreement(rough) < 0.5
    found = Refiner(LineFinder(alike)).refine(rough)
    np.testing.assert_allclose(
        [found.reference_start_seconds, found.reference_end_seconds], [first, last], atol=0.15
    )
    assert LineFinder(alike).motion_agreement(found) > 0.9
    unknown = replace(alike, query_motion=curve[:0])
    assert LineFinder(unknown).motion_agreement(found) == 0


def test_what_stands_still_says_nothing_of_the_offset() -> None:
    still = np.zeros(240, np.float32)
    pair = replace(
        matrix(np.full((20, 60), 0.7, np.float32)), query_motion=still[:80], reference_motion=still
    )
    rough = Segment(0.0, 20.0, 11.0, 31.0, 0.5)
    assert LineFinder(pair).motion_agreement(rough) == 0
    assert Refiner(LineFinder(pair)).refine(rough).reference_start_seconds == pytest.approx(11.0)


def test_a_span_that_shows_nothing_similar_keeps_its_ends() -> None:
    pair = matrix(np.full((40, 36), 0.2, np.float32), (seconds(9.0), seconds()))
    rough = Segment(10.0, 20.0, 8.0, 18.0, 0.1)
    assert Refiner(LineFinder(pair)).refine(rough).query_start_seconds == pytest.approx(10.0)


@settings(deadline=None, max_examples=40)
@given(st.floats(0, 30), st.floats(1, 20), st.floats(0, 30), st.floats(1, 20), st.booleans())
def test_refined_spans_lie_inside_both_videos(
    start: float, length: float, at: float, span: float, backwards: bool
) -> None:
    pair = SimilarityMatrix.of(copied(11.37, 7.2, 16.0), reference(2.5))
    rough = Segment(start, min(start + length, 40.0), at, min(at + span, 36.0), 0.5, backwards)
    q0, r0, q1, r1 = box_of(Refiner(LineFinder(pair)).refine(rough))
    assert 0 <= q0 < q1 <= 40 and 0 <= r0 < r1 <= 36
