"""What a training run of the text-video encoder depends on, besides the data."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.errors import RecipeError
from models.text_video.captions import SOURCES
from models.text_video.methods.combined import SETTINGS, Methods
from models.text_video.shape import TextVideoConfig
from models.training.bounds import Count, Natural, Positive, Seed, Share, Weight
from models.training.recipe_file import fill, read_recipe_file


@dataclass(frozen=True)
class DrawConfig:
    """How pairs are shown.

    Attributes:
        pairs: B, in a batch.
        sources: whose captions: `en`, `zh`, `zh_mt_a`, `zh_mt_b`.
        chinese_share: of the captions of a batch.
        mismatched_share: of the captions that are given another photo, as in web data.
        plain_share: photos shown whole or mirrored, the others as a crop.
        token_dropout: share of the words that are masked.
        clip_every: one batch in so many is of clips; 0 for none.
        clip_pairs: in a batch of clips, whose frames and captions are several times as many.
    """

    pairs: Count = 256
    sources: tuple[str, ...] = ("en", "zh")
    chinese_share: Share = 0.5
    mismatched_share: Share = 0.0
    plain_share: Share = 0.6
    token_dropout: Share = 0.1
    clip_every: Natural = 4
    clip_pairs: Count = 128

    def __post_init__(self) -> None:
        """Refuse captions that nobody wrote."""
        if not self.sources or set(self.sources) - set(SOURCES):
            raise ValueError(f"{self.sources = }, expected some of {', '.join(SOURCES)}")


@dataclass(frozen=True)
class TextRecipe:
    """Everything that a run depends on, besides the data.

    The shipped pair's values are those of configs/training/text-video.toml, most of them chosen on
    the validation photos (docs/experiments.md, "The text–video pair").

    Attributes:
        temperature: that learning starts with.
        averaging: of the running mean of the weights, a step.
        words_by_pictures: whether the plain paths begin with computed weights; see
            `models.text_video.start`.
        methods: by name the settings of those that are on; see `methods/combined.py`.
    """

    seed: Seed = 1
    steps: Count = 600
    rate: Positive = 1e-3
    weight_decay: Weight = 0.05
    warm_up: Count = 50
    temperature: Positive = 0.07
    averaging: Share = 0.99
    validate_every: Count = 200
    words_by_pictures: bool = True
    network: TextVideoConfig = field(default_factory=TextVideoConfig)
    draw: DrawConfig = field(default_factory=DrawConfig)
    methods: dict[str, dict[str, Any]] = field(default_factory=dict)


def read_text_recipe(path: Path) -> TextRecipe:
    """Read a recipe.

    Raises:
        RecipeError: it isn't there, can't be read, or has a key, a value or a method that it
            shouldn't.
    """
    recipe = read_recipe_file(path, TextRecipe)
    for name, table in recipe.methods.items():
        if name not in SETTINGS:
            raise RecipeError(
                f"{path}: unknown method methods.{name}, expected one of {', '.join(SETTINGS)}"
            )
        fill(SETTINGS[name], table, path, f"methods.{name}.")
    try:
        Methods(recipe.methods, recipe.network)
    except (ValueError, AssertionError) as error:  # torch asserts what it is given
        raise RecipeError(f"{path}: [methods] {error}") from error
    return recipe
