"""Trains the key-frame extractor and the pattern detector together: `samesource train joint`.

After SSAN (Jiang et al., ACM MM 2021): the detector reads the matrix of a query and of the
reference's selected frames alone, and its loss flows back through a straight-through selection
into the scores of the frames.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from models.detector.batches import Batch
from models.detector.grid import ALIGN, CELL_SECONDS, CHANNELS, FAR_SECONDS, Axis, lay_axis
from models.detector.loss import detection_loss
from models.detector.train import DetectorTrainer
from models.detector.validate import split_pool
from models.encoder.serve import EncodedFrames, FrameEncoder
from models.joint.pairs import JointPair, JointPairs
from models.joint.recipe import JointRecipe
from models.keyframes.footage import SeenFootage, load_seen
from models.keyframes.pooling import owners_of, pool_description
from models.keyframes.recipe import KeyFrameRecipe
from models.keyframes.shot_numbers import shot_numbers
from models.keyframes.soft import soft_select
from models.keyframes.train import KeyFrameTrainer, random_spans
from models.losses.kept_similarity import kept_similarity
from models.training.pool_pictures import build_pictures
from models.training.rates import MIN_RATE, rate_factor, set_rates
from models.training.run import TimeLimit, run_steps
from models.training.trainer import descend, follow, shown
from models.video.similarity import similarities


class JointTrainer:
    """Both networks and one optimiser for each; starts from two trained ones."""

    def __init__(
        self,
        recipe: JointRecipe,
        folder: Path,
        key_frames: KeyFrameTrainer,
        detector: DetectorTrainer,
    ) -> None:
        """Take over the networks of two trainers; they save into `folder`."""
        self.recipe, self.key_frames, self.detector = recipe, key_frames, detector
        key_frames.folder, detector.folder = folder / "keyframes", folder / "detector"
        for part in (key_frames.folder, detector.folder):
            part.mkdir(parents=True, exist_ok=True)
        self.step = 0
        self.curve: list[dict[str, float]] = []

    def run(self, pool: list[SeenFootage], minutes: float | None) -> None:
        """Train to the recipe's last step, or for so many minutes."""
        console, limit = Console(), TimeLimit(minutes)
        batches = Subset(JointPairs(pool, self.recipe), range(self.step, self.recipe.steps))
        loader = DataLoader(batches, batch_size=None, num_workers=1, prefetch_factor=4)

        def show(figures: dict[str, float]) -> None:
            if self.step % 20 == 0:
                console.print(f"step {self.step} {shown(figures)}")

        run_steps(self, loader, self.update, limit=limit, show=show)

    def update(self, pairs: list[JointPair]) -> dict[str, Tensor]:
        """Take one step with both; gives the losses."""
        recipe = self.recipe
        factor = max(rate_factor(self.step, recipe.steps, recipe.warm_up), MIN_RATE)
        set_rates(self.key_frames.optimiser, factor, recipe.key_frame_rate)
        set_rates(self.detector.optimiser, factor, recipe.detector_rate)
        self.key_frames.network.train()
        self.detector.network.train()
        pictures, kept = [], torch.zeros(())
        random = np.random.default_rng((recipe.seed, 2, self.step))
        for pair in pairs:
            quality, _ = self.key_frames.network(torch.from_numpy(pair.small)[None])
            picture, own = self._seen(pair, quality[0], random)
            pictures.append(picture)
            kept = kept + own / len(pairs)
        batch = Batch(
            padded_pictures(pictures),
            [torch.from_numpy(pair.boxes / CELL_SECONDS) for pair in pairs],
            [torch.from_numpy(pair.reversed) for pair in pairs],
        )
        found = detection_loss(self.detector.network, batch, recipe.detector)
        loss = found + recipe.kept_weight * kept
        descend(loss, self.key_frames, self.detector)
        self.step += 1
        follow(self.detector.mean, self.detector.network, recipe.detector.averaging)
        return {"loss": found.detach(), "kept": kept.detach()}

    def _seen(
        self, pair: JointPair, quality: Tensor, random: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """The detector's picture of a query and the selected frames, and the scores' own loss."""
        recipe = self.recipe
        shots = torch.from_numpy(shot_numbers(pair.seconds, pair.cut_seconds))
        spans = random_spans(shots, int(random.choice(recipe.longest_spans)), random)
        rows = torch.from_numpy(pair.rows)
        plain, edited = rows @ rows.T, torch.from_numpy(pair.edited) @ rows.T
        together = spans[:, None] == spans[None, :]  # (N, N)
        utility = quality * (plain * together).sum(dim=0) / together.sum(dim=0)
        noise = torch.Generator().manual_seed(recipe.seed * 1_000_003 + self.step)
        weights = soft_select(utility, spans, temperature=recipe.temperature, generator=noise)
        kept = kept_similarity(quality[None], plain[None], edited[None], together[None])
        pooled = random.random() < recipe.pooled_share
        return picture_of_selected(pair, weights, spans, pooled=pooled), kept

    def save(self) -> None:
        """Write both networks' checkpoints, in their own folders."""
        for part in (self.key_frames, self.detector):
            part.step, part.curve = self.step, self.curve
            part.save()


def picture_of_selected(
    pair: JointPair, weights: Tensor, spans: Tensor, *, pooled: bool = False
) -> Tensor:
    """As `models.detector.grid.picture_of`, of the selected frames, with gradients.

    Args:
        pair: the query and the candidates.
        weights: (K, N) of `models.keyframes.soft.soft_select`.
        spans: (N,) the span of each candidate.
        pooled: whether the means over what the selected frames stand for are looked at. The
            gradient is as if they were the selected frames themselves, straight through.

    Returns:
        (8, H, W) float32.
    """
    query = pair.query
    biases = np.zeros(len(query), np.float32)
    if query.score_biases is not None:
        biases = query.score_biases
    values = torch.from_numpy(  # (Nq, N)
        similarities(query.descriptors, pair.rows, biases, pair.biases)
    )
    selected = values @ weights.T  # (Nq, K)
    keys = weights.detach().argmax(dim=1)  # (K,)
    if pooled:
        owners = owners_of(pair.seconds, pair.cut_seconds, keys.numpy())
        kept = pool_description(EncodedFrames(pair.rows, pair.biases), owners, len(keys))
        means = similarities(query.descriptors, kept.descriptors, biases, kept.score_biases)
        selected = torch.from_numpy(means) + (selected - selected.detach())
    rows = lay_axis(query.seconds, query.cut_seconds, query.duration_seconds, query.motion)
    columns = lay_axis(pair.seconds, pair.cut_seconds, pair.duration_seconds, pair.motion)
    own = spans[torch.from_numpy(columns.frames)]  # (W,) the key frame of each cell
    shown = selected[torch.from_numpy(rows.frames)][:, own]  # (H, W)
    usual = shown.median(dim=1, keepdim=True).values + shown.median(dim=0, keepdim=True).values
    far = _distance(torch.from_numpy(pair.seconds)[keys[own]], columns)
    sides = [rows.distance[:, None], far[None, :], rows.cuts[:, None], columns.cuts[None, :]]
    sides += [rows.motion @ columns.motion.T, rows.motion @ columns.motion[:, ::-1].T]
    rest = [torch.from_numpy(np.asarray(side)).expand(shown.shape) for side in sides]
    return torch.stack([shown, shown - usual / 2, *rest])


def _distance(chosen: Tensor, axis: Axis) -> NDArray[np.float32]:
    """How far each cell's key frame is, in [0, 1]."""
    centres = (np.arange(len(axis), dtype=np.float32) + 0.5) * CELL_SECONDS
    far = np.abs(chosen.numpy() - centres) / FAR_SECONDS
    clipped: NDArray[np.float32] = np.minimum(far, 1).astype(np.float32)
    return clipped


def padded_pictures(pictures: list[Tensor]) -> Tensor:
    """(N, 8, H, W): zeros beyond each picture's end; sides are multiples of `ALIGN`."""
    height = -(-max(picture.shape[1] for picture in pictures) // ALIGN) * ALIGN
    width = -(-max(picture.shape[2] for picture in pictures) // ALIGN) * ALIGN
    full = torch.zeros(len(pictures), CHANNELS, height, width)
    for number, picture in enumerate(pictures):
        full[number, :, : picture.shape[1], : picture.shape[2]] = picture
    return full


def train_joint(
    recipe: JointRecipe,
    data: Path,
    out: Path,
    *,
    key_frames: Path,
    detector: Path,
    encoder: FrameEncoder,
    pictures: Path | None = None,
    minutes: float | None = None,
    resume: bool = False,
) -> JointTrainer:
    """Train both networks on, from a run of each.

    Args:
        recipe: what to train and how.
        data: holds `clips/*.mp4` and, if any, `photos/*.tar`.
        out: both checkpoints go here.
        key_frames: the folder of a key-frame run; not changed.
        detector: the folder of a detector's run; not changed.
        encoder: makes the descriptors.
        pictures: decoded footage, made where it is missing; `out/pictures` if None.
        minutes: stop after so long; the recipe's last step if None.
        resume: go on from the checkpoints in `out`.

    Returns:
        The trainer in its last state, saved.

    Raises:
        FileNotFoundError: no clips, or nothing to start from.
    """
    frames = KeyFrameTrainer(KeyFrameRecipe(), out / "keyframes" if resume else key_frames)
    frames.resume()
    boxes = DetectorTrainer(recipe.detector, out / "detector" if resume else detector)
    boxes.resume()
    trainer = JointTrainer(recipe, out, frames, boxes)
    if resume:
        trainer.step, trainer.curve = boxes.step, boxes.curve
    pictures = pictures or out / "pictures"
    build_pictures(data, pictures, size=encoder.input_size)
    pool = load_seen(pictures, encoder)
    learned = {one.name for one in split_pool([one.footage for one in pool])[0]}
    trainer.run([one for one in pool if one.footage.name in learned], minutes)
    return trainer
