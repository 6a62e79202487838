"""What a run of the harder school learns from, and what it is measured on."""

from models.encoder.hard_pairs import HardPairs
from models.encoder.recipe import HardRecipe
from models.encoder.validate import RetrievalTask
from models.encoder.validate_hard import hard_task, page_task
from models.training.edits.overlay_bank import overlay_bank
from models.training.picture_pack import PicturePack

HELD_FAMILIES = 100_000  # the numbers of held-out families begin here


def school(
    recipe: HardRecipe, pack: PicturePack, held: PicturePack, device: str, workers: int = 1
) -> tuple[HardPairs, dict[str, RetrievalTask]]:
    """What a run learns from, and what it is measured on.

    Args:
        recipe: of the run.
        pack: pictures to learn from.
        held: pictures that are held out, of all three kinds.
        device: where batches are made.
        workers: processes that draw overlays.
    """
    overlays = overlay_bank(recipe.side, recipe.overlays, device, workers)
    pairs = HardPairs(pack.to(device), overlays, recipe.pairs, recipe.seed)
    held, size = held.to(device), recipe.network.input_size
    makers = {"hard": hard_task, "pages": page_task}
    return pairs, {name: make(held, overlays, size=size) for name, make in makers.items()}
