"""How well selected frames stand for edited copies of what is around: what training watches."""

import numpy as np
import torch
from numpy.typing import NDArray

from models.keyframes.footage import SeenFootage
from models.keyframes.network import KeyFrameNetwork
from models.keyframes.spans import span_costs
from models.training.pool_pictures import FRAMES_PER_SECOND

SHARE = 0.2  # one frame in five, 720 an hour: near the default budget, where the choice counts
LONGEST_SECONDS = 10.0  # the default of `max_gap_seconds`


def coverage_check(network: KeyFrameNetwork, held: list[SeenFootage]) -> dict[str, float]:
    """Mean cosine of edited frames to the selected frame of their span, at equal counts.

    One frame a second, one in five of them selected: evenly, by descriptors alone, and by
    descriptors and the network's quality. The last figure is the same by the network's looks,
    without descriptors.

    Args:
        network: in any mode; left in evaluation mode.
        held: clips that it has not seen.
    """
    network.eval()
    step = int(FRAMES_PER_SECOND)
    sums = {"even": 0.0, "content": 0.0, "quality": 0.0, "looks": 0.0}
    frames = 0
    for one in held:
        if len(one.small) < 2:
            continue
        rows = one.footage.descriptors[0, ::step]
        edited = one.footage.descriptors[1:, step // 2 :: step][:, : len(rows)]
        rows = rows[: edited.shape[1]]
        if len(rows) < 5:
            continue
        with torch.inference_mode():
            seen = torch.from_numpy(one.small[:1, ::step][:, : len(rows)])
            quality, looks = (part[0].numpy() for part in network(seen))
        seconds = np.arange(len(rows), dtype=np.float32)
        shots = np.searchsorted(one.footage.cut_seconds, seconds, side="right")
        count = max(1, round(SHARE * len(rows)))
        content = _cheapest(rows, shots, seconds, np.ones(len(rows), np.float32), count)
        places = (np.arange(len(content)) + 0.5) / len(content) * len(rows)
        chosen = {
            "even": places.astype(np.intp),
            "content": content,
            "quality": _cheapest(rows, shots, seconds, quality, count),
            "looks": _cheapest(looks, shots, seconds, quality, count),
        }
        for name, keys in chosen.items():
            sums[name] += _covered(rows, edited, keys)
        frames += edited.shape[0] * edited.shape[1]
    return {name: value / max(frames, 1) for name, value in sums.items()}


def _cheapest(
    rows: NDArray[np.float32],
    shots: NDArray[np.intp],
    seconds: NDArray[np.float32],
    quality: NDArray[np.float32],
    count: int,
) -> NDArray[np.intp]:
    costs = span_costs(rows, shots, seconds, quality, longest_seconds=LONGEST_SECONDS)
    return costs.at_most(count)


def _covered(
    rows: NDArray[np.float32], edited: NDArray[np.float32], keys: NDArray[np.intp]
) -> float:
    """Sum of the cosines of the edited frames to the best of the two keys around them."""
    similarity = np.einsum("vtd,kd->vtk", edited, rows[keys])
    apart = np.abs(np.arange(len(rows))[:, None] - keys[None, :])
    near = np.argsort(apart, axis=1)[:, :2]  # (T, 2)
    return float(np.take_along_axis(similarity, near[None], axis=2).max(axis=2).sum())
