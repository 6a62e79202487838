"""The methods of a recipe as one loss: which are on, with which settings, and how they add up."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from models.text_video.caption_tower import TextTower
from models.text_video.methods.contrast import info_nce
from models.text_video.methods.curriculum import Curriculum, curriculum_contrast
from models.text_video.methods.dual_attention import DualAttention, drop_words, dual_attention
from models.text_video.methods.local_matching import LocalMatching, local_matching
from models.text_video.methods.masked_words import MaskedWords, MaskedWordsLoss
from models.text_video.methods.negative_nce import NegativeNce, negative_nce
from models.text_video.methods.partial_margin import PartialMargin, PartialMarginLoss
from models.text_video.methods.shot_order import ShotOrder, shot_order
from models.text_video.methods.step import Step
from models.text_video.network import TextVideoNetwork
from models.text_video.shape import TextVideoConfig

SETTINGS: dict[str, Any] = {
    "curriculum": Curriculum,
    "dual_attention": DualAttention,
    "negative_nce": NegativeNce,
    "partial_margin": PartialMargin,
    "masked_words": MaskedWords,
    "local_matching": LocalMatching,
    "shot_order": ShotOrder,
}
BY_SIGNIFICANCE = {"dual_attention", "partial_margin", "masked_words", "local_matching"}

BY_WORDS = BY_SIGNIFICANCE | {"shot_order"}


class Methods(nn.Module):
    """InfoNCE over vectors, plain or by the curriculum, and what a recipe adds.

    Attributes:
        settings: of the methods that are on, by name.
    """

    def __init__(self, tables: Mapping[str, Mapping[str, Any]], config: TextVideoConfig) -> None:
        """Make the settings, and the networks that some methods learn beside the towers.

        Args:
            tables: the recipe's, by name; an empty one is a method's defaults.
            config: of the towers.

        Raises:
            ValueError: no such method.
            TypeError: no such setting.
        """
        super().__init__()
        unknown = sorted(set(tables) - set(SETTINGS))
        if unknown:
            raise ValueError(f"methods.{unknown[0]}: expected one of {', '.join(SETTINGS)}")
        if config.read_sentences and BY_WORDS & set(tables):
            named = min(BY_WORDS & set(tables))
            raise ValueError(f"methods.{named} looks at words: not with network.read_sentences")
        self.settings = {name: SETTINGS[name](**table) for name, table in tables.items()}
        self.losses = nn.ModuleDict()
        if (margin := self.settings.get("partial_margin")) is not None:
            self.losses["partial_margin"] = PartialMarginLoss(config.dimension, margin)
        if (masked := self.settings.get("masked_words")) is not None:
            self.losses["masked_words"] = MaskedWordsLoss(config.dimension, masked)
            self.losses["entries"] = nn.Linear(config.width, config.dimension)

    @property
    def needs_significance(self) -> bool:
        """Whether words are told apart by their part of speech."""
        return bool(BY_SIGNIFICANCE & set(self.settings))

    def change_captions(
        self, ids: Tensor, significance: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """What the text tower reads in training: (B, L) ids and significance."""
        dropping = self.settings.get("dual_attention")
        if dropping is None:
            return ids, significance
        return drop_words(ids, significance, dropping, generator)

    def forward(
        self, step: Step, network: TextVideoNetwork, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """The loss's parts, scalars to be added up.

        Args:
            step: a batch as both towers see it.
            network: the towers, for the embedding of words.
            generator: of every draw.
        """
        similarities = step.text.vectors @ step.visual.vectors.T
        parts = {"contrast": self._contrast(step, similarities, generator)}
        for name, settings in self.settings.items():
            if hasattr(settings, "weight"):
                extra = self._extra(name, step, similarities, network, generator)
                parts[name] = settings.weight * extra
        return parts

    def _contrast(self, step: Step, similarities: Tensor, generator: torch.Generator) -> Tensor:
        settings = self.settings.get("curriculum")
        if settings is None:
            return info_nce(step, similarities)
        return curriculum_contrast(step, similarities, settings, generator)

    def _extra(
        self,
        name: str,
        step: Step,
        similarities: Tensor,
        network: TextVideoNetwork,
        generator: torch.Generator,
    ) -> Tensor:
        """A further term without its weight; similarities (B, B) are those of vectors."""
        if name == "dual_attention":
            attended = dual_attention(
                step.visual, step.text, step.significance, self.settings[name]
            )
            return info_nce(step, attended)
        if name == "negative_nce":
            return negative_nce(step, similarities, self.settings[name])
        if name == "local_matching":
            return local_matching(step, self.settings[name], generator)
        if name == "shot_order":
            return shot_order(step)
        loss: Tensor
        if name == "masked_words":
            assert isinstance(network.text, TextTower)  # as `__init__` looked at
            entries = self.losses["entries"](network.text.embedding.weight)  # (V, D)
            loss = self.losses[name](step, entries, generator=generator)
        else:
            loss = self.losses[name](step)
        return loss
