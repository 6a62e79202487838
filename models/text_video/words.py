"""Which tokens of a caption say something: nouns, verbs, adjectives and numbers, by dictionary.

Serves the methods of training that weigh, drop or mask words. Needs the extra `train`.
"""

import logging
import re
import warnings
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.text_video.tokenizer import MAX_TOKENS, CaptionTokenizer

SPANS = re.compile(r"[a-z0-9]+|[\u3400-\u9fff]+", re.IGNORECASE)
ENGLISH_CONTENT = {"NOUN", "PROPN", "VERB", "ADJ"}
# Dictionaries know nouns and verbs that are written like these, and captions hardly mean those.
_ENGLISH_CLOSED = """
a an the this that these those each every either neither some any no none all both half such
another other others one ones own same
i me my mine we us our ours you your yours he him his she her hers it its they them their
theirs who whom whose which what where when why how there here himself herself itself
themselves someone something somebody anyone anything everyone everything nobody nothing
and or but nor so yet if as than then while whilst because though although since until unless
whether
at by for from in into of off on onto to toward towards up down out over under above below
between among amongst through across along around about after before behind beside besides
beyond near next with within without against inside outside underneath upon via per like unlike
despite during except amid atop past
is am are was were be been being do does did doing done has have had having can could may might
must shall should will would ought let lets get gets getting got
not very too just also only even still again almost quite rather well much many more most less
least few several lot lots etc re ve ll don doesn isn aren
"""
# Of the tags of ICTCLAS: nouns, verbs, adjectives and states, numerals, places, idioms.
CHINESE_CONTENT = tuple("nvazbmsgijl")
# Tagged verbs or numerals, and no more than is, has, can, do, many.
_CHINESE_CLOSED = (
    "是 有 没有 会 能 要 想 让 使 被 将 正在 在 到 去 来 成 为 进行 很多 许多 几个 几只"
)
CHINESE_GROUPS = "群对双家排队"  # 一群 is "a group", 一个 no more than "a"
ENGLISH_CLOSED = frozenset(_ENGLISH_CLOSED.split())
CHINESE_CLOSED = frozenset(_CHINESE_CLOSED.split())


def significance(
    texts: Sequence[str], tokenizer: CaptionTokenizer, max_tokens: int = MAX_TOKENS
) -> NDArray[np.float32]:
    """Whether each token belongs to a word of content, by the part of speech it can have.

    DMAE and S3 weigh nouns, verbs, adjectives (and S3 numbers) as 1 and other words as 0, tagged
    by spaCy. Here English words weigh by the parts of speech that a dictionary allows
    (lemminflect), closed classes excepted, and Chinese ones by jieba's tag: neither reads the
    sentence, so that every word is looked up once. Words unknown to the dictionary weigh.

    Args:
        texts: N captions, English, Chinese or both.
        tokenizer: whose tokens are weighed.
        max_tokens: as for `tokenizer.ids`.

    Returns:
        (N, L) float32, 0 or 1, in the places of `tokenizer.ids(texts, max_tokens)`; 0 for
        `<cls>`, padding, punctuation and closed classes.
    """
    encodings = tokenizer.encodings(texts, max_tokens)
    longest = max((len(encoding.ids) for encoding in encodings), default=1)
    found = np.zeros((len(texts), longest), np.float32)
    for row, text, encoding in zip(found, texts, encodings, strict=True):
        content = _content_characters(text)
        for place, (start, end) in enumerate(encoding.offsets):
            row[place] = any(content[start:end])
    return found


def english_content(word: str) -> bool:
    """Whether an English word, in lower case, can be a noun, a verb or an adjective.

    Numbers can; single letters (what `'s` leaves) and closed classes cannot.
    """
    if word.isdigit():
        return True
    if len(word) == 1 or word in ENGLISH_CLOSED:
        return False
    parts = _english_dictionary()(word)
    return not parts or not ENGLISH_CONTENT.isdisjoint(parts)


def chinese_content(word: str) -> bool:
    """Whether a Chinese word is tagged as content.

    Numerals are, those of one (一个, 一名) are not: they stand where English has an article.
    """
    tag = _chinese_tag(word)
    article = tag == "m" and word.startswith("一") and word[-1] not in CHINESE_GROUPS
    return tag.startswith(CHINESE_CONTENT) and word not in CHINESE_CLOSED and not article


def _content_characters(text: str) -> bytearray:
    """One byte a character, 1 in words of content."""
    found = bytearray(len(text))
    for span in SPANS.finditer(text):
        run = span.group().lower()
        marks = bytes([_english(run)]) * len(run) if run.isascii() else _chinese(run)
        found[span.start() : span.end()] = marks
    return found


_english = lru_cache(1 << 16)(english_content)


@lru_cache(1 << 16)
def _chinese(run: str) -> bytes:
    """A run of Chinese characters, cut into words: one byte a character."""
    words = chinese_dictionary().cut(run)
    return b"".join(bytes([_chinese_word(word)]) * len(word) for word in words)


_chinese_word = lru_cache(1 << 16)(chinese_content)


def _chinese_tag(word: str) -> str:
    """The tag of the dictionary, or of the model for unknown words."""
    posseg = chinese_dictionary().posseg
    known: str | None = posseg.dt.word_tag_tab.get(word)
    return known or next(iter(posseg.cut(word))).flag


@cache
def _english_dictionary() -> Any:
    """A word to its lemmas by part of speech, {} if unknown."""
    from lemminflect import getAllLemmas

    return getAllLemmas


@cache
def chinese_dictionary() -> Any:
    """The package jieba, loaded; it warns and logs about itself while it is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import jieba
        import jieba.posseg
    jieba.setLogLevel(logging.WARNING)
    jieba.initialize()
    jieba.posseg.initialize()
    return jieba
