"""What joint training adds to the recipes of the key-frame network and the detector."""

from dataclasses import dataclass, field
from pathlib import Path

from models.detector.recipe import DetectorRecipe
from models.training.bounds import Count, Positive, Seed, Share, Weight
from models.training.recipe_file import read_recipe_file


@dataclass(frozen=True)
class JointRecipe:
    """What joint training adds to the recipes of the two.

    Attributes:
        pairs: of a step.
        lengths_seconds: longest side of the pairs of a step, drawn for each step.
        longest_spans: most candidate frames that one key frame stands for, drawn for each pair.
        pooled_share: pairs whose stored descriptors are means over what a key frame stands for.
        kept_weight: of the key-frame network's own loss, which keeps its scores what they mean.
        key_frame_rate: highest learning rate of the key-frame network.
        detector_rate: highest learning rate of the detector.
        warm_up: steps until the rates are at their highest; then they fall to nothing.
    """

    seed: Seed = 3
    steps: Count = 2000
    pairs: Count = 8
    lengths_seconds: tuple[float, ...] = (62.0, 62.0, 94.0, 126.0)
    longest_spans: tuple[int, ...] = (4, 8, 12, 16)
    temperature: Positive = 0.05
    pooled_share: Share = 0.8
    kept_weight: Weight = 2.0
    key_frame_rate: Positive = 3e-4
    detector_rate: Positive = 3e-4
    warm_up: Count = 50
    detector: DetectorRecipe = field(default_factory=DetectorRecipe)


def read_joint_recipe(path: Path) -> JointRecipe:
    """Read a recipe.

    Raises:
        RecipeError: it isn't there, can't be read, or has a key or value that it shouldn't.
    """
    return read_recipe_file(path, JointRecipe)
