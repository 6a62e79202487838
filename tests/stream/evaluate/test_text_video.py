"""`samesource evaluate text-video`: figures of a pair that a test makes, and bad input named."""

import tarfile
from pathlib import Path

import numpy as np
import orjson
import pytest

from tests.models.text_video_data import add_photo
from tests.stream.command import Command
from tests.stream.text_video_pair import make_pair

COLOURS = {"red": (250, 0, 0), "green": (0, 250, 0), "blue": (0, 0, 250)}
CHINESE = {"red": "红", "green": "绿", "blue": "蓝"}


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capfd)


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    return make_pair(tmp_path / "pair")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    tar = tmp_path / "photos.tar"
    with tarfile.open(tar, "w") as archive:
        for name, colour in COLOURS.items():
            add_photo(archive, name, np.full((40, 60, 3), colour, np.uint8))
    return tar


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    return write(
        tmp_path / "captions.jsonl",
        [
            {"image": name, "en": [name, f"{name} {name}"], "zh": [CHINESE[name]]}
            for name in COLOURS
        ],
    )


def write(path: Path, lines: list[dict[str, object]]) -> Path:
    path.write_bytes(b"\n".join(orjson.dumps(line) for line in lines))
    return path


def test_a_pair_that_knows_colours_finds_them_in_both_languages(
    command: Command, pair: Path, photos: Path, captions: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    done = command("evaluate", "text-video", photos, captions, "--pair", pair, "--json", report)
    assert done.code == 0, done.err
    found = orjson.loads(report.read_bytes())
    assert found["photos"] == 3
    assert found["model_version"] == "text-video-0000c010"
    for language in ("en", "zh"):
        assert found[language]["text_to_video"] == {"r1": 100.0, "r5": 100.0, "r10": 100.0}
        assert found[language]["median_rank"] == {"text_to_video": 1.0, "video_to_text": 1.0}
        assert found[language]["r_sum"] == 600.0
    assert "R@sum" in done.out


def test_wrong_captions_are_seen_in_the_figures(
    command: Command, pair: Path, photos: Path, tmp_path: Path
) -> None:
    names = list(COLOURS)
    lines: list[dict[str, object]] = [
        {"image": name, "en": [names[at - 1]]} for at, name in enumerate(names)
    ]
    report = tmp_path / "report.json"
    path = write(tmp_path / "wrong.jsonl", lines)
    done = command("evaluate", "text-video", photos, path, "--pair", pair, "--json", report)
    assert done.code == 0, done.err
    found = orjson.loads(report.read_bytes())
    assert found["en"]["text_to_video"]["r1"] == 0
    assert "zh" not in found


def test_one_language_alone(
    command: Command, pair: Path, photos: Path, captions: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    arguments = ("--language", "zh", "--pair", pair, "--json", report)
    assert command("evaluate", "text-video", photos, captions, *arguments).code == 0
    assert "en" not in orjson.loads(report.read_bytes())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"image": "grey", "en": ["grey"]}', "line 1: grey is not in"),
        ('{"image": "red", "en": ["red"]', "line 1: no JSON"),
        ('["red"]', "line 1: expected"),
        ('{"image": "red", "en": [3]}', "line 1: en is [3]"),
        ('{"image": "red", "zh": ["红"]}', "line 1: red has no caption 'en'"),
        ("", "is empty"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(
    command: Command, pair: Path, photos: Path, tmp_path: Path, line: str, said: str
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(line, encoding="utf-8")
    done = command("evaluate", "text-video", photos, path, "--language", "en", "--pair", pair)
    assert done.code == 1
    assert f"{path}" in done.err
    assert said in done.err
    assert "Traceback" not in done.err


def test_a_picture_that_cannot_be_read_is_named(
    command: Command, pair: Path, captions: Path, tmp_path: Path
) -> None:
    tar = tmp_path / "broken.tar"
    with tarfile.open(tar, "w") as archive:
        for name in COLOURS:
            (tmp_path / name).write_bytes(b"no picture")
            archive.add(tmp_path / name, f"{name}.webp")
    done = command("evaluate", "text-video", tar, captions, "--pair", pair)
    assert done.code == 1
    assert "red.webp is no picture" in done.err


def test_files_that_are_missing_are_named(
    command: Command, pair: Path, photos: Path, captions: Path, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    for tar, lines in ((gone, captions), (photos, gone)):
        done = command("evaluate", "text-video", tar, lines, "--pair", pair)
        assert done.code == 1
        assert str(gone) in done.err


def test_a_language_that_there_is_not_is_refused(
    command: Command, pair: Path, photos: Path, captions: Path
) -> None:
    done = command("evaluate", "text-video", photos, captions, "--language", "fr", "--pair", pair)
    assert done.code == 2
    assert "fr" in done.err
