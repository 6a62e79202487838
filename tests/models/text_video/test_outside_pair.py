"""A text–video pair from outside says what arithmetic says, however its files want to be fed."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from models.text_video.outside import OutsidePairSettings, OutsideTextTower, OutsideVideoTower
from models.text_video.serve import open_pair, open_text, open_video
from tests.models.outside_pairs import (
    DIMENSION,
    END,
    FILM,
    PAD,
    SIZE,
    TEXTS,
    TOKENS,
    UNKNOWN,
    WORDS,
    changed,
    image_file,
    pair_in,
    said,
    shown,
    text_file,
    tokenizer_file,
)


@pytest.fixture
def settings(tmp_path: Path) -> OutsidePairSettings:
    return pair_in(tmp_path)


def test_both_towers_say_what_arithmetic_says(settings: OutsidePairSettings) -> None:
    pair = open_pair(None, settings)
    assert isinstance(pair.video, OutsideVideoTower) and isinstance(pair.text, OutsideTextTower)
    assert (pair.video.input_size, pair.video.dimension) == (SIZE, DIMENSION)
    vector = pair.video.embed(FILM)
    assert vector.shape == (DIMENSION,) and vector.dtype == np.float32
    assert np.abs(vector - shown(FILM, settings)).max() < 1e-4
    rows = pair.text.embed(TEXTS)
    assert rows.shape == (len(TEXTS), DIMENSION) and rows.dtype == np.float32
    assert np.abs(rows - said(TEXTS)).max() < 1e-5
    assert pair.text.embed([]).shape == (0, DIMENSION)


def test_one_frame_is_a_video(settings: OutsidePairSettings) -> None:
    vector = open_video(None, settings).embed(FILM[:1])
    assert np.abs(vector - shown(FILM[:1], settings)).max() < 1e-4


def test_means_and_deviations_are_the_settings(settings: OutsidePairSettings) -> None:
    other = changed(settings, mean=(0.5, 0.5, 0.5), std=(0.5, 0.4, 0.3))
    vector = open_video(None, other).embed(FILM)
    assert np.abs(vector - shown(FILM, other)).max() < 1e-4
    assert np.abs(vector - shown(FILM, settings)).max() > 0.01


@pytest.mark.parametrize("names", [("input_ids",), ("text",), ("any name at all",)])
def test_without_a_mask_the_padding_is_read_to_the_full_length(
    settings: OutsidePairSettings, names: tuple[str, ...]
) -> None:
    text_file(settings.text, names=names)
    for pad in (PAD, END):
        rows = open_text(None, changed(settings, pad_id=pad)).embed(TEXTS)
        assert np.abs(rows - said(TEXTS, pad)).max() < 1e-5


def test_the_padding_is_that_of_the_tokenizer_file(settings: OutsidePairSettings) -> None:
    text_file(settings.text, names=("input_ids",))
    tokenizer_file(settings.tokenizer, pad_id=END)
    assert np.abs(open_text(None, settings).embed(TEXTS) - said(TEXTS, END)).max() < 1e-5
    told = changed(settings, pad_id=UNKNOWN)
    assert np.abs(open_text(None, told).embed(TEXTS) - said(TEXTS, UNKNOWN)).max() < 1e-5


@pytest.mark.parametrize(
    "names",
    [
        ("input_ids", "attention_mask", "token_type_ids"),
        ("input_ids", "token_type_ids", "attention_mask"),
    ],
)
def test_token_types_are_zeros(settings: OutsidePairSettings, names: tuple[str, ...]) -> None:
    text_file(settings.text, names=names)
    assert np.abs(open_text(None, settings).embed(TEXTS) - said(TEXTS)).max() < 1e-5


@pytest.mark.parametrize("batch", [1, 2, 5, 8, "n"])
@pytest.mark.parametrize("length", [TOKENS, "l"])
@pytest.mark.parametrize("whole", [TensorProto.INT64, TensorProto.INT32])
def test_fixed_batches_lengths_and_types_of_ids_are_the_files(
    settings: OutsidePairSettings, batch: int | str, length: int | str, whole: int
) -> None:
    image_file(settings.image, batch=batch)
    text_file(settings.text, batch=batch, length=length, whole=whole)
    pair = open_pair(None, settings)
    many = TEXTS * 9
    assert np.abs(pair.text.embed(many) - said(many)).max() < 1e-5
    assert np.abs(pair.video.embed(FILM) - shown(FILM, settings)).max() < 1e-4


def test_half_precision_files_give_single_precision_vectors(settings: OutsidePairSettings) -> None:
    image_file(settings.image, kind=TensorProto.FLOAT16)
    text_file(settings.text, kind=TensorProto.FLOAT16)
    pair = open_pair(None, settings)
    rows = pair.text.embed(TEXTS)
    assert rows.dtype == np.float32 and np.abs(rows - said(TEXTS)).max() < 0.01
    assert np.abs(np.linalg.norm(rows, axis=1) - 1).max() < 1e-6
    assert np.abs(pair.video.embed(FILM) - shown(FILM, settings)).max() < 0.02


def test_long_texts_are_cut_before_their_last_special_token(settings: OutsidePairSettings) -> None:
    text = open_text(None, settings)
    long = "two dogs run run run dogs dogs dogs"
    assert text.tokens(long) == 10 and text.max_tokens == TOKENS
    assert np.abs(text.embed([long]) - said(["two dogs run run run"])).max() < 1e-5


def test_the_known_share_counts_words_and_no_special_tokens(settings: OutsidePairSettings) -> None:
    text = open_text(None, settings)
    assert text.known_share("two dogs") == 1.0
    assert text.known_share("two katzen") == 0.5
    assert text.known_share("zwei katzen") == 0.0


def test_each_tower_alone_knows_the_pairs_version(settings: OutsidePairSettings) -> None:
    pair = open_pair(None, settings)
    alone = open_video(None, settings).model_version, open_text(None, settings).model_version
    assert alone == (pair.model_version, pair.model_version)
    assert pair.model_version.startswith("image-")
    named = open_text(None, changed(settings, name="small-clip"))
    assert named.model_version == pair.model_version.replace("image-", "small-clip-")


def test_the_version_is_of_every_file_and_of_how_they_are_fed(
    settings: OutsidePairSettings, tmp_path: Path
) -> None:
    def version(told: OutsidePairSettings = settings) -> str:
        return open_video(None, told).model_version

    seen = [version(), version(changed(settings, mean=(0.5, 0.5, 0.5)))]
    seen.append(version(changed(settings, max_tokens=8)))
    text_file(settings.text, words=WORDS + 1)
    seen.append(version())
    tokenizer_file(settings.tokenizer, pad_id=END)
    seen.append(version())
    (tmp_path / "text.onnx.data").write_bytes(b"weights beside the file")
    seen.append(version())
    assert len(set(seen)) == len(seen)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    moved = {key: path.rename(folder / path.name) for key, path in settings.files.items()}
    (tmp_path / "text.onnx.data").rename(folder / "text.onnx.data")
    assert version(changed(settings, **moved)) == seen[-1]
