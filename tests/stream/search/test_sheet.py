"""The contact sheet: what is on it, and that no character is drawn as a box."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFont

from stream.errors import SettingsError
from stream.search import sheet
from stream.search.sheet import (
    CELL,
    INK,
    MARGIN,
    TITLE_HEIGHT,
    Shown,
    draw_sheet,
    font_for,
    has_all,
)

CHINESE = "两只狗在草地上奔跑"


def jpeg(colour: tuple[int, int, int], size: tuple[int, int] = (170, 96)) -> str:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "JPEG")
    return base64.b64encode(file.getvalue()).decode()


def pixels(drawn: Image.Image, left: int, top: int, right: int, bottom: int) -> NDArray[np.uint8]:
    return np.asarray(drawn.crop((left, top, right, bottom)))


def inked(part: NDArray[np.uint8]) -> bool:
    return bool((np.abs(part.astype(int) - INK).max(axis=2) < 30).any())


@pytest.fixture
def only_pillows_font(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without fonts."""
    monkeypatch.setattr(sheet, "_font_files", lambda: ())


def test_each_video_has_its_pictures_and_its_label_below_them() -> None:
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    videos = [Shown(f"{n}. v{n}", [jpeg(colour) for colour in colours]) for n in range(1, 4)]
    drawn = draw_sheet("a query", videos)
    assert drawn.size == (2 * CELL[0] + MARGIN, TITLE_HEIGHT + 2 * CELL[1] + MARGIN)
    assert inked(pixels(drawn, 0, 0, drawn.width, TITLE_HEIGHT))
    for left, top in ((MARGIN, TITLE_HEIGHT), (MARGIN + CELL[0], TITLE_HEIGHT)):
        for number, colour in enumerate(colours):
            middle = (left + number * 156 + 70, top + 66)
            assert drawn.getpixel(middle) == pytest.approx(colour, abs=8)
        assert inked(pixels(drawn, left, top + 132, left + CELL[0] - 16, top + CELL[1]))


@pytest.mark.parametrize("picture", ["", "no base64 !", base64.b64encode(b"no jpeg").decode()])
def test_a_video_without_a_picture_says_so(picture: str) -> None:
    drawn = draw_sheet("q", [Shown("1. v", [picture])])
    assert inked(pixels(drawn, MARGIN, TITLE_HEIGHT, CELL[0], TITLE_HEIGHT + 132))


def test_characters_that_no_font_has_are_left_out_and_it_is_said(
    only_pillows_font: None, caplog: pytest.LogCaptureFixture
) -> None:
    drawn = draw_sheet(CHINESE, [Shown(f"1. {CHINESE}", [jpeg((200, 0, 0))])])
    assert not inked(pixels(drawn, 0, 0, drawn.width, TITLE_HEIGHT))
    assert "no font here has the characters" in caplog.text and CHINESE in caplog.text
    same = draw_sheet("", [Shown(f"1. {'?' * len(CHINESE)}", [jpeg((200, 0, 0))])])
    assert np.array_equal(np.asarray(drawn), np.asarray(same))


def test_a_font_that_has_the_characters_draws_the_title(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {*CHINESE}
    monkeypatch.setattr(sheet, "has_all", lambda font, text: {*text} <= known)
    assert font_for(CHINESE, 20) is not None
    assert font_for("dogs", 20) is None


def test_what_a_font_has_is_told_from_what_it_draws_as_a_box() -> None:
    font = ImageFont.load_default(20)
    assert has_all(font, "two dogs, 3:07")
    assert not has_all(font, CHINESE)
    assert not has_all(font, "a\x1bb")


def test_a_long_title_and_a_long_id_stay_on_the_sheet() -> None:
    drawn = draw_sheet("dogs " * 2000, [Shown("1. " + "v" * 512, [jpeg((200, 0, 0))])])
    assert not inked(pixels(drawn, drawn.width - MARGIN, 0, drawn.width, drawn.height))


def test_a_place_where_nothing_can_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="can't be written"):
        sheet.write_sheet(tmp_path / "file" / "sheet.png", "q", [])
