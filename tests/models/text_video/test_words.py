"""Which tokens say something."""

import time

import numpy as np
import pytest

from models.text_video.tokenizer import CaptionTokenizer
from models.text_video.words import chinese_content, english_content, significance

ENGLISH = "Two brown dogs are running quickly through the grass , while a man's friend looks on ."
CHINESE = "两只狗在绿色的草地上快速地奔跑，一个小女孩正在笑着。"


@pytest.fixture(scope="module")
def tokenizer() -> CaptionTokenizer:
    return CaptionTokenizer.train(
        [ENGLISH, "两只 狗 在 草地 上 奔跑 ， 一个 小女孩 正在 笑 着 。"] * 3
    )


def told(text: str, tokenizer: CaptionTokenizer) -> str:
    """The characters of the tokens that weigh, words apart."""
    weights = significance([text], tokenizer)[0]
    (encoding,) = tokenizer.encodings([text])
    kept = [" "] * len(text)
    for (start, end), weight in zip(encoding.offsets, weights, strict=True):
        if weight:
            kept[start:end] = text[start:end]
    return " ".join("".join(kept).split())


def test_english_words_of_content_weigh(tokenizer: CaptionTokenizer) -> None:
    assert told(ENGLISH, tokenizer) == "Two brown dogs running grass man friend looks"


def test_chinese_words_of_content_weigh(tokenizer: CaptionTokenizer) -> None:
    assert told(CHINESE, tokenizer) == "两只狗 绿色 草地 奔跑 小女孩 笑"


def test_blanks_between_chinese_words_change_nothing(tokenizer: CaptionTokenizer) -> None:
    assert told("两只 狗 在 草地 上 奔跑", tokenizer) == "两只 狗 草地 奔跑"


def test_both_languages_mix(tokenizer: CaptionTokenizer) -> None:
    assert told("the 狗 is running 在 3 草地", tokenizer) == "狗 running 3 草地"


@pytest.mark.parametrize("word", ["dog", "running", "brown", "frisbee", "zzyzx", "12", "two"])
def test_nouns_verbs_adjectives_numbers_and_unknown_words_are_content(word: str) -> None:
    assert english_content(word)


@pytest.mark.parametrize("word", ["the", "in", "while", "is", "her", "very", "quickly", "s"])
def test_closed_classes_and_adverbs_are_not(word: str) -> None:
    assert not english_content(word)


@pytest.mark.parametrize("word", ["狗", "奔跑", "两只", "三个", "一群", "红色", "户外", "穿"])
def test_chinese_nouns_verbs_adjectives_and_numerals_are_content(word: str) -> None:
    assert chinese_content(word)


@pytest.mark.parametrize("word", ["的", "在", "着", "了", "一个", "一只", "是", "正在", "和"])
def test_chinese_particles_and_articles_are_not(word: str) -> None:
    assert not chinese_content(word)


def test_weights_lie_in_the_places_of_the_ids(tokenizer: CaptionTokenizer) -> None:
    texts = ["", "the", ENGLISH, CHINESE, "🐕 !? \t"]
    ids, weights = tokenizer.ids(texts), significance(texts, tokenizer)
    assert weights.shape == ids.shape
    assert weights.dtype == np.float32
    assert set(weights.ravel().tolist()) == {0.0, 1.0}
    assert not weights[ids == 0].any()
    assert not weights[:, 0].any()
    assert not weights[[0, 1, 4]].any()


def test_weights_are_cut_like_the_ids(tokenizer: CaptionTokenizer) -> None:
    assert significance([ENGLISH], tokenizer, 3).shape == tokenizer.ids([ENGLISH], 3).shape
    assert significance([], tokenizer).shape == tokenizer.ids([]).shape


@pytest.mark.timed
def test_what_was_looked_up_once_is_not_again(tokenizer: CaptionTokenizer) -> None:
    significance([ENGLISH, CHINESE], tokenizer)
    start = time.perf_counter()
    significance([ENGLISH, CHINESE] * 2000, tokenizer)
    assert time.perf_counter() - start < 5
