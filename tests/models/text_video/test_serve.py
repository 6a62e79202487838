"""The exported text–video pair: small files, made here, opened together and alone."""

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.errors import ModelFileError
from models.text_video.serve import PairFiles, open_pair, open_text, open_video
from models.text_video.tokenizer import CaptionTokenizer
from models.text_video.tokenizer_file import TokenizerFile
from models.text_video.towers import evenly_spread

SIZE, DIMENSION, FRAMES, TOKENS = 8, 6, 4, 9
VERSION = "text-video-0a1b2c3d"
CAPTIONS = [
    "two dogs run on grass",
    "a man on a red bicycle",
    "两只狗在草地上奔跑",
    "红色的自行车",
] * 3
RANDOM = np.random.default_rng(3)
PICTURES = RANDOM.standard_normal((3 * SIZE * SIZE, DIMENSION)).astype(np.float32)
WORDS = RANDOM.standard_normal((200, DIMENSION)).astype(np.float32)
FILM = RANDOM.integers(0, 256, (11, SIZE, SIZE, 3), dtype=np.uint8)


def saved(
    path: Path,
    nodes: list[onnx.NodeProto],
    ends: tuple[onnx.ValueInfoProto, onnx.ValueInfoProto],
    weights: Mapping[str, NDArray[Any]],
    metadata: Mapping[str, object],
) -> Path:
    initial = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "tower", [ends[0]], [ends[1]], initial)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {key: str(value) for key, value in metadata.items()})
    onnx.save(model, str(path))
    return path


def video_file(path: Path, *, version: str = VERSION, weights: Any = PICTURES, **told: Any) -> Path:
    """The mean frame, flat, times a matrix."""
    metadata = {"input_size": SIZE, "dimension": DIMENSION, "most_frames": FRAMES} | told
    nodes = [
        helper.make_node("Cast", ["frames"], ["values"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["values"], ["flat"]),
        helper.make_node("ReduceMean", ["flat"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("MatMul", ["mean", "weights"], ["vector"]),
    ]
    ends = (
        helper.make_tensor_value_info("frames", TensorProto.UINT8, ["t", SIZE, SIZE, 3]),
        helper.make_tensor_value_info("vector", TensorProto.FLOAT, [1, DIMENSION]),
    )
    return saved(path, nodes, ends, {"weights": weights}, metadata | {"model_version": version})


def text_file(
    path: Path,
    tokenizer: Path,
    *,
    version: str = VERSION,
    words: Any = WORDS,
    name: str = "ids",
    length: int | str = "l",
    kind: int = TensorProto.INT64,
    **told: Any,
) -> Path:
    """The sum of the words' vectors; padding has none."""
    metadata = {
        "dimension": DIMENSION,
        "most_tokens": TOKENS,
        "tokenizer_sha256": hashlib.sha256(tokenizer.read_bytes()).hexdigest(),
    } | told
    words = np.concatenate([np.zeros_like(words[:1]), words[1:]])
    nodes = [
        helper.make_node("Gather", ["words", name], ["rows"], axis=0),
        helper.make_node("ReduceSum", ["rows", "axis"], ["vectors"], keepdims=0),
    ]
    ends = (
        helper.make_tensor_value_info(name, kind, ["n", length]),
        helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", words.shape[1]]),
    )
    weights = {"words": words, "axis": np.array([1])}
    return saved(path, nodes, ends, weights, metadata | {"model_version": version})


@pytest.fixture
def files(tmp_path: Path) -> PairFiles:
    named = PairFiles.of(tmp_path)
    CaptionTokenizer.train(CAPTIONS, entries=len(WORDS)).save(named.tokenizer)
    video_file(named.video)
    text_file(named.text, named.tokenizer)
    return named


def unit(rows: NDArray[Any]) -> NDArray[Any]:
    found: NDArray[Any] = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return found


def said(text: str, files: PairFiles) -> NDArray[Any]:
    """What the text file says, id by id."""
    ids = CaptionTokenizer.load(files.tokenizer).ids([text], TOKENS)[0]
    return unit(sum(WORDS[number] for number in ids if number))


def test_both_towers_of_a_folder_say_what_arithmetic_says(files: PairFiles) -> None:
    pair = open_pair(files.video.parent)
    assert pair.model_version == pair.video.model_version == pair.text.model_version == VERSION
    assert (pair.video.input_size, pair.video.dimension, pair.text.dimension) == (SIZE, 6, 6)
    vector = pair.video.embed(FILM[:3])
    assert vector.shape == (DIMENSION,) and vector.dtype == np.float32
    assert np.abs(vector - unit(FILM[:3].reshape(3, -1).mean(0) @ PICTURES)).max() < 1e-5
    rows = pair.text.embed(CAPTIONS[:4])
    assert rows.shape == (4, DIMENSION) and rows.dtype == np.float32
    assert np.abs(rows - [said(text, files) for text in CAPTIONS[:4]]).max() < 1e-5


def test_one_frame_is_a_video_and_a_long_one_is_thinned_evenly(files: PairFiles) -> None:
    video = open_video(files)
    assert np.abs(video.embed(FILM[:1]) - unit(FILM[0].ravel() @ PICTURES)).max() < 1e-5
    assert (video.embed(FILM) == video.embed(FILM[[1, 4, 6, 9]])).all()


@pytest.mark.parametrize("count", [4, 5, 11, 1000])
def test_thinned_frames_are_in_order_and_no_frame_comes_twice(count: int) -> None:
    places = evenly_spread(count, 4)
    assert (np.diff(places) > 0).all() and places[0] >= 0 and places[-1] < count


def test_each_tower_opens_alone_with_the_pairs_version(files: PairFiles) -> None:
    files.video.rename(files.video.with_name("elsewhere"))
    assert open_text(files).model_version == VERSION
    files.video.with_name("elsewhere").rename(files.video)
    files.text.unlink()
    files.tokenizer.unlink()
    assert open_video(files).model_version == VERSION


def test_a_texts_vector_does_not_depend_on_its_company(files: PairFiles) -> None:
    text = open_text(files)
    together = text.embed(CAPTIONS * 8)  # more than one batch
    alone = np.concatenate([text.embed([caption]) for caption in CAPTIONS[:4]])
    assert np.abs(together[:4] - alone).max() < 1e-6
    assert np.abs(together[-4:] - alone).max() < 1e-6
    assert text.embed([]).shape == (0, DIMENSION)


def test_a_file_of_fixed_length_gets_that_many_tokens(files: PairFiles) -> None:
    free = open_text(files).embed(CAPTIONS[:2])
    text_file(files.text, files.tokenizer, length=TOKENS)
    assert np.abs(open_text(files).embed(CAPTIONS[:2]) - free).max() < 1e-6


def test_long_texts_are_cut_and_their_tokens_counted(files: PairFiles) -> None:
    text = open_text(files)
    long = "two dogs run on grass " * 2000
    assert text.max_tokens == TOKENS
    assert text.tokens("two dogs") == 3  # <cls> is one
    assert text.tokens(long) == 10_001
    assert (
        np.abs(text.embed([long])[0] - said("two dogs run on grass two dogs run", files)).max()
        < 1e-5
    )


def test_the_known_share_tells_a_language_that_was_never_seen(files: PairFiles) -> None:
    text = open_text(files)
    assert text.known_share("Two dogs RUN 红色") == 1.0
    assert text.known_share("собаки") == 0.0
    assert text.known_share("dogs щщ") == 0.5
    assert text.known_share("zwei hunde laufen") == 0.0
    assert text.known_share("dogs, zwei!") == 0.5
    assert text.known_share("?!") in (0.0, 1.0)
    assert text.known_share("two zwei " * 400) == 0.5


@pytest.mark.parametrize("empty", ["", "  \n", "\u3000"])
def test_an_empty_text_is_refused(files: PairFiles, empty: str) -> None:
    text = open_text(files)
    with pytest.raises(ValueError, match="a text without a word"):
        text.embed(["two dogs", empty])
    with pytest.raises(ValueError, match="a text without a word"):
        text.tokens(empty)
    with pytest.raises(ValueError, match="a text without a word"):
        text.known_share(empty)


@pytest.mark.parametrize("text", [*CAPTIONS[:4], "ＴＷＯ　dogs, run!", "щ", "a" * 500])
def test_serving_gives_the_ids_of_training(files: PairFiles, text: str) -> None:
    served = TokenizerFile(files.tokenizer, TOKENS, pad_id=0).encode([text, "dogs"])
    trained = CaptionTokenizer.load(files.tokenizer).ids([text, "dogs"], TOKENS)
    assert (served.ids == trained).all()
    assert (served.attended == (trained != 0)).all()


def test_towers_embed_from_many_threads(files: PairFiles) -> None:
    pair = open_pair(files)
    texts, video = pair.text.embed(CAPTIONS[:4]), pair.video.embed(FILM)

    def once(_: int) -> bool:
        same = np.array_equal(pair.text.embed(CAPTIONS[:4]), texts)
        return same and np.array_equal(pair.video.embed(FILM), video)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(once, range(40)))


def test_files_of_two_exports_are_no_pair(files: PairFiles) -> None:
    video_file(files.video, version="text-video-ffffffff")
    with pytest.raises(ModelFileError, match="text-video-ffffffff.*0a1b2c3d.*one export"):
        open_pair(files)


def test_towers_of_other_dimensions_are_no_pair(files: PairFiles) -> None:
    text_file(files.text, files.tokenizer, words=WORDS[:, :5], dimension=5)
    with pytest.raises(ModelFileError, match="with 6 dimensions.*with 5: use both files"):
        open_pair(files)


def test_another_tokenizer_is_refused(files: PairFiles) -> None:
    CaptionTokenizer.train(CAPTIONS[:2] * 3).save(files.tokenizer)
    with pytest.raises(ModelFileError, match="has the SHA-256.*of the same export"):
        open_text(files)


@pytest.mark.parametrize("missing", ["video", "text", "tokenizer"])
def test_a_missing_file_is_named(files: PairFiles, missing: str) -> None:
    getattr(files, missing).unlink()
    with pytest.raises(ModelFileError, match=f"no .* at .*{missing}"):
        open_pair(files)


@pytest.mark.parametrize("content", ["", "no json", "{}", '{"version": "1.0"}'])
def test_what_is_no_tokenizer_is_refused(files: PairFiles, content: str) -> None:
    files.tokenizer.write_text(content)
    with pytest.raises(ModelFileError, match=r"is no tokenizer\.json"):
        open_text(files)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"most_frames": 0}, "most_frames = '0', expected a number above 0"),
        ({"dimension": "many"}, "dimension = 'many'"),
        ({"dimension": 7}, r"rows.shape = \(1, 6\), expected \(1, 7\)"),
        ({"input_size": 9}, r"expected `frames` of \(N, 9, 9, 3\) and `vector`"),
        ({"weights": PICTURES * np.nan}, "1 of 1 vectors that aren't finite"),
    ],
)
def test_a_video_file_that_is_not_what_it_says_is_refused(
    files: PairFiles, told: dict[str, Any], message: str
) -> None:
    video_file(files.video, **told)
    with pytest.raises(ModelFileError, match=message):
        open_video(files)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"most_tokens": "-3"}, "most_tokens = '-3'"),
        ({"most_tokens": 1}, "no room for the text"),
        ({"dimension": 7}, r"rows.shape = \(1, 6\), expected \(1, 7\)"),
        ({"name": "tokens"}, r"expected `ids` of \(N, any\) and `vectors`"),
        ({"kind": TensorProto.INT32}, "fails at a first try"),
        ({"words": WORDS * np.inf}, "aren't finite"),
    ],
)
def test_a_text_file_that_is_not_what_it_says_is_refused(
    files: PairFiles, told: dict[str, Any], message: str
) -> None:
    text_file(files.text, files.tokenizer, **told)
    with pytest.raises(ModelFileError, match=message):
        open_text(files)


def test_a_file_without_metadata_is_refused(files: PairFiles) -> None:
    model = onnx.load(str(files.text))
    del model.metadata_props[:]
    onnx.save(model, str(files.text))
    with pytest.raises(ModelFileError, match="lacks the metadata dimension, model_version"):
        open_text(files)


@pytest.mark.parametrize(
    "wrong", [FILM[0], FILM[:, :7], FILM.astype(np.float32), FILM[:0], FILM.transpose(0, 3, 1, 2)]
)
def test_frames_of_another_shape_or_none_are_refused(
    files: PairFiles, wrong: NDArray[np.uint8]
) -> None:
    with pytest.raises(ValueError, match=r"expected \(N, 8, 8, 3\)|without a frame"):
        open_video(files).embed(wrong)


def test_serving_never_imports_torch() -> None:
    code = "import sys, models.text_video.serve; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
