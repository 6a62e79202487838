"""A library shard with its upkeep, stopped and restored at will; serves tests of what it holds."""

from pathlib import Path
from typing import Any

import numpy as np

from models.aligners.base import Segment
from models.aligners.matrix import SimilarityMatrix
from stream.contract.fingerprint import Fingerprint
from stream.library.run import NEVER
from stream.library.settings import LibrarySettings
from stream.library.shard import LibraryShard
from stream.library.snapshot import SnapshotStore
from stream.library.state import ShardState
from stream.library.upkeep import Upkeep

TINY: dict[str, Any] = {"exact_rows": 64, "run_rows": 40, "keep_replaced": 3}
EXACT: dict[str, Any] = {"exact_rows": 10**6, "run_rows": 40, "keep_replaced": 3}


class Everything:
    """An aligner that takes every pair for a copy: what it is shown is what was found."""

    version = "everything-1"

    def align(self, similarity: SimilarityMatrix) -> list[Segment]:
        """One whole segment, as sure as the matrix is similar."""
        score = float(np.round(similarity.values.max(), 4))
        return [Segment(0, similarity.query_duration_seconds, 0, 1, max(0.0, min(score, 1.0)))]


class KeptLibrary:
    """A shard with its upkeep, that can be stopped and started anew."""

    def __init__(self, folder: Path, **changed: Any) -> None:
        changed = (
            {"snapshot_folder": folder, "candidate_hits": 1, "min_score": 0}
            | {"min_similarity": 0.8}
            | changed
        )
        self.settings = LibrarySettings(**changed)
        self.offset = 0
        self.start(ShardState())

    def start(self, state: ShardState) -> None:
        """With a state."""
        self.library = LibraryShard(self.settings, 0, Everything(), state)
        self.snapshots = SnapshotStore(self.settings, shard=0, log_id="log")
        self.upkeep = Upkeep(self.snapshots)

    def restart(self) -> None:
        """Save, forget everything and restore."""
        self.upkeep.finish()
        self.upkeep.snapshot(self.library.state, self.offset, lambda: None)
        self.upkeep.finish()
        self.upkeep.close()
        found = self.snapshots.load_latest()
        assert found is not None and found.next_offset == self.offset
        self.start(found.state)

    def read(self, event: Fingerprint) -> set[str]:
        """Answer about a video, keep it, and say which videos it resembles."""
        answer = self.library.apply(event, self.offset)
        self.offset += 1
        self.upkeep.step(self.library.state)
        return {match.reference_id for match in answer.matches}

    def remove(self, video_id: str) -> None:
        """Take a video down."""
        self.library.remove(video_id, self.offset)
        self.offset += 1

    def held(self) -> dict[str, Any]:
        """The version that holds, of each video."""
        found = (one for one in self.library.state.held() if one.replaced_at == NEVER)
        return {one.entry.video_id: one.entry.content_version for one in found}
