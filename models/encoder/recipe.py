"""What training runs of the frame encoder depend on, besides the data."""

from dataclasses import dataclass, field
from pathlib import Path

from models.encoder.hard_pairs import HardPairConfig
from models.encoder.network import EncoderConfig
from models.encoder.pairs import PairConfig
from models.errors import MissingDataError
from models.training.bounds import Count, Natural, Positive, Seed, Weight
from models.training.recipe_file import read_recipe_file


@dataclass(frozen=True)
class EncoderRecipe:
    """Everything that a run depends on, besides the data.

    Attributes:
        frozen_stages: stem and first stages that stay as ImageNet made them.
        entropy_weight: lambda of the differential-entropy term.
        frozen_norms: batch norms stay as they are: for a start from an exported file, whose norms
            are folded.
    """

    seed: Seed = 1
    steps: Count = 1500
    trunk_rate: Positive = 3e-4
    head_rate: Positive = 1.5e-3
    weight_decay: Weight = 1e-4
    warm_up: Count = 40
    temperature: Positive = 0.05
    entropy_weight: Weight = 0.5
    frozen_stages: Natural = 2
    validate_every: Count = 100
    imagenet: bool = True
    frozen_norms: bool = False
    network: EncoderConfig = field(default_factory=EncoderConfig)
    pairs: PairConfig = field(default_factory=PairConfig)

    def __post_init__(self) -> None:
        """Refuse to freeze past the map that is pooled for detail."""
        if self.frozen_stages > self.network.local_stage + 1:
            raise ValueError(
                f"{self.frozen_stages = }, expected at most local_stage + 1 = "
                f"{self.network.local_stage + 1}"
            )


@dataclass(frozen=True)
class HardRecipe:
    """Everything that a run of the harder school depends on, besides the data.

    Attributes:
        entropy_weight: lambda of the differential-entropy term.
        sizes: input sizes in turn by chance, so that one network serves at each of them.
        side: of the stored pictures and of the canvas that edits work on.
        overlays: drawn overlays of each kind.
        page_families: families of drawn pages of each kind.
        pages: in a family.
        held_families: families of each kind that the run is measured on.
        mine_every: steps after which the nearest pictures of each are looked up again.
        half: compute in bfloat16, where the device is a GPU.
    """

    seed: Seed = 1
    steps: Count = 5000
    trunk_rate: Positive = 3e-4
    head_rate: Positive = 1e-3
    weight_decay: Weight = 1e-4
    warm_up: Count = 150
    temperature: Positive = 0.05
    entropy_weight: Weight = 0.5
    validate_every: Count = 1000
    sizes: tuple[Count, ...] = (160,)
    side: Count = 192
    overlays: Count = 400
    page_families: Count = 70
    pages: Count = 10
    held_families: Count = 8
    mine_every: Count = 200
    half: bool = True
    network: EncoderConfig = field(default_factory=lambda: EncoderConfig(input_size=160))
    pairs: HardPairConfig = field(default_factory=HardPairConfig)


def read_recipe(path: Path) -> EncoderRecipe:
    """Read a recipe.

    Raises:
        RecipeError: it isn't there, can't be read, or has a key or value that it shouldn't.
    """
    return read_recipe_file(path, EncoderRecipe)


def read_hard_recipe(path: Path) -> HardRecipe:
    """Read a recipe.

    Raises:
        RecipeError: it isn't there, can't be read, or has a key or value that it shouldn't.
    """
    return read_recipe_file(path, HardRecipe)


def read_scenes(path: Path) -> list[set[str]]:
    """Read which clips show one scene: each line names the clips of one, blanks between.

    Raises:
        MissingDataError: no such file.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise MissingDataError(f"no scenes at {path}: {error.strerror}") from error
    return [set(line.split()) for line in lines if line.strip()]
