"""A look by key frames encodes less, and its table says who stirs: for a copy, and by chance."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.copies.frame_choices import Choice, Parts
from benchmarks.copies.key_frame_look import THRESHOLDS, against, choices_of, table_of
from benchmarks.copies.rows import KeyFrames
from benchmarks.copies.set_frames import SetFrames, VideoFrames
from models.keyframes.settings import KeyFrameSettings
from stream.contract.fingerprint import CodedFrames
from stream.evaluate.copy_set import CopySet
from stream.library.settings import LibrarySettings
from tests.benchmarks.test_same_source import looks, video

SETTINGS = KeyFrameSettings(selector="even", every_seconds=4.0)
LIBRARY = LibrarySettings(aligner="temporal_network", min_score=0.5)


class WholeAgain(Parts):
    """Says that each frame that searches has one part, the whole."""

    def __init__(self) -> None:
        """Without an encoder."""

    def beside(self, video: VideoFrames, choice: Choice) -> Choice:
        """The same frames once more."""
        seconds = video.seconds[choice.searching]
        parts = CodedFrames(seconds, choice.searching_codes, choice.searching_biases)
        return replace(choice, parts=parts)


@pytest.fixture(scope="module")
def frames() -> SetFrames:
    """Query a copies 16 seconds of r, query b nothing."""
    reference = looks(1, 60)
    copy = np.concatenate((looks(2, 8), reference[20:52], looks(3, 6)))
    copies = CopySet(
        references={"r": Path("r.mp4")},
        queries={"a": Path("a.mp4"), "b": Path("b.mp4")},
        pairs=[("a", "r"), ("b", "r")],
        labels={"a-r": np.array([[8.0, 10.0, 24.0, 26.0]])},
    )
    videos = [
        video("r", reference, "reference"),
        video("a", copy, "upload"),
        video("b", looks(5, 30), "upload"),
    ]
    return SetFrames(copies, videos, {}, "made", 0.004, 0.0003)


def lines(frames: SetFrames, others: list[VideoFrames]) -> list[list[str]]:
    """The cells of the table, by line."""
    table = table_of(frames, others, KeyFrames(SETTINGS), LIBRARY)
    return [list(map(str, line)) for line in zip(*(c.cells for c in table.columns), strict=True)]


def test_key_frames_search_with_their_own_parts_alone(frames: SetFrames) -> None:
    query = frames.videos[1]
    today, alone, with_parts = (
        choose(query) for choose in choices_of(KeyFrames(SETTINGS, parts=WholeAgain())).values()
    )
    for key in (alone, with_parts):
        assert query.seconds[key.searching].tolist() == list(range(0, 30, 4))
        codes = today.searching_codes[np.isin(today.searching, key.searching)]
        np.testing.assert_array_equal(key.searching_codes, codes)
        np.testing.assert_array_equal(key.codes, today.codes, "stored as today")
    assert alone.parts is None
    assert with_parts.parts is not None
    np.testing.assert_array_equal(with_parts.parts.seconds, query.seconds[with_parts.searching])
    np.testing.assert_array_equal(with_parts.parts.codes, with_parts.searching_codes)


def test_the_copy_stirs_and_the_clear_query_does_not(frames: SetFrames) -> None:
    table = lines(frames, [])
    assert len(table) == 3 * sum(len(steps) for steps in THRESHOLDS.values())
    by_look = {(name, stirs): rest for name, _, stirs, *rest in table}
    assert by_look["all frames, parts", "candidate 1"] == ["100.0%", "100.0%", "0.0%"]
    assert by_look["key frames", "cosine 0.45"] == ["100.0%", "100.0%", "0.0%"]
    an_hour = {name: int(count) for name, count, *_ in table}
    assert an_hour["all frames, parts"] == pytest.approx(3600, rel=0.05)
    assert an_hour["key frames"] == pytest.approx(900, rel=0.1)


def test_chance_is_counted_for_references_and_for_all_videos(frames: SetFrames) -> None:
    own, clear = frames.videos[0], frames.videos[2]
    stranger = video("s", looks(6, 30), "reference")
    others = [stranger, replace(stranger), clear]
    assert len(against(frames, others).videos) == 2 + 2, "a video that is in two sets counts once"
    *_, references, everything = next(
        line for line in lines(frames, others) if line[2] == "candidate 1"
    )
    assert (references, everything) == ("0.0%", "50.0%")
    *_, references, _ = lines(frames, [own])[0]
    assert references == "50.0%"
