"""What a training run of the pattern detector depends on, besides the data."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

from models.detector.network import DetectorConfig
from models.detector.pair_plans import PairRecipe
from models.training.bounds import Count, Positive, Seed, Share, Weight
from models.training.recipe_file import read_recipe_file


@dataclass(frozen=True)
class DetectorRecipe:
    """Everything that a run depends on, besides the data.

    Attributes:
        lengths_seconds: longest side of the pictures of a batch, drawn for each batch; up to a
            tile of `models.detector.boxes`, which is all that the network sees in serving.
        window_share: pairs of which a window is shown, as tiles of long videos are.
        box_weight: of the overlap term, beside the score's.
        averaging: of the running mean of the weights, a step: over about the last 500. The mean
            is what is validated and shipped.
    """

    seed: Seed = 1
    steps: Count = 6000
    pairs: Count = 16
    rate: Positive = 2e-3
    weight_decay: Weight = 1e-3
    warm_up: Count = 100
    lengths_seconds: tuple[float, ...] = (62.0, 62.0, 94.0, 126.0)
    window_share: Share = 0.25
    box_weight: Weight = 2.0
    reversed_weight: Weight = 0.5
    averaging: Share = 0.998
    validate_every: Count = 500
    validation_pairs: Count = 192
    network: DetectorConfig = field(default_factory=DetectorConfig)
    made: PairRecipe = field(default_factory=PairRecipe)


def read_detector_recipe(path: Path) -> DetectorRecipe:
    """Read a recipe.

    Raises:
        RecipeError: it isn't there, can't be read, or has a key or value that it shouldn't.
    """
    return read_recipe_file(path, DetectorRecipe)


def with_length(made: PairRecipe, seconds: float) -> PairRecipe:
    """Pairs made alike, whose videos are no longer than so many seconds."""
    return PairRecipe(**{**asdict(made), "longest_seconds": seconds})
