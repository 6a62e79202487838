"""What a training run of the key-frame network depends on, besides the data."""

from dataclasses import dataclass, field
from pathlib import Path

from models.keyframes.network import KeyFrameConfig
from models.training.bounds import Count, Positive, Seed, Weight
from models.training.recipe_file import read_recipe_file


@dataclass(frozen=True)
class KeyFrameRecipe:
    """Everything that a run depends on, besides the data.

    Attributes:
        videos: made videos of a batch.
        frames: of each.
        longest_span: most frames of a pseudo-segment.
        kept_weight: of the forecast of what an edit leaves, `kept_similarity`.
        look_weight: of the error of the looks' similarities.
        agreement_weight: of the difference of a frame's quality from that of its edited view.
        sparsity_weight: of the entropy of the choice within a segment.
        temperature: of the straight-through choice.
    """

    seed: Seed = 1
    steps: Count = 1500
    videos: Count = 12
    frames: Count = 24
    rate: Positive = 2e-3
    weight_decay: Weight = 1e-3
    warm_up: Count = 50
    longest_span: Count = 8
    classification_weight: Weight = 0.1
    kept_weight: Weight = 5.0
    look_weight: Weight = 5.0
    agreement_weight: Weight = 2.0
    sparsity_weight: Weight = 0.01
    temperature: Positive = 0.05
    validate_every: Count = 250
    network: KeyFrameConfig = field(default_factory=KeyFrameConfig)


def read_keyframe_recipe(path: Path) -> KeyFrameRecipe:
    """Read a recipe.

    Raises:
        RecipeError: it isn't there, can't be read, or has a key or value that it shouldn't.
    """
    return read_recipe_file(path, KeyFrameRecipe)
