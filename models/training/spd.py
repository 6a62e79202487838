"""Trains the pattern detector on pasted pairs: `samesource train spd`.

Seeded and resumable: batch `i` is a function of the seed and `i`, and a checkpoint holds weights,
their running mean, optimiser and step.
"""

import math
import time
import tomllib
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, Subset

from models.align import Segment
from models.detector.assignment import assign
from models.detector.boxes import find_segments
from models.detector.calibrate import calibrate
from models.detector.export import export_detector, torch_run
from models.detector.grid import CELL_SECONDS, CHANNELS, lay_out
from models.detector.network import ALIGN, DetectorConfig, PatternNetwork, place_centres
from models.detector.refine import Refiner
from models.encode import FrameEncoder
from models.losses.interval_overlap import interval_overlap
from models.losses.quality_focal import quality_focal
from models.metrics import score_pairs
from models.training.checkpoint import read_checkpoint
from models.training.curve import draw_curve
from models.training.descriptor_pool import Footage, build_pictures, load_pool, part_of
from models.training.pasted_pairs import PairMaker, PairRecipe, PastedPair
from models.training.windows import windowed

Array = NDArray[np.float32]

HELD_OUT_FOLD, FOLDS = 0, 10
HELD_OUT_SEED = 1_000_003
CALIBRATION_PAIRS = 600


@dataclass(frozen=True)
class SpdRecipe:
    """Everything that a run depends on, besides the data.

    Attributes:
        lengths_seconds: longest side of the pictures of a batch, drawn for each batch.
        window_share: pairs of which a window is shown, as tiles of long videos are.
        box_weight: of the overlap term, beside the score's.
        averaging: of the running mean of the weights, a step.
    """

    seed: int = 1
    steps: int = 6000
    pairs: int = 16
    rate: float = 2e-3
    weight_decay: float = 1e-3
    warm_up: int = 100
    lengths_seconds: tuple[float, ...] = (62.0, 62.0, 94.0, 126.0)
    window_share: float = 0.25
    box_weight: float = 2.0
    reversed_weight: float = 0.5
    averaging: float = 0.998
    validate_every: int = 500
    validation_pairs: int = 192
    network: DetectorConfig = field(default_factory=DetectorConfig)
    made: PairRecipe = field(default_factory=PairRecipe)


@dataclass(frozen=True)
class Batch:
    """Pictures, padded to one size, and the true boxes of each.

    Attributes:
        pictures: (N, 6, H, W) float32.
        boxes: of each picture, (M, 4) float32 in cells.
        backwards: of each picture, (M,) bool.
    """

    pictures: Tensor
    boxes: list[Tensor]
    backwards: list[Tensor]


def read_spd_recipe(path: Path) -> SpdRecipe:
    """Read a recipe.

    Raises:
        TypeError: an unknown key.
    """
    raw: dict[str, Any] = tomllib.loads(path.read_text())
    network, made = _tuples(raw.pop("network", {})), _tuples(raw.pop("made", {}))
    return SpdRecipe(network=DetectorConfig(**network), made=PairRecipe(**made), **_tuples(raw))


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}


def split_pool(pool: list[Footage]) -> tuple[list[Footage], list[Footage]]:
    """Footage to learn from, and footage that is held out, one clip in ten."""
    held = [footage for footage in pool if part_of(footage.name, FOLDS) == HELD_OUT_FOLD]
    return [footage for footage in pool if part_of(footage.name, FOLDS) != HELD_OUT_FOLD], held


class PairBatches(Dataset[Batch]):
    """Item `i` is batch `i`."""

    def __init__(self, pool: list[Footage], recipe: SpdRecipe) -> None:
        self._recipe = recipe
        self._makers = {
            length: PairMaker(
                pool, _with_length(recipe.made, length), recipe.seed * 1009 + int(length)
            )
            for own in set(recipe.lengths_seconds)
            for length in (own, 2 * own)
        }

    def __len__(self) -> int:
        return self._recipe.steps

    def __getitem__(self, index: int) -> Batch:
        """Batch `index`."""
        recipe = self._recipe
        lengths = recipe.lengths_seconds
        length = lengths[int(np.random.default_rng((recipe.seed, index)).integers(len(lengths)))]
        random = np.random.default_rng((recipe.seed, index, 1))
        parts = []
        for number in range(index * recipe.pairs, (index + 1) * recipe.pairs):
            shown = random.random() < recipe.window_share
            pair = self._makers[length * 2 if shown else length].pair(number)
            parts.append(_picture(pair, int(length), random))
        return batch_of(parts)


def _with_length(made: PairRecipe, seconds: float) -> PairRecipe:
    return PairRecipe(**{**asdict(made), "longest_seconds": seconds})


def _picture(
    pair: PastedPair, most_cells: int, random: np.random.Generator
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """A pair's picture, boxes and directions, in cells; a window of it where it is longer."""
    picture = lay_out(pair.similarity)
    top, left = (int(random.integers(max(1, s - most_cells + 1))) for s in picture.shape[1:])
    shown = picture[:, top : top + most_cells, left : left + most_cells]
    window = np.array([top, left, top + shown.shape[1], left + shown.shape[2]], np.float32)
    return shown, *windowed(pair.boxes / CELL_SECONDS, pair.reversed, window)


def batch_of(parts: list[tuple[Array, Array, NDArray[np.bool_]]]) -> Batch:
    """Pictures, padded to one size, with their boxes and directions."""
    return Batch(
        torch.from_numpy(padded([picture for picture, _, _ in parts])),
        [torch.from_numpy(boxes) for _, boxes, _ in parts],
        [torch.from_numpy(backwards) for _, _, backwards in parts],
    )


def padded(pictures: list[Array]) -> Array:
    """(N, 6, H, W): zeros beyond each picture's end; sides are multiples of `ALIGN`."""
    height = max(picture.shape[1] for picture in pictures)
    width = max(picture.shape[2] for picture in pictures)
    shape = (-(-height // ALIGN) * ALIGN, -(-width // ALIGN) * ALIGN)
    full = np.zeros((len(pictures), CHANNELS, *shape), np.float32)
    for own, picture in zip(full, pictures, strict=True):
        own[:, : picture.shape[1], : picture.shape[2]] = picture
    return full


def detection_loss(network: PatternNetwork, batch: Batch, recipe: SpdRecipe) -> Tensor:
    """Score, direction and edges, each span of the batch counted alike."""
    what, distances = network(batch.pictures)
    height, width = what.shape[2:]
    centres = place_centres(height, width, what.device)
    spans = max(1, sum(len(boxes) for boxes in batch.boxes))
    quality = torch.zeros_like(what[:, 0])
    edges = turned = what.new_zeros(())
    for number, (boxes, backwards) in enumerate(zip(batch.boxes, batch.backwards, strict=True)):
        answers, chosen, truth, weights = assign(centres, boxes, backwards)
        if not answers.any():
            continue
        found = distances[number].permute(1, 2, 0)[answers]  # (P, 4)
        wanted, share = truth[answers], weights[answers]
        overlap = interval_overlap(
            found.view(-1, 2, 2).transpose(1, 2), wanted.view(-1, 2, 2).transpose(1, 2)
        )  # (P, 2), on the query's and on the reference's axis
        quality[number][answers] = overlap.prod(dim=1).detach().clamp(0.05, 1.0)
        edges = edges + ((1 - overlap).sum(dim=1) * share).sum()
        edges = edges + 0.2 * ((found.log() - wanted.log()).abs().mean(dim=1) * share).sum()
        direction = functional.binary_cross_entropy_with_logits(
            what[number, 1][answers], backwards[chosen[answers]].float(), reduction="none"
        )
        turned = turned + (direction * share).sum()
    score = quality_focal(what[:, 0], quality) / quality.sum().clamp(min=1.0)
    loss: Tensor = score + (recipe.box_weight * edges + recipe.reversed_weight * turned) / spans
    return loss


class SpdTrainer:
    """One run: a network, the running mean of its weights, its optimiser and its step."""

    def __init__(self, recipe: SpdRecipe, folder: Path, device: str = "cpu") -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.folder, self.device = recipe, folder, device
        folder.mkdir(parents=True, exist_ok=True)
        self.network = PatternNetwork(recipe.network).to(device)
        self.mean = deepcopy(self.network).eval()
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay
        )
        self.step = 0
        self.curve: list[dict[str, float]] = []

    def run(self, pool: list[Footage], minutes: float | None) -> None:
        """Train to the recipe's last step, or for so many minutes."""
        recipe, console = self.recipe, Console()
        learned, held = split_pool(pool)
        batches = Subset(PairBatches(learned, recipe), range(self.step, recipe.steps))
        loader = DataLoader(batches, batch_size=None, num_workers=1, prefetch_factor=4)
        check = validation_pairs(held, recipe) if len(held) >= 4 else []
        start = saved = time.monotonic()
        for batch in loader:
            loss = self.update(batch)
            self.curve.append({"step": self.step, "loss": loss})
            if self.step % 50 == 0:
                console.print(f"step {self.step} loss {loss:.3f}")
            if check and self.step % recipe.validate_every == 0:
                self._validate(check, console)
            if time.monotonic() - saved > 120:
                self.save()
                saved = time.monotonic()
            if minutes is not None and time.monotonic() - start > 60 * minutes:
                break
        if check and self.step % recipe.validate_every:
            self._validate(check, console)
        self.save()

    def update(self, batch: Batch) -> float:
        """Take one step; gives the loss."""
        self.network.train()
        self._set_rate()
        batch = Batch(
            batch.pictures.to(self.device),
            [boxes.to(self.device) for boxes in batch.boxes],
            [backwards.to(self.device) for backwards in batch.backwards],
        )
        loss = detection_loss(self.network, batch, self.recipe)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self.step += 1
        self.average()
        return float(loss.detach())

    def average(self) -> None:
        """Move the running mean of the weights a step towards them."""
        keep = min(self.recipe.averaging, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            ours, theirs = self.mean.state_dict(), self.network.state_dict()
            for name, value in ours.items():
                if value.dtype.is_floating_point:
                    value.lerp_(theirs[name], 1 - keep)
                else:
                    value.copy_(theirs[name])

    def _set_rate(self) -> None:
        recipe = self.recipe
        done = self.step / max(recipe.steps, 1)
        factor = min(1.0, (self.step + 1) / recipe.warm_up) * 0.5 * (1 + math.cos(math.pi * done))
        for group in self.optimiser.param_groups:
            group["lr"] = recipe.rate * max(factor, 0.01)

    def _validate(self, check: list[PastedPair], console: Console) -> None:
        figures = held_out_figures(self.mean, check)
        self.curve.append({"step": self.step, **figures})
        shown = " ".join(f"{name} {value:.4f}" for name, value in figures.items())
        console.print(f"step {self.step} validation {shown}")

    def save(self) -> None:
        """Write a checkpoint aside and rename it; the curve, as JSON and as a picture."""
        state = {
            "network": self.network.state_dict(),
            "mean": self.mean.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "recipe": asdict(self.recipe),
            "curve": self.curve,
        }
        aside = self.folder / "checkpoint.pt.part"
        torch.save(state, aside)
        aside.rename(self.folder / "checkpoint.pt")
        (self.folder / "curve.json").write_bytes(orjson.dumps(self.curve))
        draw_curve(self.curve, self.folder / "curve.png")

    def start_from(self, folder: Path) -> None:
        """Begin with the mean weights of another run.

        Raises:
            FileNotFoundError: it has no checkpoint.
        """
        state = read_checkpoint(folder, self.device)
        self.network.load_state_dict(state["mean"])
        self.mean.load_state_dict(state["mean"])

    def resume(self) -> None:
        """Go on from the folder's checkpoint.

        Raises:
            FileNotFoundError: there is none.
        """
        state = read_checkpoint(self.folder, self.device)
        self.network.load_state_dict(state["network"])
        self.mean.load_state_dict(state["mean"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.curve = state["step"], state["curve"]


def validation_pairs(held: list[Footage], recipe: SpdRecipe) -> list[PastedPair]:
    """The same pairs of held-out footage for every run."""
    made = _with_length(recipe.made, 94.0)
    maker = PairMaker(held, made, HELD_OUT_SEED)
    return [maker.pair(index) for index in range(recipe.validation_pairs)]


def held_out_figures(network: PatternNetwork, check: list[PastedPair]) -> dict[str, float]:
    """Precision, recall and F1 by the VCSL protocol on made pairs, at the best least score."""
    run = torch_run(network)
    found: dict[str, list[Segment]] = {}
    for number, pair in enumerate(check):
        refiner = Refiner(pair.similarity)
        found[str(number)] = [refiner.refine(s) for s in find_segments(pair.similarity, run)]
    truth = {str(number): pair.boxes for number, pair in enumerate(check)}
    best = {"f1": 0.0, "precision": 0.0, "recall": 0.0, "least_score": 0.0}
    for least in np.arange(0.1, 0.9, 0.1).tolist():
        boxes = {
            pair: [box_of(s) for s in segments if s.score >= least]
            for pair, segments in found.items()
        }
        score = score_pairs(boxes, truth, list(truth))
        if score.f1 > best["f1"]:
            best = {
                "f1": score.f1,
                "precision": score.precision,
                "recall": score.recall,
                "least_score": least,
            }
    return best


def box_of(segment: Segment) -> list[float]:
    """[query start, reference start, query end, reference end] in seconds."""
    return [
        segment.query_start_seconds,
        segment.reference_start_seconds,
        segment.query_end_seconds,
        segment.reference_end_seconds,
    ]


def train_spd(
    recipe: SpdRecipe,
    data: Path,
    out: Path,
    *,
    encoder: FrameEncoder,
    pictures: Path | None = None,
    start: Path | None = None,
    minutes: float | None = None,
    resume: bool = False,
    device: str = "cpu",
) -> SpdTrainer:
    """Train on a data folder.

    Args:
        recipe: what to train and how.
        data: holds `clips/*.mp4` and, if any, `photos/*.tar`.
        out: checkpoints and the curve go here.
        encoder: makes the descriptors.
        pictures: decoded footage, made where it is missing; `out/pictures` if None.
        start: a folder with the checkpoint of an earlier run, whose weights this one begins with.
        minutes: stop after so long; the recipe's last step if None.
        resume: go on from the checkpoint in `out`.
        device: a torch device.

    Returns:
        The trainer in its last state, saved.

    Raises:
        FileNotFoundError: no clips, or nothing to start from.
    """
    trainer = SpdTrainer(recipe, out, device)
    if start is not None:
        trainer.start_from(start)
    if resume:
        trainer.resume()
    pictures = pictures or out / "pictures"
    build_pictures(data, pictures, size=encoder.input_size)
    trainer.run(load_pool(pictures, encoder), minutes)
    return trainer


def export_spd(run: Path, path: Path, *, encoder: FrameEncoder, pictures: Path) -> dict[str, float]:
    """Calibrate a run's scores on held-out footage, and write it as ONNX.

    Args:
        run: a training folder.
        path: the file to write.
        encoder: makes the descriptors.
        pictures: the footage of the run.

    Returns:
        Figures on the held-out pairs, and `difference`, the largest one to torch.

    Raises:
        FileNotFoundError: no checkpoint or no footage.
        ModelError: ONNX differs from torch by more than the bound.
    """
    state = read_checkpoint(run)
    network = PatternNetwork(DetectorConfig(**_tuples(state["recipe"]["network"])))
    network.load_state_dict(state["mean"])
    network.eval()
    held = split_pool(load_pool(pictures, encoder))[1]
    recipe = SpdRecipe(validation_pairs=CALIBRATION_PAIRS)
    pairs = validation_pairs(held, recipe)
    figures = held_out_figures(network, pairs)
    weights = calibrate(torch_run(network), pairs)
    sample = padded([lay_out(pair.similarity) for pair in pairs[:8]])
    difference = export_detector(
        network, path, weights, sample, encoder_version=encoder.model_version
    )
    return {**figures, "difference": difference}
