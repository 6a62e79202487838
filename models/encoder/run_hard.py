"""The harder school from a data folder: decodes, draws, trains; `samesource train encoder-hard`."""

from pathlib import Path

from models.encoder.school import HELD_FAMILIES, school
from models.encoder.train import is_held_out
from models.encoder.train_hard import HardRecipe, HardTrainer
from models.encoder.validate import DISTRACTORS
from models.training.edits.drawn_pages import page_families
from models.training.picture_pack import packed
from models.training.pictures import load_clips, load_photos


def train_encoder_hard(
    recipe: HardRecipe,
    data_dir: Path,
    out_dir: Path,
    *,
    minutes: float | None = None,
    resume: bool = False,
    device: str = "cpu",
    start: Path | None = None,
    scenes: list[set[str]] | None = None,
    workers: int = 1,
) -> HardTrainer:
    """Train on a data folder.

    Args:
        recipe: what to train and how.
        data_dir: holds `clips/*.mp4` and, if any, `photos/*.tar`.
        out_dir: checkpoints and the curve go here.
        minutes: stop after so long; the recipe's last step if None.
        resume: go on from the checkpoint in `out_dir`.
        device: a torch device.
        start: an exported encoder to go on from, instead of ImageNet's weights.
        scenes: names of the clips of each scene that several clips show.
        workers: processes that draw pages and overlays.

    Returns:
        The trainer in its last state, saved.

    Raises:
        MissingDataError: no clips, or nothing to resume from.
        ModelFileError: the run to resume has another network.
    """
    trainer = HardTrainer(recipe, out_dir, device, start)
    if resume:
        trainer.resume()
    clips, photos = load_clips(data_dir), load_photos(data_dir)
    kept, held = (
        packed(
            [clip for clip in clips if is_held_out(clip.name) == out],
            photos[:DISTRACTORS] if out else photos[DISTRACTORS:],
            page_families(families, recipe.pages, recipe.side, workers),
            side=recipe.side,
            scenes=scenes,
        )
        for out, families in (
            (False, range(recipe.page_families)),
            (True, range(HELD_FAMILIES, HELD_FAMILIES + recipe.held_families)),
        )
    )
    trainer.run(*school(recipe, kept, held, device, workers), minutes=minutes)
    return trainer
