"""Pictures inside others, with blurred sides or black bars, and pictures that show nothing.

A frame around a picture neither hides a copy nor makes one.
"""

from collections.abc import Callable, Iterator
from itertools import chain

import numpy as np
import pytest
from PIL import Image, ImageFilter

from stream.contract.fingerprint import Fingerprint
from stream.errors import NoVideoError
from tests.stream.answers import spans
from tests.stream.evaluate.finder import EDGE_SECONDS, RATE, Finder, Pictures, bars, scene_of

WIDE, UPRIGHT = (320, 180), (180, 320)
COPIED = slice(4 * RATE, 16 * RATE)
BLUR_PIXELS = 10
SECONDS = 12
Frame = Callable[[Image.Image], Image.Image]


def cropped(picture: Image.Image, width: int, height: int) -> Image.Image:
    """The middle of a picture, of another shape."""
    share = min(picture.width / width, picture.height / height)
    left = (picture.width - width * share) / 2
    top = (picture.height - height * share) / 2
    box = (left, top, left + width * share, top + height * share)
    return picture.resize((width, height), Image.Resampling.BICUBIC, box)


def whole_in(canvas: Image.Image, picture: Image.Image) -> Image.Image:
    """The whole picture in the middle of a canvas, as large as it fits."""
    share = min(canvas.width / picture.width, canvas.height / picture.height)
    small = picture.resize((round(picture.width * share), round(picture.height * share)))
    place = ((canvas.width - small.width) // 2, (canvas.height - small.height) // 2)
    canvas.paste(small, place)
    return canvas


def blurred(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The whole picture before an enlargement of itself that is blurred."""
    behind = cropped(picture, *size).filter(ImageFilter.GaussianBlur(BLUR_PIXELS))
    return whole_in(behind, picture)


def barred(picture: Image.Image, size: tuple[int, int] = WIDE) -> Image.Image:
    """The whole picture between black bars."""
    return whole_in(Image.new("RGB", size), picture)


def upright(picture: Image.Image) -> Image.Image:
    """The middle of a picture, 9:16."""
    return cropped(picture, *UPRIGHT)


def old_television(picture: Image.Image) -> Image.Image:
    """The middle of a picture, 4:3."""
    return cropped(picture, 240, 180)


def test_a_copy_that_was_made_upright_with_blurred_sides_is_found(
    find: Finder, footage: Pictures, reference: Fingerprint
) -> None:
    found = find(reference, (blurred(picture, UPRIGHT) for picture in footage[COPIED]))
    assert spans(found) == [pytest.approx([0, 12, 4, 16], abs=EDGE_SECONDS)]


def test_a_copy_of_an_upright_video_with_blurred_sides_is_found(
    find: Finder, footage: Pictures
) -> None:
    kept = find.fingerprint("kept", map(upright, footage))
    found = find(kept, (blurred(upright(picture), WIDE) for picture in footage[COPIED]))
    assert spans(found) == [pytest.approx([0, 12, 4, 16], abs=EDGE_SECONDS)]


@pytest.mark.parametrize("shape", [old_television, upright])
def test_a_pillarboxed_copy_is_found(
    find: Finder, footage: Pictures, reference: Fingerprint, shape: Frame
) -> None:
    found = find(reference, (barred(shape(picture)) for picture in footage[COPIED]))
    assert spans(found) == [pytest.approx([0, 12, 4, 16], abs=EDGE_SECONDS)]


@pytest.mark.parametrize("shape", [old_television, upright])
@pytest.mark.parametrize("frame", [barred, lambda picture: blurred(picture, WIDE)])
def test_videos_that_share_nothing_but_their_frame_are_no_copies(
    find: Finder, footage: Pictures, shape: Frame, frame: Frame
) -> None:
    kept = find.fingerprint("kept", (frame(shape(picture)) for picture in footage[: 12 * RATE]))
    others = [*footage[12 * RATE :], *scene_of("fireworks", 4)]
    assert spans(find(kept, (frame(shape(picture)) for picture in others))) == []


def dark(seed: int, deviation: float, grain: int, seconds: int = SECONDS) -> Iterator[Image.Image]:
    """What a sensor sees in the dark, in grains of some pixels."""
    draws = np.random.default_rng(seed)
    width, height = WIDE[0] // grain, WIDE[1] // grain
    for _ in range(seconds * RATE):
        noise = draws.normal(8, deviation, (height, width, 3)).clip(0, 255).astype(np.uint8)
        yield Image.fromarray(noise).resize(WIDE, Image.Resampling.BILINEAR)


def still(picture: Image.Image) -> Pictures:
    """It, for twelve seconds."""
    return [picture] * SECONDS * RATE


@pytest.mark.parametrize(
    ("deviation", "grain"),
    [pytest.param(0, 1, id="black"), (20, 1), (30, 1), (20, 2), (30, 2), (10, 4), (14, 4)],
)
def test_what_shows_nothing_is_no_video(find: Finder, deviation: float, grain: int) -> None:
    with pytest.raises(NoVideoError, match="blank"):
        find.fingerprint("upload", dark(1, deviation, grain, SECONDS // 2))


def test_darkness_before_two_videos_makes_them_no_copies(find: Finder, footage: Pictures) -> None:
    kept = find.fingerprint("kept", chain(dark(1, 14, 4), footage[: 8 * RATE]))
    assert spans(find(kept, chain(dark(2, 14, 4), footage[12 * RATE :]))) == []


def test_a_copy_that_was_filmed_in_the_dark_is_found(
    find: Finder, footage: Pictures, reference: Fingerprint
) -> None:
    noise = dark(1, 12, 2)
    sent = (Image.blend(next(noise), picture, 0.25) for picture in footage[COPIED])
    [[start, end, there, there_end]] = spans(find(reference, sent))
    assert [start, end] == pytest.approx([0, 12], abs=EDGE_SECONDS)
    assert 4 - EDGE_SECONDS < there < there_end < 16 + EDGE_SECONDS, "roughly, under the noise"


def stripes() -> Image.Image:
    """Another test card than `bars`: its eight colours over its whole height."""
    card = Image.new("RGB", WIDE)
    for number in range(8):
        levels = tuple(191 * (7 - number >> bit & 1) for bit in (1, 2, 0))
        left = number * WIDE[0] // 8
        card.paste(levels, (left, 0, left + WIDE[0] // 8, WIDE[1]))
    return card


def test_a_test_card_is_no_copy_of_another(find: Finder, footage: Pictures) -> None:
    kept = find.fingerprint("kept", still(bars()))
    assert spans(find(kept, still(stripes()))) == []
    assert spans(find(kept, footage)) == []


def test_black_between_shots_is_no_copy(find: Finder, footage: Pictures) -> None:
    nothing = still(Image.new("RGB", WIDE))
    kept = find.fingerprint("kept", [*footage[: 4 * RATE], *nothing, *footage[4 * RATE : 8 * RATE]])
    sent = [*footage[8 * RATE : 12 * RATE], *nothing, *footage[12 * RATE :]]
    assert spans(find(kept, sent)) == []
