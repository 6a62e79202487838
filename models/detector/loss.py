"""The pattern detector's loss: score, direction and edges of every place that answers."""

import torch
from torch import Tensor
from torch.nn import functional

from models.detector.assignment import assign
from models.detector.batches import Batch
from models.detector.network import PatternNetwork, place_centres
from models.detector.recipe import DetectorRecipe
from models.losses.interval_overlap import interval_overlap
from models.losses.quality_focal import quality_focal


def detection_loss(network: PatternNetwork, batch: Batch, recipe: DetectorRecipe) -> Tensor:
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
