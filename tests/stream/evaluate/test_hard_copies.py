"""Copies that the models don't find as they should yet, with the answer that is right.

Drawn here, so that each takes a second. What is expected to fail may begin to pass with better
models: it becomes an ordinary test then.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, repeat
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from models.all_aligners import make_aligner
from stream.contract.events import MatchedSegment, VideoUploaded
from stream.contract.fingerprint import Fingerprint
from stream.demo.scenes import SCENES
from stream.fingerprint.fingerprinter import Fingerprinter
from stream.library.shard import LibraryShard
from stream.settings import Settings, load_settings
from tests.stream.answers import spans

RATE = 15
SHOTS = ("landscape", "road", "reef", "wheel", "skyline")
SHOT_SECONDS = 4
EDGE_SECONDS = 0.75
VOCABULARY = """
matrix vector kernel proof lemma cell enzyme protein market price demand supply river
glacier plate energy photon quark orbit syntax parser grammar token queue stack heap
budget tax court treaty union war king city trade route ship
"""
WORDS = VOCABULARY.split()

Pictures = Sequence[Image.Image]
Made = tuple[Callable[[int], Iterator[Image.Image]], int]


def later(reason: str) -> pytest.MarkDecorator:
    return pytest.mark.xfail(reason=reason, strict=False, raises=AssertionError)


def write(path: Path, pictures: Iterable[Image.Image], rate: int = RATE) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "superfast"})
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(pictures):
            if number == 0:
                stream.width, stream.height = picture.size
            frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def footage() -> Pictures:
    """The reference: 20 seconds in five shots."""
    return [
        scene.draw(number / RATE).convert("RGB")
        for scene in (SCENES[name](3) for name in SHOTS)
        for number in range(SHOT_SECONDS * RATE)
    ]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings(
        fetch={"roots": [str(tmp_path_factory.getbasetemp())]}, decode={"processes": 1}
    )


@pytest.fixture(scope="module")
def fingerprinter(settings: Settings) -> Iterator[Fingerprinter]:
    with Fingerprinter(settings, embed=False) as made:
        yield made


class Finder:
    """Says which spans of a video are in another."""

    def __init__(self, settings: Settings, fingerprinter: Fingerprinter, folder: Path) -> None:
        self._settings, self._fingerprinter, self._folder = settings, fingerprinter, folder

    def fingerprint(
        self, name: str, pictures: Iterable[Image.Image], rate: int = RATE
    ) -> Fingerprint:
        """Encode, and fingerprint."""
        path = write(self._folder / f"{name}.mp4", pictures, rate)
        upload = VideoUploaded(video_id=name, uri=path.as_uri(), owner_id=name)
        return self._fingerprinter.fingerprint(upload, name).fingerprint

    def __call__(
        self, reference: Fingerprint, upload: Iterable[Image.Image], rate: int = RATE
    ) -> list[MatchedSegment]:
        """By the order of the upload."""
        library = self._settings.library
        shard = LibraryShard(library, 0, make_aligner(library.aligner))
        shard.apply(reference, 0)
        answer = shard.apply(self.fingerprint("upload", upload, rate), 1)
        found = [segment for match in answer.matches for segment in match.segments]
        return sorted(found, key=lambda segment: segment.video_start_seconds)


@pytest.fixture
def find(settings: Settings, fingerprinter: Fingerprinter, tmp_path: Path) -> Finder:
    return Finder(settings, fingerprinter, tmp_path)


@pytest.fixture(scope="module")
def reference(
    settings: Settings,
    fingerprinter: Fingerprinter,
    footage: Pictures,
    tmp_path_factory: pytest.TempPathFactory,
) -> Fingerprint:
    finder = Finder(settings, fingerprinter, tmp_path_factory.mktemp("reference"))
    return finder.fingerprint("reference", footage)


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
