"""What is wrong with a text–video pair from outside, or what it is asked, is said by name."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from models.errors import ModelFileError
from models.text_video.outside import OutsidePairSettings
from models.text_video.serve import open_pair, open_text, open_video
from tests.models.outside_pairs import (
    ENTRIES,
    FILM,
    WORDS,
    changed,
    pair_in,
    shown,
    text_file,
)


@pytest.fixture
def settings(tmp_path: Path) -> OutsidePairSettings:
    return pair_in(tmp_path)


@pytest.mark.parametrize("empty", ["", "   "])
def test_an_empty_text_is_refused(settings: OutsidePairSettings, empty: str) -> None:
    with pytest.raises(ValueError, match="a text without a word"):
        open_text(None, settings).embed([empty])


def test_a_video_without_a_frame_is_refused(settings: OutsidePairSettings) -> None:
    with pytest.raises(ValueError, match="without a frame"):
        open_video(None, settings).embed(FILM[:0])
    with pytest.raises(ValueError, match=r"expected \(N, 16, 16, 3\)"):
        open_video(None, settings).embed(FILM[:, :8])


def test_a_video_without_a_direction_is_an_error(settings: OutsidePairSettings) -> None:
    black = changed(settings, mean=(0.0, 0.0, 0.0))
    video, frames = open_video(None, black), FILM.copy()
    frames[0] = 0
    assert np.abs(video.embed(frames) - shown(FILM[1:], black)).max() < 1e-4
    with pytest.raises(ModelFileError, match="aren't finite or are zero"):
        video.embed(np.zeros_like(FILM))


@pytest.mark.parametrize("missing", ["image", "text", "tokenizer"])
def test_a_missing_file_is_named_by_its_key_whichever_tower_opens(
    settings: OutsidePairSettings, missing: str
) -> None:
    settings.files[missing].unlink()
    for opened in (open_video, open_text):
        with pytest.raises(ModelFileError, match=f"text_video.outside.{missing} = .*no such file"):
            opened(None, settings)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"dimension": 5}, r"image.onnx gives \(2, 6\).*set text_video.outside.dimension"),
        ({"input_size": 32}, "image.onnx fails on .*(?s:.*)text_video.outside.input_size"),
        ({"image_output": "x"}, "text_video.outside.image_output = 'x': .*image_embeds, other"),
        (
            {"image_output": "other"},
            r"image.onnx gives \(2, 768\).*text_video.outside.image_output",
        ),
        ({"std": (0.0, 1.0, 1.0)}, "text_video.outside.std"),
        ({"text_output": "x"}, "text_video.outside.text_output = 'x': .*text_embeds, hidden"),
        ({"text_output": "hidden"}, r"text.onnx gives \(1, 7, 6\).*text_video.outside.text_output"),
        ({"max_tokens": 2}, "no room for the text"),
        ({"pad_id": 10}, "text.onnx fails on ids.*text_video.outside.tokenizer"),
    ],
)
def test_settings_that_do_not_fit_the_files_are_named(
    settings: OutsidePairSettings, told: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelFileError, match=message):
        open_pair(None, changed(settings, **told))


@pytest.mark.parametrize(
    "names",
    [
        ("input_ids", "pixel_mask"),
        ("tokens", "attention_mask"),
        ("input_ids", "attention_mask", "position_ids"),
    ],
)
def test_a_text_file_with_other_inputs_is_refused(
    settings: OutsidePairSettings, names: tuple[str, ...]
) -> None:
    text_file(settings.text, names=names)
    with pytest.raises(ModelFileError, match=f"takes {names[0]}.*export the text tower alone"):
        open_text(None, settings)


def test_a_text_file_that_takes_floats_is_refused(settings: OutsidePairSettings) -> None:
    settings.text.write_bytes(settings.image.read_bytes())
    with pytest.raises(ModelFileError, match=r"takes pixel_values.*expected integers \(N, L\)"):
        open_text(None, settings)


def test_a_text_file_of_another_length_names_the_key(settings: OutsidePairSettings) -> None:
    text_file(settings.text, length=9)
    with pytest.raises(ModelFileError, match=r"takes \[9\] tokens: .*max_tokens, now 7"):
        open_text(None, settings)


@pytest.mark.parametrize("content", ["not json", "[1, 2]", json.dumps({"model": {}}), "\udcff"])
def test_what_is_no_tokenizer_is_refused(settings: OutsidePairSettings, content: str) -> None:
    settings.tokenizer.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ModelFileError, match=r"is no tokenizer\.json.*Tokenizer\.save"):
        open_text(None, settings)


def test_what_is_no_onnx_file_is_refused(settings: OutsidePairSettings) -> None:
    settings.text.write_bytes(b"no network")
    with pytest.raises(ModelFileError, match="can't be loaded"):
        open_text(None, settings)


def test_vectors_that_are_not_finite_are_an_error(settings: OutsidePairSettings) -> None:
    broken = WORDS.copy()
    broken[ENTRIES.index("狗")] = np.nan
    text_file(settings.text, words=broken)
    text = open_text(None, settings)
    with pytest.raises(ModelFileError, match="1 of 2 vectors that aren't finite"):
        text.embed(["two dogs", "狗"])
    text_file(settings.text, words=WORDS * np.nan)
    with pytest.raises(ModelFileError, match="text.onnx gives 1 of 1 vectors"):
        open_text(None, settings)


def test_an_exported_and_an_outside_pair_together_are_refused(
    settings: OutsidePairSettings, tmp_path: Path
) -> None:
    with pytest.raises(ModelFileError, match="leave one out"):
        open_pair(tmp_path, settings)


def test_settings_with_an_unknown_key_a_missing_one_or_an_unfit_name_are_refused(
    settings: OutsidePairSettings,
) -> None:
    values = settings.model_dump()
    with pytest.raises(ValidationError, match="interpolation"):
        OutsidePairSettings.model_validate(values | {"interpolation": "bicubic"})
    with pytest.raises(ValidationError, match="name"):
        OutsidePairSettings.model_validate(values | {"name": "a/b"})
    values.pop("tokenizer")
    with pytest.raises(ValidationError, match="tokenizer"):
        OutsidePairSettings.model_validate(values)
