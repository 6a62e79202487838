"""A made copy set: labels say what was copied, and a seed gives the same set again."""

import json
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image, ImageDraw

from benchmarks.copies.made_copies import (
    Part,
    Video,
    make,
    one_of_each_scene,
    query,
    references,
    write_harder_set,
    write_set,
)
from models.training.edits.one_picture import hard_edited
from stream.demo.footage import FRAMES_PER_SECOND, read_frames, seconds_of, write_video
from stream.evaluate.copy_set import read_copy_set

SIZE = (160, 120)


def clip(path: Path, seed: int, seconds: float) -> Path:
    """A new painting every second."""
    random = Random(seed)
    pictures = []
    for _ in range(round(seconds)):
        picture = Image.new("RGB", SIZE, random.choice(("navy", "olive", "teal", "maroon", "grey")))
        draw = ImageDraw.Draw(picture)
        for _ in range(12):
            corners = [(random.uniform(0, SIZE[0]), random.uniform(0, SIZE[1])) for _ in range(3)]
            draw.polygon(corners, tuple(random.randrange(256) for _ in range(3)))
        pictures += [picture] * FRAMES_PER_SECOND
    write_video(path, pictures)
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for number in range(6):
        clip(folder / f"c{number}.mp4", number, 2)
    return folder


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of six seconds."""
    return clip(tmp_path_factory.mktemp("long") / "long.mp4", 0, 6)


@pytest.fixture(scope="module")
def made_set(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    write_set(clips, folder, (2, 4), 3, [])
    return folder


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other processes, as `made_set` has them: each loads what this one has."""

    def pool() -> Executor:
        return ThreadPoolExecutor(1)

    monkeypatch.setattr("benchmarks.copies.made_copies._processes", pool)


def test_the_set_has_the_layout_that_evaluation_reads(made_set: Path) -> None:
    copies = read_copy_set(made_set)
    assert list(copies.references) == ["r000", "r001"]
    assert len(copies.queries) == 4
    listed = {f"{query}-{reference}" for query, reference in copies.pairs}
    assert copies.labels and copies.labels.keys() <= listed
    for pair, boxes in copies.labels.items():
        query, reference = pair.split("-")
        assert (boxes[:, 2] <= seconds_of(copies.queries[query]) + 0.1).all()
        assert (boxes[:, 3] <= seconds_of(copies.references[reference]) + 0.1).all()
        paces = (boxes[:, 3] - boxes[:, 1]) / (boxes[:, 2] - boxes[:, 0])
        assert (paces > 0.45).all() and (paces < 2.1).all()
    edits = json.loads((made_set / "edits.json").read_text())
    assert edits.keys() == copies.queries.keys()
    copied = {f"{name}-{part['reference']}" for name, parts in edits.items() for part in parts}
    assert copied == copies.labels.keys()


@pytest.mark.usefixtures("in_process")
def test_a_seed_gives_the_same_files_again(clips: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        write_set(clips, folder, (1, 1), 5, [])
    made = [path.relative_to(first) for path in sorted(first.rglob("*.*"))]
    assert len(made) == 1 + 1 + 3
    differ = [path for path in made if (first / path).read_bytes() != (second / path).read_bytes()]
    assert differ == []


def test_another_seed_asks_for_something_else(clips: Path, tmp_path: Path) -> None:
    files = sorted(clips.glob("*.mp4"))
    known = references(files[:3], 2, Random(1))
    first, again, other = (
        query("q", tmp_path, known, files[3:], Random(seed)) for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
def test_the_labelled_seconds_show_the_same_pictures(
    clips: Path, long: Path, tmp_path: Path, speed: float
) -> None:
    parts = [Part(clips / "c1.mp4", 0.0, 2.0), Part(long, 1.0, 4.0, speed, reference="r")]
    video = Video("q", SIZE, 20, parts)
    make(video, tmp_path / "q.mp4")
    ((start, reference_start, end, reference_end),) = video.boxes["r"]
    assert (start, reference_start, reference_end) == (2.0, 1.0, 5.0)
    assert end == pytest.approx(2 + 4 / speed, abs=0.1)
    shown = list(read_frames(tmp_path / "q.mp4", start, end))
    copied = list(read_frames(long, reference_start, reference_end, speed=speed))
    assert abs(len(shown) - len(copied)) <= 1
    middles = range(FRAMES_PER_SECOND // 4, min(len(shown), len(copied)), FRAMES_PER_SECOND)
    for number in middles:
        off = np.abs(np.asarray(shown[number], float) - np.asarray(copied[number], float))
        assert off.mean() < 6, number


def test_an_edit_is_the_same_on_each_picture_of_its_span(clips: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "still.mp4", [Image.new("RGB", SIZE, "teal")] * FRAMES_PER_SECOND * 3)
    edited = Part(tmp_path / "still.mp4", 0.0, 3.0, 1.0, ("text", "logo", "rotate"), seed=9,
                  other=clips / "c1.mp4", reference="r")  # fmt: skip
    make(Video("q", SIZE, 18, [edited]), tmp_path / "q.mp4")
    pictures = [np.asarray(one, float) for one in read_frames(tmp_path / "q.mp4", 0, 3)]
    assert np.abs(pictures[0] - 0).std() > 5, "the edits are seen"
    assert max(np.abs(one - pictures[0]).mean() for one in pictures) < 3


def test_each_clip_is_in_one_reference(clips: Path) -> None:
    files = sorted(clips.glob("*.mp4"))
    made = references(files, 4, Random(1))
    used = [part.path for video in made for part in video.parts]
    assert sorted(used) == files


def test_a_query_of_a_short_set_has_one_short_span(clips: Path) -> None:
    files = sorted(clips.glob("*.mp4"))
    known = references(files, len(files), Random(1))
    assert [[part.path for part in video.parts] for video in known] == [[file] for file in files]
    asked = [query("q", clips, known, files, Random(seed), short=True) for seed in range(20)]
    copied = [[part for part in video.parts if part.reference] for video in asked]
    assert {len(parts) for parts in copied} == {0, 1}
    assert max(part.seconds for parts in copied for part in parts) <= 12


def test_of_each_scene_one_clip_is_used() -> None:
    clips = [Path(f"{name}.mp4") for name in "abcdef"]
    kept = one_of_each_scene(clips, [{"b", "d", "f"}, {"c", "nowhere"}])
    assert [clip.stem for clip in kept] == ["a", "b", "c", "e"]
    assert one_of_each_scene(clips, []) == clips


@pytest.mark.usefixtures("in_process")
def test_a_harder_exam_has_the_references_and_other_queries(
    made_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Short spans, as a harder edit of a picture takes a twentieth of a second.
    monkeypatch.setattr("benchmarks.copies.made_copies.SPAN_SECONDS", (0.5, 1.0))
    write_harder_set(made_set, tmp_path, 3, 4)
    easy, harder = read_copy_set(made_set), read_copy_set(tmp_path)
    assert harder.references.keys() == easy.references.keys()
    for name, path in harder.references.items():
        assert path.read_bytes() == easy.references[name].read_bytes()
    assert len(harder.queries) == 3 and harder.labels
    for pair, boxes in harder.labels.items():
        query, reference = pair.split("-")
        assert (boxes[:, 2] <= seconds_of(harder.queries[query]) + 0.1).all()
        assert (boxes[:, 3] <= seconds_of(harder.references[reference]) + 0.1).all()


def test_a_harder_edit_is_the_same_on_each_picture_of_its_span() -> None:
    picture, other = Image.new("RGB", SIZE, "teal"), Image.new("RGB", SIZE, "olive")
    names = ("four_screens", "sticker")
    one, again = (hard_edited(picture, names, 7, other) for _ in range(2))
    assert one.size == picture.size and one.tobytes() == again.tobytes()
    assert np.asarray(one, float).std() > 5
    assert hard_edited(picture, names, 8, other).tobytes() != one.tobytes()
