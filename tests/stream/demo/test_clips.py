"""The demo's own clips: rich, distinct, the same every time, and copied where they say so."""

import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stream.demo.clips import drawing, make_clip, make_demo_videos, truth_of
from stream.demo.demo_set import DemoSet
from stream.demo.edits import EDITS, picture_in_picture
from stream.demo.footage import FootageError, read_frames, seconds_of
from stream.demo.paint import SIZE
from stream.demo.plan import PLAN, Clip, Copied, Drawn, Plan
from stream.demo.scenes import SCENES
from stream.errors import SettingsError

SMALL = Plan(
    references=(
        Clip("r1", (Drawn("reef", 1, 3), Drawn("skyline", 2, 3))),
        Clip("r2", (Drawn("wheel", 1, 2),)),
    ),
    uploads=(
        Clip("u1", (Drawn("plasma", 1, 2), Copied("r1", 1, 5))),
        Clip("u2", (Copied("r1", 1, 6, "crop", speed=1.25), Drawn("chart", 1, 1)), quality=38),
        Clip("u3", (Drawn("fireworks", 1, 2),)),
    ),
    broken="u3",
)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> DemoSet:
    return make_demo_videos(tmp_path_factory.mktemp("small"), lambda done, total: None, SMALL)


def pixels(scene: str, seed: int, seconds: float) -> NDArray[np.float32]:
    return np.asarray(SCENES[scene](seed).draw(seconds), np.float32)


@pytest.mark.parametrize("scene", SCENES)
def test_a_scene_is_a_pure_function_of_seed_and_time(scene: str) -> None:
    assert SCENES[scene](3).draw(1.5).size == SIZE
    np.testing.assert_array_equal(pixels(scene, 3, 1.5), pixels(scene, 3, 1.5))


@pytest.mark.parametrize("scene", SCENES)
def test_a_scene_moves_and_another_seed_looks_different(scene: str) -> None:
    assert np.abs(pixels(scene, 1, 0.5) - pixels(scene, 1, 4.0)).mean() > 2
    assert np.abs(pixels(scene, 1, 2.0) - pixels(scene, 2, 2.0)).mean() > 15


@pytest.mark.parametrize("scene", SCENES)
def test_a_scene_is_rich_in_tones_throughout(scene: str) -> None:
    for seconds in (0.5, 3.0, 6.5):
        assert pixels(scene, 2, seconds).std() > 20


@pytest.mark.parametrize("edit", [name for name in EDITS if name != "untouched"])
def test_an_edit_changes_the_picture_and_keeps_its_size(edit: str) -> None:
    picture = SCENES["landscape"](1).draw(1.0)
    edited = EDITS[edit](picture, 1.0)
    assert edited.size == picture.size
    assert np.abs(np.asarray(edited, np.float32) - np.asarray(picture, np.float32)).mean() > 1


def test_picture_in_picture_keeps_the_scene_around_the_window() -> None:
    background = SCENES["plasma"](1)
    edited = picture_in_picture(background)(SCENES["landscape"](1).draw(1.0), 1.0)
    np.testing.assert_array_equal(
        np.asarray(edited)[:, :70], np.asarray(background.draw(1.0))[:, :70]
    )


def test_every_shot_of_the_plan_can_be_made() -> None:
    seconds = {clip.name: sum(shot.seconds for shot in clip.shots) for clip in PLAN.references}
    for clip in (*PLAN.references, *PLAN.uploads):
        for shot in clip.shots:
            if isinstance(shot, Drawn):
                assert shot.scene in SCENES
            else:
                assert shot.edit == "picture_in_picture" or shot.edit in EDITS
                assert 0 <= shot.start_seconds < shot.end_seconds <= seconds[shot.reference]


def test_no_scene_is_shown_twice() -> None:
    shots = [shot for clip in (*PLAN.references, *PLAN.uploads) for shot in clip.shots]
    drawn = [(shot.scene, shot.seed) for shot in shots if isinstance(shot, Drawn)]
    assert len(drawn) == len(set(drawn))


def test_a_kind_of_scene_is_in_one_video_only() -> None:
    seen = [
        {shot.scene for shot in clip.shots if isinstance(shot, Drawn)}
        for clip in (*PLAN.references, *PLAN.uploads)
        if clip.name != PLAN.broken
    ]
    assert not {kind for one, other in combinations(seen, 2) for kind in one & other}


def test_no_second_is_copied_twice() -> None:
    copied = sorted(
        (shot.reference, shot.start_seconds, shot.end_seconds)
        for clip in PLAN.uploads
        for shot in clip.shots
        if isinstance(shot, Copied)
    )
    for (reference, _, end), (following, start, _) in zip(copied, copied[1:], strict=False):
        assert reference != following or end <= start


def test_the_truth_says_which_seconds_copy_which() -> None:
    truth = truth_of(SMALL)
    assert truth.keys() == {("u1", "r1"), ("u2", "r1")}
    faster = truth["u2", "r1"][0]
    assert (faster.video_start_seconds, faster.video_end_seconds) == (0.0, 4.0)
    assert (faster.reference_start_seconds, faster.reference_end_seconds) == (1.0, 6.0)


def test_the_copied_seconds_show_the_same_pictures(small: DemoSet) -> None:
    copy = [np.asarray(p, np.float32) for p in read_frames(small.uploads[0], 2, 6)]
    original = [np.asarray(p, np.float32) for p in read_frames(small.references[0], 1, 5)]
    assert len(copy) == len(original) == 60
    near = [np.abs(a - b).mean() for a, b in zip(copy, original, strict=True)]
    assert max(near) < 12  # two lossy encodings
    assert np.abs(copy[0] - original[-1]).mean() > 30


def test_clips_last_as_long_as_planned(small: DemoSet) -> None:
    assert [seconds_of(path) for path in small.references] == pytest.approx([6, 2], abs=0.01)
    assert [seconds_of(path) for path in small.uploads[:2]] == pytest.approx([6, 5], abs=0.01)


def test_the_broken_upload_is_no_readable_video(small: DemoSet) -> None:
    assert small.broken == {"u3"}
    with pytest.raises(FootageError, match="u3.mp4"):
        seconds_of(small.uploads[2])


def test_the_same_plan_gives_the_same_bytes(small: DemoSet, tmp_path: Path) -> None:
    for clip in SMALL.references:
        make_clip(clip, tmp_path, "references")
    again = make_clip(SMALL.uploads[1], tmp_path, "uploads")
    assert again.read_bytes() == small.uploads[1].read_bytes()


def test_progress_counts_every_video(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    plan = Plan(references=(Clip("r", (Drawn("road", 1, 1),)),), uploads=())
    make_demo_videos(tmp_path, lambda done, total: seen.append((done, total)), plan)
    assert seen == [(0, 1), (1, 1)]


def test_what_is_not_drawn_at_the_end_of_the_block_is_left(tmp_path: Path) -> None:
    shots = (Drawn("reef", 1, 1),)
    plan = Plan(references=tuple(Clip(f"r{n}", shots) for n in range(40)), uploads=())
    with drawing(tmp_path, plan) as clips:
        *_, last = clips.drawn.values()
    assert isinstance(last.exception(timeout=60), CancelledError | RuntimeError)
    assert clips.done() == len(clips.drawn)


@pytest.mark.timed
def test_nobody_waits_for_a_clip_that_is_being_drawn(tmp_path: Path) -> None:
    plan = Plan(references=(Clip("long", (Drawn("reef", 1, 3600),)),), uploads=())
    with drawing(tmp_path, plan) as clips:
        wait_until(lambda: (tmp_path / "references" / "long.mp4").exists())
        began = time.monotonic()
    assert time.monotonic() - began < 10  # it takes some minutes to draw
    (future,) = clips.drawn.values()
    assert isinstance(future.exception(timeout=1), CancelledError)


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="no videos can be put in .*file"):
        make_demo_videos(tmp_path / "file", lambda done, total: None, SMALL)
