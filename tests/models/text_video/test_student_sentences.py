"""What a student reads: captions, joined ones, keywords, and typing errors that mean the same."""

import numpy as np
import pytest

from models.text_video.captions import read_captions
from models.text_video.pairs import Pairs, learn_tokenizer, make_pairs
from models.text_video.student_sentences import (
    Sentences,
    content_words,
    make_sentences,
    misspelt,
)
from models.text_video.tokenizer import PAD
from tests.models.text_video_data import make_data


def made(
    pairs: Pairs,
    *,
    joined: float = 0.0,
    spliced: float = 0.0,
    keywords: float = 0.0,
    errors: float = 0.0,
    max_tokens: int = 16,
) -> Sentences:
    tokenizer = learn_tokenizer([], 50)
    return make_sentences(
        pairs, tokenizer, max_tokens, joined_share=joined, spliced_share=spliced,
        keywords_share=keywords, misspelt_share=errors, seed=3,
    )  # fmt: skip


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    data = make_data(tmp_path_factory.mktemp("data"))
    return make_pairs(read_captions(data / "captions/flickr8k-train.jsonl"), ["en", "zh"])


def test_captions_alone_mean_themselves(pairs: Pairs) -> None:
    found = made(pairs)
    assert found.read == found.captions == pairs.texts
    assert found.meant.tolist() == list(range(len(pairs)))
    assert not found.joined and not found.others and not len(found.parts)


def test_captions_are_joined_where_they_fit(pairs: Pairs) -> None:
    found = made(pairs, joined=0.5, max_tokens=60)
    assert 0 < len(found.joined) == len(found.parts) <= len(pairs) / 2
    assert found.read == [*pairs.texts, *found.joined]
    tokenizer = learn_tokenizer([], 50)
    assert ((tokenizer.ids(found.joined, 200) != PAD).sum(axis=1) <= 60).all()
    for text, (first, second) in zip(found.joined, found.parts, strict=True):
        assert text.startswith(pairs.texts[first].rstrip(" .。"))
        assert text.endswith(pairs.texts[second])
        assert pairs.chinese[first] == pairs.chinese[second]


def test_captions_of_one_language_are_joined_too() -> None:
    pairs = Pairs(np.arange(4), ["a dog", "a cat", "a red car", "snow"], np.zeros(4, np.bool_))
    assert len(made(pairs, joined=1.0, max_tokens=40).parts) == 2


def test_the_beginning_of_a_caption_goes_on_with_the_end_of_another() -> None:
    texts = [
        "Two dogs run on the beach",
        "A man sits with a hat",
        "两只狗在沙滩上奔跑",
        "一个男人骑自行车",
        "snow",
    ]
    pairs = Pairs(np.arange(5), texts, np.array([False, False, True, True, False]))
    found = made(pairs, spliced=8.0)
    assert len(found.others) == 40
    assert {*found.others} == {
        *texts[:4],
        "Two dogs run with a hat",
        "A man sits on the beach",
        "两只狗骑自行车",
        "一个男人在沙滩上奔跑",
    }
    assert found.read == [*texts, *found.others]


def test_keywords_are_words_of_their_captions(pairs: Pairs) -> None:
    found = made(pairs, keywords=0.5)
    said = {word for text in pairs.texts for word in content_words(text)}
    assert found.others
    for query in found.others:
        assert 1 <= len(query.split()) <= 3
        assert set(query.split()) <= said
    assert found.read[len(pairs) :] == found.others
    mixed = [query for query in found.others if not query.isascii() and query[0].isascii()]
    assert mixed  # both languages in one query


def test_content_words_leave_out_what_says_nothing() -> None:
    assert content_words("Two dogs run on the beach .") == ["two", "dogs", "run", "beach"]
    assert content_words("两只狗在沙滩上奔跑。") == ["两只", "狗", "沙滩", "奔跑"]


def test_an_error_is_in_one_word_and_its_meaning_is_kept(pairs: Pairs) -> None:
    found = made(pairs, keywords=0.5, errors=0.5)
    whole = [*pairs.texts, *found.others]
    wrong = range(len(whole), len(found.read))
    assert len(wrong)
    for at in wrong:
        right = whole[found.meant[at]].split(" ")
        changed = [one for one, other in zip(found.read[at].split(" "), right, strict=True)
                   if one != other]  # fmt: skip
        assert len(changed) <= 1  # two letters that are alike may be exchanged


def test_errors_are_of_all_kinds_and_spare_the_first_letter() -> None:
    random = np.random.default_rng(1)
    seen = {misspelt("a skateboard", random) for _ in range(200)}
    assert len(seen) > 50
    assert all(text.startswith("a s") for text in seen)
    assert {len(text) for text in seen} == {11, 12, 13}


def test_what_has_no_long_word_gets_no_error() -> None:
    pairs = Pairs(np.arange(2), ["狗", "a dog"], np.array([True, False]))
    assert made(pairs, errors=1.0).read == ["狗", "a dog"]
