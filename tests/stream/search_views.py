"""Search views of made vectors, and their snapshots; serves the tests of search."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.contract.embedded import Moments, packed_moments
from stream.contract.events import VideoEmbedded
from stream.search.settings import SearchSettings
from stream.search.snapshot import ViewSnapshots
from stream.search.view import SearchView

DIMENSION = 8
OWN, OTHER = "pair-1", "pair-2"
LOG_ID = "cluster/topic"


def vector_of(seed: int, dimension: int = DIMENSION) -> NDArray[np.float32]:
    vector = np.random.default_rng(seed).standard_normal(dimension)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def event(video_id: str, seed: int = 0, moments: int = 0, **fields: Any) -> VideoEmbedded:
    """A message of a video; its moments, a second apart, have vectors of their own seeds."""
    vector = fields.pop("vector", vector_of(seed))
    rows = [vector_of(seed + 100 * (1 + moment), len(vector)) for moment in range(moments)]
    seconds, vectors = packed_moments(
        Moments(np.arange(moments, dtype=np.float32), np.array(rows, np.float32))
    )
    return VideoEmbedded.from_json(
        {
            "video_id": video_id,
            "model_version": OWN,
            "dimension": len(vector),
            "vector": [float(number) for number in vector],
            "duration_seconds": float(seed),
            "moment_seconds": seconds,
            "moment_vectors": vectors,
        }
        | fields
    )


def new_view(**settings: Any) -> SearchView:
    return SearchView(SearchSettings(**settings), OWN, DIMENSION)


def snapshots(folder: Path, **changed: Any) -> ViewSnapshots:
    fields: dict[str, Any] = {
        "log_id": LOG_ID, "model_version": OWN, "dimension": DIMENSION, "max_days": 90.0,
    }  # fmt: skip
    return ViewSnapshots(SearchSettings(snapshot_folder=folder), **fields | changed)


def found(view: SearchView, vector: NDArray[np.float32], k: int) -> list[tuple[str, float]]:
    [hits] = view.search(vector[None], k)
    return [(hit.video_id, hit.similarity) for hit in hits]
