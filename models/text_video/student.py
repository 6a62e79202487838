"""Joins trained pairs into one: video towers side by side, and one text tower taught by all.

`samesource train text-student` does it. Pairs that were trained apart err apart, and the sum of
what they say is better than either. Their video towers share the trunk, which is nearly all of the
cost, so both are kept; their text towers teach one that is shipped, which learns from captions
alone to say what they say together (Hinton et al., "Distilling the Knowledge in a Neural Network",
2015, with vectors in the place of classes).
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional

from models.errors import ModelFileError, RecipeError
from models.text_video.caption_tower import SentenceTower, TextTower
from models.text_video.grow import grow
from models.text_video.network import TextVideoNetwork
from models.text_video.sentences import sentence_vectors
from models.text_video.shape import TextVideoConfig
from models.text_video.student_sentences import Sentences
from models.text_video.tokenizer import MASK, PAD, SPECIAL, CaptionTokenizer
from models.text_video.train import decaying, trained_network
from models.text_video.validate import Check, Readable, check_figures, text_vectors
from models.text_video.video_tower import JoinedVideoTower
from models.training.bounds import Count, Positive, Seed, Share, Weight
from models.training.checkpoint import read_checkpoint
from models.training.rates import MIN_RATE, rate_factor, set_rates
from models.training.run import TimeLimit, run_steps
from models.training.trainer import Trainer, descend, follow, shown, warming_up

SHOW_EVERY = 50  # steps between two lines of figures
BUCKETS = 6  # groups of captions by length that a batch is drawn from: less padding is computed


@dataclass(frozen=True)
class StudentRecipe:
    """Everything that a run depends on, besides the data and the pairs that teach.

    Attributes:
        rate: the highest.
        averaging: of the running mean of the weights, a step.
        captions: B, in a batch.
        sources: whose captions: `en`, `zh`, `zh_mt_a`, `zh_mt_b`.
        joined_share: sentences that are two captions, one after the other, beside each caption.
        spliced_share: the same, of the beginning of a caption and the end of another.
        keywords_share: the same, of one to three words as people type them.
        misspelt_share: the same, of captions and keywords with a typing error.
        token_dropout: share of the words that are masked in every other batch.
        temperature: at which the batch's vectors are told apart.
        closeness: what a vector's distance to its target counts beside telling apart.
        photos: in each step, that the vectors tell apart as the targets do.
        text_width: of the text tower: at least as wide as the first pair's.
        text_layers: transformer blocks over words: at least as many as the first pair has.
        dropout: inside these.
        half: compute in bfloat16: some three times as fast where the processor multiplies in it,
            slower where it doesn't. Weights stay in float32.
        network: that of the pairs that teach; a recipe's file has none.
    """

    seed: Seed = 1
    steps: Count = 5000
    rate: Positive = 2e-3
    weight_decay: Weight = 0.02
    warm_up: Count = 100
    averaging: Share = 0.995
    validate_every: Count = 1000
    captions: Count = 512
    sources: tuple[str, ...] = ("en", "zh", "zh_mt_a", "zh_mt_b")
    joined_share: Share = 0.15
    spliced_share: Weight = 0.5
    keywords_share: Share = 0.2
    misspelt_share: Share = 0.2
    token_dropout: Share = 0.0
    temperature: Positive = 0.05
    closeness: Weight = 10.0
    photos: Count = 2000
    text_width: Count = 320
    text_layers: Count = 5
    dropout: Share = 0.0
    half: bool = True
    network: TextVideoConfig = field(default_factory=TextVideoConfig)


@dataclass(frozen=True)
class Teacher:
    """A trained pair.

    Attributes:
        network: in evaluation mode.
        tokenizer: of its run.
        channels: of its trunk.
    """

    network: TextVideoNetwork
    tokenizer: CaptionTokenizer
    channels: int

    @staticmethod
    def of(run: Path) -> "Teacher":
        """Read a training folder.

        Raises:
            MissingDataError: it has no checkpoint.
            ModelFileError: it is of another network, damaged, or without a tokenizer.
        """
        channels = int(read_checkpoint(run)["channels"])
        tokenizer = CaptionTokenizer.load(run / "tokenizer.json")
        return Teacher(trained_network(run), tokenizer, channels)


@dataclass(frozen=True)
class Lessons:
    """What the student learns.

    Attributes:
        ids: (M, L) int64 sentences.
        targets: (M, D) float32 unit rows, what the teachers say of them together.
        turns: for each teacher (D, D) float32, from its own space into the shared one.
    """

    ids: NDArray[np.int64]
    targets: NDArray[np.float32]
    turns: list[NDArray[np.float32]]


@dataclass(frozen=True)
class Exercise:
    """One step's: (B, L) ids, (B, D) targets, and (P, D) photos to tell apart, unit rows."""

    ids: Tensor
    targets: Tensor
    photos: Tensor


def joined_config(teachers: Sequence[Teacher], recipe: StudentRecipe) -> TextVideoConfig:
    """The shape of the joined network: the first teacher's, with all video towers.

    Args:
        teachers: whose towers are joined.
        recipe: has the text tower's width, layers and dropout.

    Raises:
        ModelFileError: fewer than two, the first reads no ids, is wider or has more layers, or
            their shapes differ.
        RecipeError: the width can't be shared by the first one's heads.
    """
    if len(teachers) < 2:
        raise ModelFileError(f"{len(teachers)} pairs to learn from, expected two or more")
    first = teachers[0].network.config
    if first.read_sentences:
        raise ModelFileError("the first pair reads sentence vectors: name one that reads ids first")
    for teacher in teachers:
        config = teacher.network.config
        alike = replace(config, read_sentences=(), entries=first.entries)
        if alike != first or first.video_towers > 1:
            raise ModelFileError(f"pairs of other shapes can't be joined: {config} and {first}")
    for name, own, theirs in (
        ("text_layers", recipe.text_layers, first.text_layers),
        ("text_width", recipe.text_width, first.words_width),
    ):
        if own < theirs:
            raise ModelFileError(f"{name} = {own}, but the first pair has {theirs}")
    if recipe.text_width % first.heads:
        raise RecipeError(
            f"text_width = {recipe.text_width}, expected a multiple of {first.heads} heads"
        )
    return replace(
        first,
        video_towers=len(teachers),
        text_width=recipe.text_width,
        text_layers=recipe.text_layers,
        dropout=recipe.dropout,
    )


def make_lessons(
    teachers: Sequence[Teacher], sentences: Sentences, dimension: int, folder: Path
) -> Lessons:
    """What all teachers say of the sentences, in one space.

    Each teacher counts by its own temperature: cosines over it are what it learned to compare.
    The space is spanned by the axes along which their texts, side by side, are longest.

    Args:
        teachers: the first one's tokenizer is the student's.
        sentences: that are taught.
        dimension: D of the shared space.
        folder: sentence vectors are kept here.
    """
    scales = [float(teacher.network.temperature.detach()) ** -0.5 for teacher in teachers]
    parts = [
        scale * _said_by(teacher, sentences, folder)
        for scale, teacher in zip(scales, teachers, strict=True)
    ]
    said = np.concatenate(parts, axis=1)  # (S, T D)
    _, axes = torch.linalg.eigh(torch.from_numpy(said.T @ said))  # ascending; columns
    axes_kept = axes.numpy()[:, ::-1][:, :dimension]  # (T D, D)
    targets = said @ axes_kept
    targets /= np.linalg.norm(targets, axis=1, keepdims=True)
    turns = [
        (scale * part).T.astype(np.float32)
        for scale, part in zip(scales, np.split(axes_kept, len(teachers)), strict=True)
    ]
    most = teachers[0].network.config.max_tokens
    return Lessons(teachers[0].tokenizer.ids(sentences.read, most), targets, turns)


def _said_by(teacher: Teacher, sentences: Sentences, folder: Path) -> NDArray[np.float32]:
    """(S, D) unit rows of one teacher, of sentences without their typing errors."""
    network, config = teacher.network, teacher.network.config
    if isinstance(network.text, SentenceTower):
        said = sentence_vectors(sentences.captions, config.read_sentences, folder)  # (M, E)
        # As in training: of joined captions the mean, see `models.text_video.batches.Batch`.
        both = said[sentences.parts].astype(np.float32).mean(axis=1).astype(np.float16)
        others = sentence_vectors(sentences.others, config.read_sentences, folder)
        told: Readable = np.concatenate([said, both, others])
    else:
        whole = [*sentences.captions, *sentences.joined, *sentences.others]
        told = teacher.tokenizer.ids(whole, config.max_tokens)
    return text_vectors(network, told, "cpu")[sentences.meant]


def joined_network(
    config: TextVideoConfig, teachers: Sequence[Teacher], turns: Sequence[NDArray[np.float32]]
) -> TextVideoNetwork:
    """The teachers' video towers, and the first one's text tower, grown, in the shared space.

    Args:
        config: of the joined network.
        teachers: as many as it has video towers.
        turns: of the lessons.
    """
    network = TextVideoNetwork(config, teachers[0].channels)
    video, text, first = network.video, network.text, teachers[0].network.text
    assert isinstance(video, JoinedVideoTower)
    assert isinstance(text, TextTower) and isinstance(first, TextTower)
    with torch.no_grad():
        for tower, teacher in zip(video.towers, teachers, strict=True):
            tower.load_state_dict(teacher.network.video.state_dict())
        video.join.weight.copy_(torch.from_numpy(np.concatenate(turns, axis=1)))
        grow(text, first)
        turn = torch.from_numpy(turns[0])
        turn = turn / turn.norm() * len(turn) ** 0.5  # as long as a rotation
        for layer in (text.head, text.past, text.later, text.token_head):
            layer.weight.copy_(turn @ layer.weight)
            if layer.bias is not None:
                layer.bias.copy_(turn @ layer.bias)
    return network


class StudentTrainer(Trainer):
    """One run: the joined network, of which the text tower learns, and the mean of its weights."""

    recipe: StudentRecipe
    network: TextVideoNetwork

    def __init__(
        self,
        recipe: StudentRecipe,
        network: TextVideoNetwork,
        channels: int,
        folder: Path,
        device: str = "cpu",
    ) -> None:
        super().__init__(recipe, folder, device)
        self.channels = channels
        self.network = network.to(device)
        self.mean = deepcopy(self.network).eval()
        self.optimiser = torch.optim.AdamW(
            decaying(self.network.text.named_parameters(), recipe.weight_decay), lr=recipe.rate
        )

    def parts(self) -> dict[str, nn.Module]:
        """Whose weights are in a checkpoint, by their keys there."""
        return {"network": self.network, "mean": self.mean}

    def learning(self) -> list[nn.Parameter]:
        """The text tower's weights; the video towers are as they were taught."""
        return list(self.network.text.parameters())

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds: what one of `train text-video` does."""
        return {**super().state(), "channels": self.channels, "methods": {}}

    def run(
        self,
        lessons: Lessons,
        photos: NDArray[np.float32],
        check: Check,
        minutes: float | None,
    ) -> None:
        """Train to the recipe's last step, or for so many minutes.

        Args:
            lessons: to learn.
            photos: (P, D) unit rows, the network's own, of training photos.
            check: of held-out photos.
            minutes: at most.
        """
        console, limit = Console(), TimeLimit(minutes)

        def show(parts: dict[str, float]) -> None:
            if self.step % SHOW_EVERY == 0:
                console.print(f"step {self.step} {shown(parts)}")

        run_steps(
            self,
            self._exercises(lessons, photos),
            self.update,
            limit=limit,
            show=show,
            validate=lambda: self.validate(check, console),
            validate_every=self.recipe.validate_every,
        )

    def validate(self, check: Check, console: Console) -> None:
        """Rank held-out photos and captions by the mean weights; the figures join the curve."""
        found = check_figures(self.mean, check, self.device)
        self.measured({f"{language} r_sum": one.r_sum for language, one in found.items()}, console)

    def update(self, exercise: Exercise) -> dict[str, Tensor]:
        """Take one step; gives the loss and its parts."""
        recipe = self.recipe
        ids = exercise.ids.to(self.device)
        targets, photos = exercise.targets.to(self.device), exercise.photos.to(self.device)
        text = self.network.text.train()
        assert isinstance(text, TextTower)
        torch.manual_seed(recipe.seed * 1_000_003 + self.step)
        factor = rate_factor(self.step, recipe.steps, recipe.warm_up)
        set_rates(self.optimiser, max(factor, MIN_RATE), recipe.rate)
        with torch.autocast(self.device.partition(":")[0], torch.bfloat16, recipe.half):
            vectors = text.vector(text.hidden(ids), ids)
        parts = student_loss(vectors.float(), targets, photos, recipe)
        descend(torch.stack(list(parts.values())).sum(), self)
        follow(self.mean, self.network, warming_up(recipe.averaging, self.step))
        single = {name: part.detach() for name, part in parts.items()}
        return {"loss": torch.stack(list(single.values())).sum(), **single}

    def _exercises(self, lessons: Lessons, photos: NDArray[np.float32]) -> Iterator[Exercise]:
        """One for each step that is left; that of step `i` is a function of the seed and `i`."""
        lengths, count = (lessons.ids != PAD).sum(axis=1), self.recipe.captions
        for step in range(self.step, self.recipe.steps):
            random = np.random.default_rng((self.recipe.seed, step))
            drawn = random.integers(0, len(lengths), BUCKETS * count)
            drawn = drawn[np.argsort(lengths[drawn], kind="stable")]
            begin = count * int(random.integers(BUCKETS))
            rows = drawn[begin : begin + count]
            ids = lessons.ids[rows, : lengths[rows].max()]
            if step % 2:
                masked = (random.random(ids.shape) < self.recipe.token_dropout) & (
                    ids >= len(SPECIAL)
                )
                ids = np.where(masked, MASK, ids)
            shown = random.choice(len(photos), min(self.recipe.photos, len(photos)), replace=False)
            yield Exercise(
                torch.from_numpy(ids),
                torch.from_numpy(lessons.targets[rows]),
                torch.from_numpy(photos[shown]),
            )


def student_loss(
    vectors: Tensor, targets: Tensor, photos: Tensor, recipe: StudentRecipe
) -> dict[str, Tensor]:
    """How far vectors are from their targets, and how else they tell texts and photos apart.

    Args:
        vectors: (B, D) unit rows, the student's.
        targets: (B, D) unit rows.
        photos: (P, D) unit rows.
        recipe: `closeness` and `temperature` are used.

    Returns:
        `closeness` times the mean of 1 - cosine; the mean divergences (Kullback and Leibler) of
        the student's softmax over the batch's targets, and over the photos, from the targets' own.
    """
    apart = 1 - (vectors * targets).sum(dim=1)
    return {
        "distance": recipe.closeness * apart.mean(),
        "texts": _divergence(vectors, targets, targets, recipe.temperature),
        "photos": _divergence(vectors, targets, photos, recipe.temperature),
    }


def _divergence(vectors: Tensor, targets: Tensor, others: Tensor, temperature: float) -> Tensor:
    own = (targets @ others.T / temperature).softmax(dim=1)
    seen = (vectors @ others.T / temperature).log_softmax(dim=1)
    return functional.kl_div(seen, own, reduction="batchmean")
