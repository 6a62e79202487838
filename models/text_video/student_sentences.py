"""What a student reads beside captions: joined and spliced ones, keywords, and typing errors."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.text_video.clips import CHINESE_JOINTS, ENGLISH_JOINTS
from models.text_video.pairs import CHINESE_RUN, Pairs
from models.text_video.tokenizer import PAD, CaptionTokenizer

TRIM = " .。"  # goes from the end of a caption that another follows
WORD = re.compile("[a-z]{4,}", re.IGNORECASE)  # in shorter ones an error leaves too little
MAX_KEYWORDS = 3
# Where a caption's second part may begin: what it says of the first fits most others as well.
ENGLISH_SPLICE = re.compile(
    r" (?=(?:in|on|at|with|while|through|over|near|by|next|behind|under|into|from|during|across"
    r"|along|down|up|toward|towards|against|around|outside|inside|beside|wearing|holding) )"
)
CHINESE_SPLICE = re.compile("(?<=[\u4e00-\u9fff]{2})(?=[在从向往沿穿戴拿抱牵骑和与])")
MIN_SPLICED = 2  # words before and behind; in Chinese characters
MIXED_SHARE = 0.2  # of keywords, with one of the photo's other language. Set by hand


@dataclass(frozen=True)
class Sentences:
    """What the student reads, and of which sentences its teachers say what is meant.

    Attributes:
        captions: M of them.
        joined: J sentences of two captions.
        parts: (J, 2) int64, which captions.
        others: K sentences more: the beginning of one caption and the end of another, and queries
            of few words.
        read: S texts: the captions, the joined ones, the others, then some of these with a
            typing error.
        meant: (S,) int64, the place of what each means among the M + J + K without errors.
    """

    captions: list[str]
    joined: list[str]
    parts: NDArray[np.int64]
    others: list[str]
    read: list[str]
    meant: NDArray[np.int64]


def make_sentences(
    pairs: Pairs,
    tokenizer: CaptionTokenizer,
    max_tokens: int,
    *,
    joined_share: float,
    spliced_share: float,
    keywords_share: float,
    misspelt_share: float,
    seed: int,
) -> Sentences:
    """Captions, and what is made of them.

    Args:
        pairs: M captions with their languages and photos.
        tokenizer: of the student.
        max_tokens: of a sentence.
        joined_share: so many joined sentences a caption; fewer where many are too long.
        spliced_share: so many spliced sentences a caption.
        keywords_share: so many keyword queries a caption.
        misspelt_share: so many sentences with an error a caption.
        seed: of the draws.
    """
    random = np.random.default_rng(seed)
    joined, parts = _joined(pairs, tokenizer, max_tokens, int(len(pairs) * joined_share), random)
    typed = keywords(pairs, int(len(pairs) * keywords_share), random)
    others = [*_spliced(pairs, int(len(pairs) * spliced_share), random), *typed]
    whole = [*pairs.texts, *joined, *others]
    likely = np.flatnonzero([bool(WORD.search(text)) for text in whole])
    # Half of them keywords: what people type is short, and captions are many.
    short = likely[likely >= len(whole) - len(typed)]
    count = int(len(pairs) * misspelt_share)
    wrong = np.concatenate(
        [random.choice(rows, count // 2) for rows in (likely, short) if len(rows)] or [likely]
    ).astype(np.int64)
    errors = [misspelt(whole[row], random) for row in wrong]
    meant = np.concatenate([np.arange(len(whole)), wrong])
    return Sentences(pairs.texts, joined, parts, others, [*whole, *errors], meant)


def misspelt(text: str, random: np.random.Generator) -> str:
    """A text with an error in one of its words: letters exchanged, lost, doubled or another.

    Args:
        text: with a word of four letters at least.
        random: of the choice.
    """
    words = list(WORD.finditer(text))
    word = words[int(random.integers(len(words)))]
    at = word.start() + 1 + int(random.integers(len(word.group()) - 2))  # neither the first letter
    before, here, after = text[:at], text[at], text[at + 1 :]
    other = chr(ord("a") + int(random.integers(26)))
    made = (after[:1] + here + after[1:], after, 2 * here + after, other + after)
    return before + made[int(random.integers(len(made)))]


def _joined(
    pairs: Pairs,
    tokenizer: CaptionTokenizer,
    max_tokens: int,
    count: int,
    random: np.random.Generator,
) -> tuple[list[str], NDArray[np.int64]]:
    """Two captions of a language one after the other, where the tokens have room, and which."""
    texts, parts = [], []
    for chinese, joints in ((False, ENGLISH_JOINTS), (True, CHINESE_JOINTS)):
        rows = np.flatnonzero(pairs.chinese == chinese)
        for first, second in random.choice(rows, (count // 2, 2)) if len(rows) else ():
            joint = joints[int(random.integers(len(joints)))]
            begin = pairs.texts[first].rstrip(TRIM)
            texts.append(f"{begin}{joint}{'' if chinese else ' '}{pairs.texts[second]}")
            parts.append((first, second))
    ids = tokenizer.ids(texts, max_tokens + 1)
    fits = np.flatnonzero((ids != PAD).sum(axis=1) <= max_tokens)
    kept = np.array([parts[row] for row in fits], np.int64).reshape(-1, 2)
    return [texts[row] for row in fits], kept


def _spliced(pairs: Pairs, count: int, random: np.random.Generator) -> list[str]:
    """The beginning of a caption and the end of another one, as many of each language."""
    found: list[str] = []
    for chinese, splice in ((False, ENGLISH_SPLICE), (True, CHINESE_SPLICE)):
        begins, ends = list[str](), list[str]()
        for row in np.flatnonzero(pairs.chinese == chinese):
            text = pairs.texts[row]
            for place in splice.finditer(text):
                begin, end = text[: place.start()], text[place.start() :]
                if min(map(_words, (begin, end))) >= MIN_SPLICED:
                    begins.append(begin)
                    ends.append(end)
        if begins:
            chosen = random.integers(0, len(begins), (count // 2, 2))
            found += [begins[first] + ends[second] for first, second in chosen]
    return found


def _words(text: str) -> int:
    """How many; characters of Chinese, which isn't written in words."""
    return len(text) if CHINESE_RUN.search(text) else len(text.split())


def keywords(pairs: Pairs, count: int, random: np.random.Generator) -> list[str]:
    """Queries as people type them, of one to three words of a caption's content, in its order.

    Now and then one is of the other language.

    Args:
        pairs: the captions, with their photos.
        count: of the queries; fewer where captions have no such word.
        random: of the draws.
    """
    told: dict[tuple[int, bool], list[int]] = {}
    for row, (photo, chinese) in enumerate(zip(pairs.photos, pairs.chinese, strict=True)):
        told.setdefault((int(photo), bool(chinese)), []).append(row)
    found = []
    for row in random.integers(0, len(pairs), count):
        chosen = _drawn(content_words(pairs.texts[row]), random)
        others = told.get((int(pairs.photos[row]), not pairs.chinese[row]), [])
        if others and random.random() < MIXED_SHARE:
            more = content_words(pairs.texts[int(random.choice(others))])
            chosen = [*chosen[: MAX_KEYWORDS - 1], *more[:1]]
        if chosen:
            found.append(" ".join(chosen))
    return found


def _drawn(words: list[str], random: np.random.Generator) -> list[str]:
    """One to three of the words, in their order; none of none."""
    count = min(len(words), 1 + int(random.integers(MAX_KEYWORDS)))
    places = np.sort(random.choice(len(words), count, replace=False)) if words else ()
    return [words[place] for place in places]


def content_words(text: str) -> list[str]:
    """Nouns, verbs, adjectives and numbers of a caption, in its order, each once."""
    # Here: the dictionaries take long to load.
    from models.text_video.words import chinese_content, chinese_dictionary, english_content

    run = CHINESE_RUN.search(text)
    words = chinese_dictionary().lcut(text) if run else re.findall("[a-z]+", text.lower())
    content = [w for w in words if (chinese_content(w) if run else english_content(w))]
    return list(dict.fromkeys(word for word in content if word.strip()))
