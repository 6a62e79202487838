"""What a training run of the text-video encoder depends on, besides the data."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.training.spd_recipe import tuples
from models.video_text.network import TextVideoConfig
from models.video_text.trunk import TrunkConfig


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

    pairs: int = 256
    sources: tuple[str, ...] = ("en", "zh")
    chinese_share: float = 0.5
    mismatched_share: float = 0.0
    plain_share: float = 0.6
    token_dropout: float = 0.1
    clip_every: int = 4
    clip_pairs: int = 128


@dataclass(frozen=True)
class TextRecipe:
    """Everything that a run depends on, besides the data.

    Attributes:
        temperature: that learning starts with.
        averaging: of the running mean of the weights, a step.
        methods: by name the settings of those that are on; see `models.training.text_methods`.
    """

    seed: int = 1
    steps: int = 600
    rate: float = 1e-3
    weight_decay: float = 0.05
    warm_up: int = 50
    temperature: float = 0.07
    averaging: float = 0.99
    validate_every: int = 200
    network: TextVideoConfig = field(default_factory=TextVideoConfig)
    draw: DrawConfig = field(default_factory=DrawConfig)
    methods: dict[str, dict[str, Any]] = field(default_factory=dict)


def read_text_recipe(path: Path) -> TextRecipe:
    """Read a recipe.

    Raises:
        TypeError: an unknown key.
    """
    return make_text_recipe(tomllib.loads(path.read_text()))


def make_text_recipe(raw: dict[str, Any]) -> TextRecipe:
    """A recipe of the tables of TOML or of a checkpoint.

    Raises:
        TypeError: an unknown key.
    """
    rest = dict(raw)
    network, draw = dict(rest.pop("network", {})), rest.pop("draw", {})
    trunk = TrunkConfig(**network.pop("trunk", {}))
    return TextRecipe(
        network=TextVideoConfig(trunk=trunk, **network), draw=DrawConfig(**tuples(draw)), **rest
    )
