"""Hard cases are held against their right values, and one wrong answer is an exit code of 1."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from benchmarks.copies import cases
from benchmarks.copies.cases import ELSEWHERE, Answer, Case, Span, is_right
from tests.stream.evaluate.finder import RATE, scene_of, write

LOOP: list[Span] = [(0.0, 1.2, 10.0, 11.2), (1.2, 3.2, 9.2, 11.2), (3.2, 4.0, 9.2, 10.0)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of 12 s; cases that hold 8 s of it, nothing of it, and no video."""
    folder = tmp_path_factory.mktemp("made")
    for name in ("data/clips", "cases/cut", "cases/told elsewhere"):
        (folder / name).mkdir(parents=True)
    clip = [*scene_of("landscape", 4), *scene_of("road", 4), *scene_of("reef", 4)]
    write(folder / "data/clips/clip.mp4", clip)
    write(folder / "cases/cut/copy.mp4", clip[4 * RATE :])
    write(folder / "cases/cut/other.mp4", scene_of("fireworks", 6))
    (folder / "cases/cut/broken.mp4").write_bytes(b"no video")
    return folder / "cases"


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, *those: Case) -> Result:
    monkeypatch.setattr(cases, "CLIPS", ("clip",))
    monkeypatch.setattr(cases, "CASES", those)
    monkeypatch.setenv("COLUMNS", "150")
    app = typer.Typer()
    app.command()(cases.main)
    return CliRunner().invoke(app, [str(folder)])


def test_right_answers_are_all_that_is_told(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    done = run(
        monkeypatch,
        folder,
        Case("cut/copy.mp4", "clip", [[(0, 8, 4, 12)]], duration_seconds=8),
        Case("cut/other.mp4", ways=[[]]),
        Case("cut/broken.mp4", code="corrupt"),
    )
    assert done.exit_code == 0, done.output
    assert "3 of 3 right" in done.output
    assert "told elsewhere: not judged here" in done.output


def test_wrong_answers_are_all_counted_and_end_with_1(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    done = run(
        monkeypatch,
        folder,
        Case("cut/copy.mp4", "clip", [[(0, 8, 2, 10)]]),
        Case("cut/copy.mp4", "another clip", [[(0, 8, 4, 12)]]),
        Case("cut/copy.mp4", "clip", [[(0, 8, 4, 12)]], duration_seconds=80),
        Case("cut/copy.mp4", ways=[[]]),
        Case("cut/copy.mp4", code="corrupt"),
        Case("cut/broken.mp4", code="unsupported"),
        Case("cut/other.mp4", "clip", [[(0, 6, 0, 6)]]),
    )
    assert done.exit_code == 1, done.output
    assert "0 of 7 right" in done.output


def test_one_wrong_answer_among_right_ones_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    right = Case("cut/broken.mp4", code="corrupt")
    done = run(monkeypatch, folder, right, Case("cut/broken.mp4", code="unsupported"))
    assert done.exit_code == 1, done.output
    assert "1 of 2 right" in done.output


def test_a_case_that_is_not_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    done = run(monkeypatch, folder, Case("cut/gone.mp4", ways=[[]]))
    assert done.exit_code == 2
    assert done.output.startswith(f"error: no {folder / 'cut/gone.mp4'}: name the folder of cases")


@pytest.mark.parametrize(
    ("found", "right"),
    [
        (LOOP, True),
        (LOOP[:2], False),
        (LOOP[1:], False),
        ([LOOP[0], LOOP[2]], False),
        ([*LOOP[:2], (3.2, 4.0, 20.0, 20.8)], False),
        ([], False),
    ],
)
def test_pieces_cover_a_span_and_lie_in_it(found: list[Span], right: bool) -> None:
    case = Case("a", "clip", [[(0, 4, 9.5, 11.5)]], in_pieces=True)
    assert is_right(case, Answer({"clip": found} if found else {})) is right


def test_each_of_several_ways_is_right() -> None:
    case = Case("a", "clip", [[(0, 4, 1, 5)], []], code="unsupported")
    assert is_right(case, Answer({"clip": [(0.2, 4, 1, 5.5)]}))
    assert is_right(case, Answer({}))
    assert is_right(case, Answer({}, "unsupported"))
    assert not is_right(case, Answer({}, "corrupt"))
    assert not is_right(case, Answer({"clip": [(0, 2, 1, 3), (2, 4, 3, 5)]}))


def test_the_tests_that_hold_the_others_are_there() -> None:
    root = Path(__file__).parents[3]
    assert all((root / place).is_file() for place in ELSEWHERE.values() if "/" in place)
