"""How well queries find photos that people would type: one thing or two, errors, "without".

    python -m benchmarks.text.typed_queries PHOTOS.tar CAPTIONS.jsonl [--pair FOLDER] [--json FILE]

A photo is right for a query if two of its English captions say all of it; for "without", if none
says what shall not be there and it is right for the rest. Each query is made from words that some
photos are right for, so that something can be found.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import combinations, islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import orjson
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.copies.tables import machine
from models.text_video.captions import Photo, read_captions
from models.text_video.serve import open_pair
from stream.evaluate.text_video import photo_vectors
from stream.search.query import text_query

SAYING = 2  # captions of a photo, of five, that must say a thing: one may be wrong. Set by hand
MIN_RIGHT = 5  # photos: with fewer, one rank decides
FIRST = 10  # hits that a person looks at
WORD = re.compile("[a-z]+")

# A thing: its Chinese name, then English words for it, the first of which is asked for.
THINGS = """
狗 dog dogs puppy|沙滩 beach sand shore|雪 snow snowy|草地 grass grassy lawn|水 water|球 ball
自行车 bike bicycle bikes bicycles|街道 street road sidewalk|男孩 boy boys|女孩 girl girls
男人 man men|女人 woman women|孩子 child children kid kids|婴儿 baby toddler infant
足球 soccer|篮球 basketball|泳池 pool|海浪 wave waves surf|冲浪者 surfer surfing|树 tree trees
滑板 skateboard skateboarder|滑雪者 skier skiing skis|山 mountain mountains|岩石 rock rocks cliff
马 horse horses|帽子 hat cap|墙 wall|汽车 car cars|摩托车 motorcycle motorbike dirtbike
人群 crowd|湖 lake|森林 woods forest|桌子 table|秋千 swing|滑梯 slide|吉他 guitar
攀岩者 climber climbing|跑步 running runs run|跳跃 jumping jumps jump|坐 sitting sits sit
"""
COLOURS = {"black": "黑色的", "white": "白色的", "red": "红色的", "blue": "蓝色的",
           "brown": "棕色的", "yellow": "黄色的", "green": "绿色的", "pink": "粉色的"}  # fmt: skip
COUNTS = {"two": "两", "three": "三"}
COUNTED = {"dog": "只狗", "man": "个男人", "woman": "个女人", "child": "个孩子", "boy": "个男孩",
           "girl": "个女孩"}  # fmt: skip
PEOPLE = frozenset(
    WORD.findall(
        "man men woman women boy boys girl girls child children kid kids baby toddler person "
        "people player players crowd lady guy guys rider surfer climber skateboarder"
    )
)

Says = Callable[[frozenset[str], str], bool]


@dataclass(frozen=True)
class Thing:
    """What can be seen, by its names."""

    chinese: str
    words: tuple[str, ...]

    def said(self, words: frozenset[str]) -> bool:
        """Whether a caption's words name it."""
        return not words.isdisjoint(self.words)


@dataclass(frozen=True)
class Query:
    """What is typed, and which photos answer it: (P,) bool."""

    kind: str
    text: str
    right: NDArray[np.bool_]


@dataclass(frozen=True)
class Figures:
    """Of one kind of query, percent.

    Attributes:
        first_right: queries whose first hit is right.
        precision: of the first ten hits, right ones among as many as could be.
        chance: the same of a random order.
    """

    kind: str
    queries: int
    first_right: float
    precision: float
    chance: float


def things() -> list[Thing]:
    """All that is asked for."""
    rows = [row.split() for line in THINGS.split("\n") for row in line.split("|") if row.strip()]
    return [Thing(row[0], tuple(row[1:])) for row in rows]


def make_queries(photos: list[Photo]) -> list[Query]:
    """Some two hundred queries that the photos have answers for, the same for the same photos."""
    captions = [
        [frozenset(WORD.findall(text.lower())) for text in photo.captions["en"]] for photo in photos
    ]
    texts = [[text.lower() for text in photo.captions["en"]] for photo in photos]

    def right(says: Says) -> NDArray[np.bool_]:
        counts = [sum(map(says, words, told)) for words, told in zip(captions, texts, strict=True)]
        return np.array(counts) >= SAYING

    def without(words: frozenset[str]) -> NDArray[np.bool_]:
        return np.array([all(words.isdisjoint(one) for one in told) for told in captions])

    shown = {thing.words[0]: right(_naming(thing)) for thing in things()}
    named = {thing.words[0]: thing for thing in things()}
    made = [
        *_names(named, shown),
        *_several(named, shown),
        *_coloured(named, right),
        *_counted(right),
        *_without(named, shown, without),
    ]
    return [query for query in made if query.right.sum() >= MIN_RIGHT]


def _naming(thing: Thing) -> Says:
    return lambda words, _: thing.said(words)


def _matching(pattern: re.Pattern[str]) -> Says:
    return lambda _, text: bool(pattern.search(text))


def _names(named: dict[str, Thing], shown: dict[str, NDArray[np.bool_]]) -> Iterator[Query]:
    for word, thing in named.items():
        yield Query("a thing, English", word, shown[word])
        yield Query("a thing, Chinese", thing.chinese, shown[word])
        if len(word) > 4:
            yield Query("a typing error", misspelled(word), shown[word])


def misspelled(word: str) -> str:
    """The word with two neighbours near its middle exchanged: guitar, gutiar."""
    places = [at for at in range(1, len(word) - 1) if word[at] != word[at + 1]]
    at = min(places, key=lambda place: abs(place + 1 - len(word) / 2))
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def _several(named: dict[str, Thing], shown: dict[str, NDArray[np.bool_]]) -> Iterator[Query]:
    both = {pair: shown[pair[0]] & shown[pair[1]] for pair in combinations(named, 2)}
    likely = sorted(both, key=lambda pair: (-int(both[pair].sum()), pair))
    for one, other in islice(likely, 25):
        chinese = named[one].chinese, named[other].chinese
        yield Query("two things, English", f"{one} {other}", both[one, other])
        yield Query("two things, Chinese", " ".join(chinese), both[one, other])
        yield Query("both languages", f"{one} {chinese[1]}", both[one, other])


def _coloured(
    named: dict[str, Thing], right: Callable[[Says], NDArray[np.bool_]]
) -> Iterator[Query]:
    for word in ("dog", "car", "hat", "ball", "bike", "horse"):
        forms = "|".join(named[word].words)
        for colour, chinese in COLOURS.items():
            near = re.compile(rf"\b{colour}\b(?: and \w+)? (?:{forms})\b")
            found = right(_matching(near))
            yield Query("a colour", f"{colour} {word}", found)
            yield Query("a colour", f"{chinese}{named[word].chinese}", found)


def _counted(right: Callable[[Says], NDArray[np.bool_]]) -> Iterator[Query]:
    many = {"dog": "dogs", "man": "men", "woman": "women", "child": "children", "boy": "boys",
            "girl": "girls"}  # fmt: skip
    for word, plural in many.items():
        for count, chinese in COUNTS.items():
            near = re.compile(rf"\b{count}\b(?: \w+)? {plural}\b")
            found = right(_matching(near))
            yield Query("a count", f"{count} {plural}", found)
            yield Query("a count", f"{chinese}{COUNTED[word]}", found)


def _without(
    named: dict[str, Thing],
    shown: dict[str, NDArray[np.bool_]],
    without: Callable[[frozenset[str]], NDArray[np.bool_]],
) -> Iterator[Query]:
    empty = without(PEOPLE)
    for word in ("beach", "snow", "street", "water", "grass", "mountain", "dog", "pool"):
        yield Query("without", f"{word} without people", shown[word] & empty)
        yield Query("without", f"没有人的{named[word].chinese}", shown[word] & empty)


def figures_of(queries: Iterable[Query], similarities: NDArray[np.float32]) -> list[Figures]:
    """Of each kind, in the order that they come in.

    Args:
        queries: Q of them.
        similarities: (Q, P) of each to every photo.
    """
    scores: dict[str, list[tuple[float, float, float]]] = {}
    for query, row in zip(queries, similarities, strict=True):
        hits = query.right[np.argsort(-row, kind="stable")[:FIRST]]
        most = min(FIRST, int(query.right.sum()))
        chance = min(1.0, FIRST * query.right.mean() / most)
        scores.setdefault(query.kind, []).append((hits[0], hits.sum() / most, chance))
    return [
        Figures(kind, len(rows), *(100 * np.mean(rows, axis=0)).round(1).tolist())
        for kind, rows in scores.items()
    ]


def main(
    photos: Annotated[Path, typer.Argument(help="A tar of photos.")],
    captions: Annotated[Path, typer.Argument(help="Their captions, a JSON line each.")],
    pair: Annotated[
        Path | None, typer.Option(help="Folder of an exported pair; the shipped one without.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Figures go here.")] = None,
) -> None:
    """Rank photos for queries as people type them."""
    opened, read = open_pair(pair, threads=2), read_captions(captions)
    queries = make_queries(read)
    counts = Counter(query.text for query in queries)
    assert max(counts.values()) == 1, counts.most_common(1)
    texts = np.concatenate([text_query(opened.text, query.text).vector for query in queries])
    videos = photo_vectors(read, photos, opened, Console(stderr=True))
    rows = figures_of(queries, texts @ videos.T)
    title = f"{opened.model_version}, {len(queries)} queries, {len(read)} photos"
    table = Table("kind", "queries", "first hit right, %", "right of ten, %", "chance", title=title)
    for row in rows:
        shown = (row.first_right, row.precision, row.chance)
        table.add_row(row.kind, str(row.queries), *(f"{value:.0f}" for value in shown))
    Console().print(table)
    if json is not None:
        report: dict[str, Any] = {
            "machine": machine(),
            "model_version": opened.model_version,
            "rows": [asdict(row) for row in rows],
        }
        json.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    typer.run(main)
