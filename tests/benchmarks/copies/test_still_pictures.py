"""Frames of two films find their film, and by scenes no stranger; nothing else is told apart."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from benchmarks.copies.still_pictures import main
from tests.stream.service import make_film
from tests.stream.videos import make_video


@pytest.mark.parametrize("same_scene", [True, False])
def test_pictures_find_theirs_and_the_other_of_the_scene_is_no_stranger(
    tmp_path: Path, same_scene: bool
) -> None:
    film = make_film(tmp_path / "film.mp4")
    (tmp_path / "again.mp4").write_bytes(film.read_bytes())
    make_video(tmp_path / "other.mp4", count=40)
    scenes = tmp_path / "scenes"
    scenes.write_text("film again\n" if same_scene else "")
    app = typer.Typer()
    app.command()(main)
    ended = CliRunner().invoke(
        app, [str(tmp_path), "--one-scene", str(scenes), "--frames", "1"], catch_exceptions=False
    )
    assert ended.exit_code == 0, ended.output
    [row] = [line.split("│") for line in ended.output.splitlines() if "as it is, PNG" in line]
    shares = [cell.strip() for cell in row[2:6]]
    assert shares[:2] == ["3", "100.0 %"]
    assert shares[3] == ("0.0 %" if same_scene else "66.7 %")
