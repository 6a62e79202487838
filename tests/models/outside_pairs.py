"""Text–video pairs from outside: small ONNX files and a word tokenizer, made for tests."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import WordLevel

from models.text_video.outside import OutsidePairSettings

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


def pair_in(folder: Path) -> OutsidePairSettings:
    return OutsidePairSettings(
        image=image_file(folder / "image.onnx"),
        text=text_file(folder / "text.onnx"),
        tokenizer=tokenizer_file(folder / "tokenizer.json"),
        input_size=SIZE,
        dimension=DIMENSION,
        max_tokens=TOKENS,
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
