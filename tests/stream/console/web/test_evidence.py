"""Pictures of evidence, on made fingerprints and thumbnails."""

import io

import numpy as np
import pytest
from PIL import Image

from stream.console.web.evidence import (
    MAX_PIXELS,
    MIN_SIDE,
    matrix_of,
    matrix_png,
)
from stream.console.web.strips import NoEvidenceError, strip_jpeg, timed_strip_jpeg
from stream.contract.events import MatchedSegment
from tests.stream.console.web.site import jpeg
from tests.stream.library_log import fingerprint, look


def opened(data: bytes) -> Image.Image:
    """The picture in some bytes."""
    return Image.open(io.BytesIO(data))


def test_the_matrix_is_the_librarys() -> None:
    rows = look(1)
    copy = look(2, 10)
    copy[2:6] = rows[20:24]
    matrix = matrix_of(fingerprint("u", copy), fingerprint("r", rows))
    assert matrix.values.shape == (10, 30)
    assert np.allclose(matrix.values[range(2, 6), range(20, 24)], 1, atol=0.02)


def test_two_models_are_never_compared() -> None:
    one, other = fingerprint("u", look(1)), fingerprint("r", look(1), model_version="encoder-2")
    with pytest.raises(ValueError, match="u was made by encoder-1, r by encoder-2"):
        matrix_of(one, other)


@pytest.mark.parametrize(("down", "across"), [(3, 7200), (7200, 3), (60, 60), (1, 1)])
def test_any_two_lengths_make_a_picture_within_limits(down: int, across: int) -> None:
    matrix = matrix_of(fingerprint("u", look(1, down)), fingerprint("r", look(2, across)))
    picture = opened(matrix_png(matrix, []))
    assert min(picture.size) >= MIN_SIDE and max(picture.size) <= MAX_PIXELS
    assert (picture.width >= picture.height) == (across >= down)


def test_a_box_that_goes_beyond_the_end_stays_in_the_picture() -> None:
    matrix = matrix_of(fingerprint("u", look(1, 5)), fingerprint("r", look(2, 5)))
    beyond = MatchedSegment(
        video_start_seconds=4, video_end_seconds=900, reference_start_seconds=3,
        reference_end_seconds=1e9, score=0.5,
    )  # fmt: skip
    assert opened(matrix_png(matrix, [beyond])).size == opened(matrix_png(matrix, [])).size


def test_thumbnails_of_any_shape_make_one_strip() -> None:
    strip = opened(strip_jpeg([jpeg("red"), jpeg("blue", (40, 160)), jpeg("lime", (400, 100))]))
    assert strip.height == 96


@pytest.mark.parametrize(
    ("shares", "over"),
    [([0.2, 0.5, 0.8], {0.2: 0, 0.35: None, 0.5: 1, 0.8: 2, 0.99: None}),
     ([0.0, 0.9, 1.0], {0.0: 0, 0.5: None, 0.9: 1, 0.99: 2}),
     ([0.5, 0.52, 0.54], {0.4: 0, 0.52: 1, 0.6: 2, 0.1: None}),
     ([0.5, 0.5, 7.0], {0.45: 0, 0.55: 1, 0.99: 2})],
)  # fmt: skip
def test_each_picture_of_a_strip_stands_over_its_own_second(
    shares: list[float], over: dict[float, int | None]
) -> None:
    strip = opened(timed_strip_jpeg([jpeg(each) for each in ("red", "lime", "blue")], shares))
    for share, place in over.items():
        colour = strip.convert("RGB").getpixel((round(share * (strip.width - 1)), 40))
        assert isinstance(colour, tuple)
        bright = [n for n, value in enumerate(colour) if value > 128]
        assert bright == ([] if place is None else [place]), share


@pytest.mark.parametrize("thumbnails", [[], [b""], [b"no picture"], [jpeg("red", (4000, 4000))]])
def test_what_is_no_thumbnail_makes_no_strip(thumbnails: list[bytes]) -> None:
    with pytest.raises(NoEvidenceError):
        strip_jpeg(thumbnails)
    with pytest.raises(NoEvidenceError):
        timed_strip_jpeg(thumbnails, [0.5] * len(thumbnails))


def test_a_picture_of_another_kind_is_no_thumbnail() -> None:
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "PNG")
    with pytest.raises(NoEvidenceError):
        strip_jpeg([file.getvalue()])
