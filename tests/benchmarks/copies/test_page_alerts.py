"""Drawn pages as a copy set: written into a folder that has none, and refused where one is."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from benchmarks.copies.page_alerts import main
from stream.evaluate.copy_set import read_copy_set


def write(folder: Path, shows: str = "still") -> Result:
    app = typer.Typer()
    app.command()(main)
    size = ["--families", "1", "--pages", "1", "--shows", shows]
    return CliRunner().invoke(app, ["--training-set", str(folder), *size])


@pytest.mark.parametrize("shows", ["still", "moving"])
def test_a_training_set_goes_into_an_empty_folder_and_copies_nothing(
    tmp_path: Path, shows: str
) -> None:
    done = write(tmp_path, shows)
    assert done.exit_code == 0, done.output
    made = read_copy_set(tmp_path)
    assert len(made.references) == len(made.queries) > 1
    assert len(made.pairs) == len(made.references) ** 2
    assert not made.labels


@pytest.mark.parametrize("there", ["references", "queries"])
def test_a_folder_with_a_set_is_one_line_and_stays_as_it_is(tmp_path: Path, there: str) -> None:
    (tmp_path / there).mkdir()
    done = write(tmp_path)
    assert done.exit_code == 1
    assert done.output == f"error: {tmp_path / there} is there already: name a new folder\n"
    assert list(tmp_path.iterdir()) == [tmp_path / there]


def test_a_file_is_no_folder_to_write_to(tmp_path: Path) -> None:
    file = tmp_path / "set"
    file.touch()
    done = write(file)
    assert done.exit_code == 1
    assert done.output == f"error: {file} is there already: name a new folder\n"
