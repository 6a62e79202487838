"""Copies in files whose pictures come at odd seconds: they are found at those that players show."""

import random
from functools import partial
from itertools import chain, repeat

import pytest

from stream.contract.fingerprint import Fingerprint
from tests.stream.answers import spans
from tests.stream.evaluate.finder import (
    EDGE_SECONDS,
    RATE,
    SHOT_SECONDS,
    Finder,
    Pictures,
    bars,
    later,
    scene_of,
    with_hole,
    write,
)

SPARSE_EDGE_SECONDS = 0.5
SLATE_SECONDS = 8 * 3600
WRAP_SECONDS = 2**33 / 90_000  # when a broadcast's clock begins anew
BROADCAST_RATE = 25  # 15 is none of MPEG-2's


@pytest.mark.parametrize("suffix", ["mkv", "flv"])
def test_a_copy_behind_a_hole_is_found_at_its_seconds(
    find: Finder, footage: Pictures, reference: Fingerprint, suffix: str
) -> None:
    pictures = [*scene_of("fireworks", 4), *footage[4 * RATE : 12 * RATE]]
    found = find(reference, pictures, suffix=suffix, times=with_hole(4, 600))
    assert spans(found) == [pytest.approx([604, 612, 4, 12], abs=EDGE_SECONDS)]


@pytest.mark.parametrize("every_seconds", [7200, SLATE_SECONDS])
def test_a_copy_behind_a_slate_of_eight_hours_is_found_at_its_seconds(
    find: Finder, footage: Pictures, reference: Fingerprint, every_seconds: int
) -> None:
    """The slate is a picture now and then, or one that stands."""
    slates = SLATE_SECONDS // every_seconds

    def times(number: int) -> float:
        if number < slates:
            return number * every_seconds
        return SLATE_SECONDS + (number - slates) / RATE

    pictures = chain(repeat(bars(), slates), footage[4 * RATE : 12 * RATE])
    found = find(reference, pictures, suffix="mkv", times=times)
    wanted = [SLATE_SECONDS, SLATE_SECONDS + 8, 4, 12]
    assert spans(found) == [pytest.approx(wanted, abs=EDGE_SECONDS)]


def uneven(seed: int, first: int) -> list[float]:
    """Seconds of a span of twelve: of its cuts, and others as they come, up to three apart."""
    draws, seconds = random.Random(seed), [0.0]
    while seconds[-1] < 11.5:
        seconds.append(round(seconds[-1] + draws.uniform(0.2, 3), 2))
    cuts = (float(cut - first) for cut in range(0, 20, SHOT_SECONDS))
    return sorted({*(each for each in seconds if each < 11.8), *(c for c in cuts if 0 < c < 12)})


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize(
    ("seed", "first"),
    [(1, 2), (4, 2), (7, 4), (11, 4), (6, 6),
     pytest.param(5, 6, marks=later("few pictures of a shot are taken for another pace"))],
)  # fmt: skip
def test_a_copy_with_few_pictures_at_uneven_seconds_has_its_edges(
    find: Finder, footage: Pictures, reference: Fingerprint, suffix: str, seed: int, first: int
) -> None:
    seconds = uneven(seed, first)
    pictures = [footage[round((first + second) * RATE)] for second in seconds]
    found = find(reference, pictures, suffix=suffix, times=[*seconds, 12.0].__getitem__)
    assert spans(found) == [pytest.approx([0, 12, first, first + 12], abs=SPARSE_EDGE_SECONDS)]


def on_a_clock(seconds: float, number: int) -> float:
    """The second of a picture of a broadcast whose clock begins at some second."""
    return seconds + number / BROADCAST_RATE


@pytest.mark.parametrize("suffix", ["ts", "mpg"])
@pytest.mark.parametrize(
    ("before", "behind"), [(0, 26), (0, 3600), (0, 90_000), (3600, 0), (WRAP_SECONDS - 3, 3)]
)
def test_a_copy_behind_a_jump_of_a_broadcasts_clock_is_found_at_its_seconds(
    find: Finder,
    footage: Pictures,
    reference: Fingerprint,
    suffix: str,
    before: float,
    behind: float,
) -> None:
    """Two recordings of six seconds put together, the second one of which is copied."""
    whole = find.folder / f"whole.{suffix}"
    for name, clock, pictures in (
        ("before", before, scene_of("fireworks", 6)),
        ("behind", behind, footage[4 * RATE : 10 * RATE]),
    ):
        part = write(
            find.folder / f"{name}.{suffix}",
            (pictures[number * RATE // BROADCAST_RATE] for number in range(6 * BROADCAST_RATE)),
            BROADCAST_RATE,
            partial(on_a_clock, clock),
            codec="libx264" if suffix == "ts" else "mpeg2video",
        )
        with whole.open("ab") as file:
            file.write(part.read_bytes())
    upload = find.read(whole)
    assert upload.duration_seconds == pytest.approx(12, abs=0.1)
    found = find.compare(reference, upload)
    assert spans(found) == [pytest.approx([6, 12, 4, 10], abs=EDGE_SECONDS)]
