"""Somebody's folder as the demo's videos: found, named, copied from, or refused with a reason."""

from pathlib import Path

import pytest

from stream.demo.clips import make_clip
from stream.demo.demo_set import DemoSet
from stream.demo.folder import MAX_COPIES, open_folder
from stream.demo.footage import seconds_of
from stream.demo.plan import Clip, Drawn
from stream.errors import SettingsError


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    clip = Clip("v", (Drawn("skyline", 1, 3), Drawn("reef", 1, 3)))
    return make_clip(clip, tmp_path_factory.mktemp("video"), "references").read_bytes()


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def opened(folder: Path, scratch: Path) -> DemoSet:
    return open_folder(folder, scratch, lambda done, total: None)


def test_all_videos_below_a_folder_are_uploads_in_order(tmp_path: Path, video: bytes) -> None:
    files = [put(tmp_path / "in" / name, video) for name in ("b/2.MKV", "a.mp4", "b/1.mov")]
    put(tmp_path / "in" / "notes.txt", b"not a video")
    demo = opened(tmp_path / "in", tmp_path)
    assert demo.uploads == [files[1], files[2], files[0]]
    assert not demo.references


def test_copies_of_the_middle_are_made_and_known(tmp_path: Path, video: bytes) -> None:
    put(tmp_path / "in" / "v.mp4", video)
    demo = opened(tmp_path / "in", tmp_path)
    (copy,) = demo.copies
    (copied,) = demo.truth[copy.stem, "v"]
    assert copied.reference_start_seconds == pytest.approx(1.2, abs=0.01)
    assert copied.reference_end_seconds == pytest.approx(4.8, abs=0.01)
    assert seconds_of(copy) == pytest.approx(copied.video_end_seconds, abs=0.01)
    assert demo.judges((copy.stem, "v"))
    assert list(demo.waves()) == [demo.uploads, demo.copies]


def test_no_more_copies_than_allowed(tmp_path: Path, video: bytes) -> None:
    for number in range(MAX_COPIES + 2):
        put(tmp_path / "in" / f"{number}.mp4", video)
    assert len(opened(tmp_path / "in", tmp_path).copies) == MAX_COPIES


def test_an_unreadable_file_is_submitted_but_not_copied(tmp_path: Path, video: bytes) -> None:
    broken = put(tmp_path / "in" / "a.mp4", video[:500])
    put(tmp_path / "in" / "b.mp4", video)
    demo = opened(tmp_path / "in", tmp_path)
    assert broken in demo.uploads
    assert [pair[1] for pair in demo.truth] == ["b"]


def test_files_of_one_name_get_ids_of_their_own(tmp_path: Path, video: bytes) -> None:
    for name in ("x/v.mp4", "y/v.mp4", "v.mkv", "w.mp4"):
        put(tmp_path / "in" / name, video)
    demo = opened(tmp_path / "in", tmp_path)
    assert [demo.video_id(path) for path in demo.uploads] == ["v.mkv", "w", "x/v.mp4", "y/v.mp4"]


def copy_set(folder: Path, video: bytes) -> Path:
    put(folder / "references" / "r1.mp4", video)
    for name in ("q1.mp4", "q2.mp4"):
        put(folder / "queries" / name, video)
    return folder


def test_a_copy_set_is_held_against_its_labels(tmp_path: Path, video: bytes) -> None:
    folder = copy_set(tmp_path / "set", video)
    put(folder / "labels.json", b'{"q1-r1": [[1, 10, 3, 12], [4, 20, 5, 21]]}')
    put(folder / "pairs.csv", b"query_id,reference_id\nq1,r1\nq2,r1\n")
    demo = opened(folder, tmp_path)
    assert [path.stem for path in demo.references] == ["r1"]
    assert [path.stem for path in demo.uploads] == ["q1", "q2"]
    first = demo.truth["q1", "r1"][0]
    assert (first.video_start_seconds, first.video_end_seconds) == (1, 3)
    assert (first.reference_start_seconds, first.reference_end_seconds) == (10, 12)
    assert demo.judged == frozenset({("q1", "r1"), ("q2", "r1")})
    assert not demo.copies


def test_a_copy_set_without_labels_judges_nothing(tmp_path: Path, video: bytes) -> None:
    demo = opened(copy_set(tmp_path / "set", video), tmp_path)
    assert not demo.truth
    assert not demo.judges(("q1", "r1"))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("labels.json", b"[1]", "labels.json.*expected"),
        ("labels.json", b'{"q1-r1": [[1, 2]]}', "labels.json.*expected"),
        ("labels.json", b'{"q1": []}', "labels.json.*expected"),
        ("pairs.csv", b"a,b\n1,2\n", "pairs.csv.*query_id"),
    ],
)
def test_labels_that_are_not_labels_are_named(
    tmp_path: Path, video: bytes, name: str, data: bytes, message: str
) -> None:
    folder = copy_set(tmp_path / "set", video)
    put(folder / name, data)
    with pytest.raises(SettingsError, match=message):
        opened(folder, tmp_path)


def test_a_missing_folder_a_file_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nowhere doesn't exist"):
        opened(tmp_path / "nowhere", tmp_path)
    with pytest.raises(SettingsError, match="is a file"):
        opened(put(tmp_path / "file.mp4", b""), tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match=r"no video in .*empty.*\.mp4"):
        opened(tmp_path / "empty", tmp_path)
