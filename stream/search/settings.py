"""Settings of the search view: where its snapshots lie, and when search stops being exhaustive."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class SearchSettings(BaseModel):
    """A view of all vectors of one model.

    Attributes:
        snapshot_folder: of the view.
        snapshot_every_videos: messages after which a snapshot is written, if they are a twentieth
            of the view too.
        exact_rows: a view with fewer vectors is compared with exhaustively; with more, by lists
            of codes.
        probes: lists that a query looks into, of some 1.5 times the root of the number of vectors.
        near_rows: vectors nearest by their codes that are compared exactly. More of either finds
            more of what an exhaustive search finds, and takes longer: `benchmarks/text_search.py`
            compares the two.
        moments: of each video that can be found by themselves, at the most; each takes as much
            memory as the video. 0: whole videos alone.
        moment_margin: by how much nearer than a whole video a moment must be to count as much.
            Chosen for the shipped pair on photos that it learned from: without it, a clip that
            shows one half of a sentence comes before one that shows both.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    snapshot_folder: Path = Path("var/search")
    snapshot_every_videos: int = Field(default=1000, ge=1)
    exact_rows: int = Field(default=50_000, ge=64)
    probes: int = Field(default=256, ge=1)
    near_rows: int = Field(default=2048, ge=1)
    moments: int = Field(default=12, ge=0, le=64)
    moment_margin: float = Field(default=0.08, ge=0, le=1)
