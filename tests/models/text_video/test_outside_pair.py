"""Text–video pairs from outside: small ONNX files and a word tokenizer, made here."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from pydantic import ValidationError
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import WordLevel

from models.errors import ModelFileError
from models.text_video.outside import OutsidePairSettings, OutsideTextTower, OutsideVideoTower
from models.text_video.serve import open_pair, open_text, open_video

SIZE, DIMENSION, TOKENS = 16, 6, 7
PAD, START, END, UNKNOWN = 0, 1, 2, 3
ENTRIES = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "two", "dogs", "run", "狗", "跑", "a"]
RANDOM = np.random.default_rng(5)
PICTURES = RANDOM.standard_normal((3 * SIZE * SIZE, DIMENSION)).astype(np.float32)
WORDS = RANDOM.standard_normal((len(ENTRIES), DIMENSION)).astype(np.float32)
FILM = RANDOM.integers(0, 256, (5, SIZE, SIZE, 3), dtype=np.uint8)
TEXTS = ["two dogs run", "狗 跑", "a", "dogs", "run two"]


def saved(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    weights: dict[str, NDArray[Any]],
) -> Path:
    initial = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "outside", inputs, outputs, initial)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return path


def image_file(path: Path, *, batch: int | str = "n", kind: int = TensorProto.FLOAT) -> Path:
    """One matrix product; `other` holds no vector."""
    nodes = [
        helper.make_node("Flatten", ["pixel_values"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["image_embeds"]),
        helper.make_node("Identity", ["flat"], ["other"]),
    ]
    return saved(
        path,
        nodes,
        [helper.make_tensor_value_info("pixel_values", kind, [batch, 3, SIZE, SIZE])],
        [
            helper.make_tensor_value_info("image_embeds", kind, [batch, DIMENSION]),
            helper.make_tensor_value_info("other", kind, [batch, 3 * SIZE * SIZE]),
        ],
        {"weights": PICTURES.astype(helper.tensor_dtype_to_np_dtype(kind))},
    )


def text_file(
    path: Path,
    *,
    names: tuple[str, ...] = ("input_ids", "attention_mask"),
    batch: int | str = "n",
    length: int | str = "l",
    whole: int = TensorProto.INT64,
    kind: int = TensorProto.FLOAT,
    words: NDArray[Any] = WORDS,
) -> Path:
    """The sum of the words' vectors: of those that the mask names, or of all, padding too.

    Token types add a thousand each, so that anything but zeros would show.
    """
    words = words.astype(helper.tensor_dtype_to_np_dtype(kind))
    nodes = [helper.make_node("Gather", ["words", names[0]], ["rows"], axis=0)]
    last = "rows"
    for name in names[1:]:
        values, wide, joined = f"{name}_values", f"{name}_wide", f"{name}_joined"
        nodes += [
            helper.make_node("Cast", [name], [values], to=kind),
            helper.make_node("Unsqueeze", [values, "last"], [wide]),
            helper.make_node("Mul" if "mask" in name else "Add", [last, wide], [joined]),
        ]
        last = joined
    nodes.append(helper.make_node("ReduceSum", [last, "axis"], ["text_embeds"], keepdims=0))
    nodes.append(helper.make_node("Identity", ["rows"], ["hidden"]))
    return saved(
        path,
        nodes,
        [helper.make_tensor_value_info(name, whole, [batch, length]) for name in names],
        [
            helper.make_tensor_value_info("text_embeds", kind, [batch, DIMENSION]),
            helper.make_tensor_value_info("hidden", kind, [batch, length, DIMENSION]),
        ],
        {"words": words, "axis": np.array([1]), "last": np.array([2])},
    )


def tokenizer_file(path: Path, *, pad_id: int | None = None) -> Path:
    """Words at blanks, [CLS] before and [SEP] after them."""
    vocabulary = {word: number for number, word in enumerate(ENTRIES)}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", START), ("[SEP]", END)]
    )
    if pad_id is not None:
        tokenizer.enable_padding(pad_id=pad_id, pad_token=ENTRIES[pad_id])
    tokenizer.save(str(path))
    return path


@pytest.fixture
def settings(tmp_path: Path) -> OutsidePairSettings:
    return OutsidePairSettings(
        image=image_file(tmp_path / "image.onnx"),
        text=text_file(tmp_path / "text.onnx"),
        tokenizer=tokenizer_file(tmp_path / "tokenizer.json"),
        input_size=SIZE,
        dimension=DIMENSION,
        most_tokens=TOKENS,
    )


def changed(settings: OutsidePairSettings, **values: Any) -> OutsidePairSettings:
    return settings.model_copy(update=values)


def unit(rows: NDArray[Any]) -> NDArray[Any]:
    found: NDArray[Any] = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return found


def ids(text: str, pad: int | None = None) -> list[int]:
    found = [START, *(ENTRIES.index(word) for word in text.split()), END]
    return found if pad is None else found + [pad] * (TOKENS - len(found))


def said(texts: list[str], pad: int | None = None) -> NDArray[Any]:
    """The sum of the words' vectors, with those of the padding if a padding is given."""
    return unit(np.stack([WORDS[ids(text, pad)].sum(0) for text in texts]))


def shown(frames: NDArray[np.uint8], settings: OutsidePairSettings) -> NDArray[Any]:
    """The mean of the frames' unit vectors, value by value."""
    values = (frames / 255 - np.array(settings.mean)) / np.array(settings.std)
    rows = unit(np.stack([v.transpose(2, 0, 1).ravel() @ PICTURES for v in values]))
    return unit(rows.mean(0))


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
    assert text.tokens(long) == 10 and text.most_tokens == TOKENS
    assert np.abs(text.embed([long]) - said(["two dogs run run run"])).max() < 1e-5


def test_the_known_share_counts_words_and_no_special_tokens(settings: OutsidePairSettings) -> None:
    text = open_text(None, settings)
    assert text.known_share("two dogs") == 1.0
    assert text.known_share("two katzen") == 0.5
    assert text.known_share("zwei katzen") == 0.0


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
    seen.append(version(changed(settings, most_tokens=8)))
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


@pytest.mark.parametrize("missing", ["image", "text", "tokenizer"])
def test_a_missing_file_is_named_by_its_key_whichever_tower_opens(
    settings: OutsidePairSettings, missing: str
) -> None:
    settings.files[missing].unlink()
    for opened in (open_video, open_text):
        with pytest.raises(ModelFileError, match=f"embedding.outside.{missing} = .*no such file"):
            opened(None, settings)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"dimension": 5}, r"image.onnx gives \(2, 6\).*set embedding.outside.dimension"),
        ({"input_size": 32}, "image.onnx fails on .*(?s:.*)embedding.outside.input_size"),
        ({"image_output": "x"}, "embedding.outside.image_output = 'x': .*image_embeds, other"),
        ({"image_output": "other"}, r"image.onnx gives \(2, 768\).*embedding.outside.image_output"),
        ({"std": (0.0, 1.0, 1.0)}, "embedding.outside.std"),
        ({"text_output": "x"}, "embedding.outside.text_output = 'x': .*text_embeds, hidden"),
        ({"text_output": "hidden"}, r"text.onnx gives \(1, 7, 6\).*embedding.outside.text_output"),
        ({"most_tokens": 2}, "no room for the text"),
        ({"pad_id": 10}, "text.onnx fails on ids.*embedding.outside.tokenizer"),
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
    with pytest.raises(ModelFileError, match=r"takes \[9\] tokens: .*most_tokens, now 7"):
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
