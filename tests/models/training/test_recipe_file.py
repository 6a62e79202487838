"""Recipes are read as they are written, and what doesn't belong in one is named with its place."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from models.detector.recipe import DetectorRecipe, read_detector_recipe
from models.errors import RecipeError
from models.joint.recipe import read_joint_recipe
from models.training.bounds import Count, Share
from models.training.recipe_file import fill, read_recipe_file


@dataclass(frozen=True)
class Part:
    """A table within."""

    sizes: tuple[int, ...] = (1, 2)
    share: Share = 0.5

    def __post_init__(self) -> None:
        if sum(self.sizes) > 9:
            raise ValueError(f"{self.sizes = }, expected at most 9 together")


@dataclass(frozen=True)
class Whole:
    """A recipe."""

    steps: Count = 10
    rate: float = 0.1
    part: Part = field(default_factory=Part)


def read(folder: Path, text: str) -> Whole:
    path = folder / "recipe.toml"
    path.write_text(text)
    return read_recipe_file(path, Whole)


def test_what_is_left_out_keeps_its_default(tmp_path: Path) -> None:
    assert read(tmp_path, "") == Whole()
    made = read(tmp_path, "rate = 1\n[part]\nsizes = [3, 4]")
    assert made == Whole(rate=1.0, part=Part((3, 4)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stepps = 3", "unknown key stepps, expected one of steps, rate, part"),
        ("[part]\nsize = 3", "unknown key part.size, expected one of sizes, share"),
        ("part = 3", "part = 3, expected a table"),
        ('steps = "3"', "steps = '3', expected a valid integer"),
        ("steps = 2.5", "steps = 2.5, expected"),
        ("steps = true", "steps = True, expected"),
        ("steps = 0", "steps = 0, expected greater than or equal to 1"),
        ("steps = 2024-01-01", "steps = '2024-01-01', expected"),
        ("rate = nan", "rate = nan, expected a finite number"),
        ("[part]\nshare = 2", "part.share = 2, expected less than or equal to 1"),
        ('[part]\nsizes = [1, "b"]', "part.sizes.1 = 'b', expected a valid integer"),
        ("[part]\nsizes = [5, 5]", "[part] self.sizes = (5, 5), expected at most 9"),
        ("steps = [", "is no TOML: "),
    ],
)
def test_what_does_not_belong_is_named(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "recipe.toml"))
    assert said in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no recipe at .*none\.toml"):
        read_recipe_file(tmp_path / "none.toml", Whole)
    with pytest.raises(RecipeError, match="no recipe at"):
        read_recipe_file(tmp_path, Whole)
    (tmp_path / "binary.toml").write_bytes(b"\xff")
    with pytest.raises(RecipeError, match=r"binary\.toml is no TOML"):
        read_recipe_file(tmp_path / "binary.toml", Whole)


def test_the_tuples_of_a_checkpoint_are_read() -> None:
    assert fill(Part, {"sizes": (3, 4)}, Path("checkpoint.pt")) == Part((3, 4))


def test_every_shipped_recipe_of_the_detectors_is_read(tmp_path: Path) -> None:
    assert read_detector_recipe(Path("configs/training/detector.toml")).network.merged == 32
    assert read_joint_recipe(Path("configs/training/joint.toml")).longest_spans[0] == 4
    path = tmp_path / "recipe.toml"
    path.write_text("[detector]\npairs = 3")
    assert read_joint_recipe(path).detector == DetectorRecipe(pairs=3)
