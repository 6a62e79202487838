"""Copies that the models don't find as they should yet, with the answer that is right.

Drawn here, so that each takes a second. What is expected to fail may begin to pass with better
models: it becomes an ordinary test then.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat

import pytest
from PIL import Image, ImageDraw, ImageFont

from stream.contract.fingerprint import Fingerprint
from tests.stream.answers import spans
from tests.stream.evaluate.finder import (
    EDGE_SECONDS,
    RATE,
    Finder,
    Pictures,
    bars,
    later,
    scene_of,
)

VOCABULARY = """
matrix vector kernel proof lemma cell enzyme protein market price demand supply river
glacier plate energy photon quark orbit syntax parser grammar token queue stack heap
budget tax court treaty union war king city trade route ship
"""
WORDS = VOCABULARY.split()

Made = tuple[Callable[[int], Iterator[Image.Image]], int]


@pytest.mark.parametrize("speed", [1, pytest.param(2, marks=later("speed")), 3])
def test_a_copy_at_another_speed_is_one_span(
    find: Finder, footage: Pictures, reference: Fingerprint, speed: int
) -> None:
    found = find(reference, footage[4 * RATE : 16 * RATE : speed])
    assert spans(found) == [pytest.approx([0, 12 / speed, 4, 16], abs=EDGE_SECONDS)]


@pytest.mark.parametrize("seconds", [1.5, 2, 3, 5])
def test_each_turn_of_a_loop_is_found_at_its_place(
    find: Finder, footage: Pictures, reference: Fingerprint, seconds: float
) -> None:
    first, count = round(7.0 * RATE), round(seconds * RATE)
    turns = round(20 / seconds)
    found = find(reference, chain.from_iterable(repeat(footage[first : first + count], turns)))
    wanted = [[turn * seconds, (turn + 1) * seconds, 7, 7 + seconds] for turn in range(turns)]
    assert spans(found) == [pytest.approx(span, abs=EDGE_SECONDS) for span in wanted]


@pytest.mark.parametrize(
    ("scene", "seconds"),
    [
        ("plasma", 3),
        ("chart", 4.5),
        ("fireworks", 6),
        ("fireworks", 3),
    ],
)
def test_an_intro_is_all_that_two_videos_behind_it_share(
    find: Finder, footage: Pictures, scene: str, seconds: float
) -> None:
    intro = scene_of(scene, seconds)
    kept = find.fingerprint("kept", [*intro, *footage[: 8 * RATE]])
    found = find(kept, [*intro, *footage[8 * RATE : 16 * RATE]])
    for start, end, there, there_end in spans(found):
        assert start == pytest.approx(there, abs=EDGE_SECONDS)
        assert max(end, there_end) <= seconds + EDGE_SECONDS


@pytest.mark.parametrize("seconds", [5, 10])
def test_bars_are_all_that_two_videos_behind_them_share(
    find: Finder, footage: Pictures, seconds: int
) -> None:
    card = [bars()] * seconds * RATE
    kept = find.fingerprint("kept", [*card, *footage[: 8 * RATE]])
    found = find(kept, [*card, *footage[12 * RATE :]])
    for _, end, _, there_end in spans(found):
        assert max(end, there_end) <= seconds + EDGE_SECONDS


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (2, 14),
        (4, 12),
        (2, 8),
        (8, 14),
        (9, 15),
        (7, 11),
        (10, 14),
        pytest.param(4, 10, marks=later("a way of six seconds is one span beyond its turn")),
    ],
)
def test_a_boomerang_is_found_on_its_way_there_and_back(
    find: Finder, footage: Pictures, reference: Fingerprint, first: int, last: int
) -> None:
    there, seconds = footage[first * RATE : last * RATE], last - first
    found = find(reference, [*there, *there[::-1]])
    wanted = [[0, seconds, first, last], [seconds, 2 * seconds, first, last]]
    assert spans(found) == [pytest.approx(span, abs=EDGE_SECONDS) for span in wanted]
    assert [segment.reversed for segment in found] == [False, True]


def test_a_still_of_ten_minutes_is_one_span(
    find: Finder, footage: Pictures, reference: Fingerprint
) -> None:
    found = find(reference, repeat(footage[6 * RATE], 600), rate=1)
    assert len(found) == 1, spans(found)
    [[start, end, *there]] = spans(found)
    assert [start, end] == pytest.approx([0, 600], abs=5)
    assert 4 - EDGE_SECONDS <= there[0] < there[1] <= 8 + EDGE_SECONDS, "within its shot"


def deck(seed: int) -> Iterator[Image.Image]:
    """Six slides of a lecture; all decks have one template and other words."""
    draws = random.Random(seed)
    for number in range(6):
        slide = Image.new("RGB", (640, 360), "white")
        draw = ImageDraw.Draw(slide)
        draw.rectangle((0, 0, 640, 52), fill=(28, 60, 120))
        draw.rectangle((0, 340, 640, 360), fill=(28, 60, 120))
        title = " ".join(draws.sample(WORDS, 3)).title()
        draw.text((20, 10), title, "white", ImageFont.load_default(28))
        for line in range(draws.randint(3, 6)):
            words = "- " + " ".join(draws.sample(WORDS, draws.randint(3, 6)))
            draw.text((40, 80 + line * 40), words, (20, 20, 20), ImageFont.load_default(20))
        draw.text((560, 342), f"{number + 1}/6", "white", ImageFont.load_default(12))
        yield slide


def credit_roll(seed: int) -> Iterator[Image.Image]:
    """Eight cards of names, white on black."""
    draws = random.Random(seed)
    for _ in range(8):
        card = Image.new("RGB", (640, 360), "black")
        draw = ImageDraw.Draw(card)
        for line in range(draws.randint(2, 5)):
            name = " ".join(draws.sample(WORDS, 2)).title()
            place = (180 + draws.randint(-40, 60), 90 + line * 40)
            draw.text(place, name, "white", ImageFont.load_default(22))
        yield card


def shown(slides: Iterable[Image.Image]) -> Iterator[Image.Image]:
    """Each for five seconds, at two frames a second."""
    return chain.from_iterable(repeat(slide, 10) for slide in slides)


def test_a_deck_is_found_in_itself(find: Finder) -> None:
    [found] = find(find.fingerprint("deck", shown(deck(1)), 2), shown(deck(1)), 2)
    assert spans([found])[0] == pytest.approx([0, 30, 0, 30], abs=2)


@pytest.mark.parametrize(
    ("kept", "sent"),
    [
        pytest.param((deck, 1), (deck, 2), id="deck"),
        pytest.param((deck, 1), (deck, 3), id="third deck"),
        pytest.param((credit_roll, 4), (credit_roll, 5), id="credits"),
        pytest.param((credit_roll, 4), (deck, 1), id="deck, credits"),
    ],
)
def test_other_words_on_one_template_are_no_copy(find: Finder, kept: Made, sent: Made) -> None:
    reference, upload = (shown(draw(seed)) for draw, seed in (kept, sent))
    assert spans(find(find.fingerprint("kept", reference, 2), upload, 2)) == []
