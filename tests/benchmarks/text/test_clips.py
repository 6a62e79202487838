"""Ways to make a clip's vector, and the question of order."""

from pathlib import Path

import numpy as np
import orjson
import pytest
from numpy.typing import NDArray

from benchmarks.text.clips import (
    SHOTS,
    WAYS,
    both_ways,
    figures_of,
    in_order,
    main,
    mean_vectors,
    tower_vectors,
)
from benchmarks.text.shots import ClipSet, ClipVectors, read_shots
from models.text_video.serve import Pair, open_pair
from stream.search.settings import SearchSettings
from tests.benchmarks.text.conftest import HELD

NAMES = ("red", "green", "blue")
NONE_FIRST = 400  # R@sum of three clips: all are among five
Vectors = NDArray[np.float32]


def test_ways_give_unit_rows_and_the_mean_forgets_order(data: Path, shipped: Pair) -> None:
    _, pictures = read_shots(data, "val", shipped.video.input_size, seed=1)
    groups = np.array([[0, 1, 2], [5, 3, 4]])
    forth, back = both_ways(shipped.video, pictures, groups)
    for way in WAYS.values():
        for seen in (forth, back):
            norms = np.linalg.norm(way(seen), axis=1)
            np.testing.assert_allclose(norms, [1, 1], atol=1e-5)
    np.testing.assert_allclose(mean_vectors(forth), mean_vectors(back), atol=1e-6)
    for place, group in enumerate(groups):
        turned = shipped.video.embed_frames(pictures[group[::-1]])
        assert tower_vectors(back)[place] @ turned.vector > 0.9999
        assert tower_vectors(forth)[place] @ turned.vector < 0.999
        assert WAYS["first frame"](back)[place] @ turned.frames[0] > 0.999
    one, _ = both_ways(shipped.video, pictures, groups[:, :1])
    assert (tower_vectors(one) * mean_vectors(one)).sum(axis=1).min() > 0.999


def figures(colours: Path, whole: Vectors, frames: Vectors) -> dict[str, tuple[float, float]]:
    """By way, of three clips of three plain shots, each asked for by its colour."""
    made = ClipSet(np.arange(9).reshape(3, 3), [[f"a {name} wall"] * 3 for name in NAMES], "en")
    forth = ClipVectors(whole, np.repeat(frames[:, None], 3, axis=1))
    back = ClipVectors(-whole, forth.frames)
    rows = figures_of(open_pair(colours).text, made, forth, back)
    assert [*{(row.language, row.shots, row.clips) for row in rows}] == [("en", 3, 3)]
    return {row.way: (row.r_sum, row.in_order) for row in rows}


def test_a_shot_finds_its_clip_where_the_whole_says_nothing(colours: Path) -> None:
    right = open_pair(colours).text.embed(NAMES)
    found = figures(colours, np.zeros_like(right), right)
    assert found["the tower"] == (NONE_FIRST, 50)
    assert found["as served"] == found["mean of frames"] == found["first frame"] == (600, 50)


@pytest.mark.parametrize(("margins", "served"), [(0.0, 600), (0.9, 600), (1.1, NONE_FIRST)])
def test_a_shot_of_another_clip_has_to_be_nearer_by_the_margin(
    colours: Path, margins: float, served: float
) -> None:
    right = open_pair(colours).text.embed(NAMES)
    least = 1 - margins * SearchSettings().moment_margin
    found = figures(colours, least * right, np.roll(right, 1, axis=0))
    assert found["the tower"] == (600, 100)
    assert found["as served"] == (served, 100)
    assert found["mean of frames"] == found["first frame"] == (NONE_FIRST, 50)


def test_every_way_is_in_the_report(data: Path, colours: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    main(data, colours, json=report)
    told = orjson.loads(report.read_bytes())
    assert [*told] == ["machine", "rows"]
    ways = ["the tower", "as served", "mean of frames", "first frame"]
    assert [
        (row["shots"], row["language"], row["clips"], row["way"]) for row in told["rows"]
    ] == [
        (shots, language, HELD // shots, way)
        for shots in SHOTS for language in ("en", "zh") for way in ways
    ]  # fmt: skip
    for row in told["rows"]:
        if row["way"] in ("the tower", "mean of frames"):  # of a pair that means colours
            assert row["in_order"] == 50
        assert 0 <= row["r_sum"] <= 600


def test_order_is_a_share_and_ties_are_half() -> None:
    near, far = np.ones(4, np.float32), np.zeros(4, np.float32)
    assert in_order(near, far) == 100
    assert in_order(far, near) == 0
    assert in_order(near, near) == 50
