"""Settings of the library shards: how many, where snapshots live, what counts as a candidate."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from models.all_aligners import ALIGNERS
from models.runtime import Provider
from stream.library.rows import Bits


class LibrarySettings(BaseModel):
    """One shard reads the whole log and keeps the videos that hash to it.

    Attributes:
        shards: how many share the library; a change builds it anew from the log.
        code_bits: of each number of a stored descriptor: with fewer the library is smaller and
            similarities are rougher (docs/results.md). A change builds the library anew.
        device: where frames are searched: "cpu", or all rows on an NVIDIA GPU ("cuda").
        exact_rows: a shard with fewer frames is searched exactly; with more, by lists of codes. At
            this size both cost the same, and exact search loses nothing (docs/library.md).
        run_rows: frames from which on the growing end is sealed, when it is a thirty-second
            of all.
        keep_replaced: log entries for which a replaced version is kept, so that a repeat of an
            upload is answered as the first time; removed videos are dropped at once. More costs
            memory and disk. Set by hand, as is `keep_versions`.
        keep_versions: replaced versions of one video that are kept at the most, the newest.
        near_rows: frames nearest by their codes, for each query frame, that are looked at exactly
            from ten million on; fewer before, with the root of the number. More of this or of
            `probes` finds more of what an exact search finds, and takes longer:
            `benchmarks/library_size.py` measures both.
        probes: lists that a query frame looks into.
        search_frames: what looks for candidates: the dense query frames, or the key frames alone,
            which costs less. Candidates are always aligned on the query frames.
        snapshot_folder: of all shards.
        snapshot_store: where snapshots are copied to and fetched from when the folder has none:
            the URL of any fsspec file system, `s3://bucket/library` for one.
        snapshot_every_videos: whichever comes first.
        snapshot_every_seconds: whichever comes first.
        min_similarity: cosine above which two frames are a hit, in a log of 1,000 entries or
            fewer. Lower lets more heavily edited copies through, and more strangers that must be
            aligned. Chosen by the tables of `benchmarks/tuning/calibrate.py`, in
            docs/experiments.md.
        min_similarity_growth: how much more it is for each tenfold of the log: chance hits
            grow with it. Measured by `benchmarks/library/candidate_thresholds.py`.
        candidate_hits: searching frames with a hit that make a video a candidate. 1 finds more of
            the short copies and gives more candidates: of key frames, twice as many
            (docs/architecture.md).
        candidates: most videos that are aligned for one upload, those with most votes. A bound on
            the time of footage that everybody has; set by hand.
        min_score: segments that an aligner is less sure of are dropped: higher is surer and
            finds less. Chosen by `benchmarks/tuning/min_scores.py` on six sets of made copies;
            another aligner needs another one.
        aligner: a name in `models.all_aligners.ALIGNERS`.
        provider: what runs the aligner's network.
        engine_cache: a folder where TensorRT keeps what it builds.
        former_keys: what keys were called before; settings of then are still read.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    former_keys: ClassVar[dict[str, str]] = {
        "candidate_similarity": "min_similarity",
        "candidate_similarity_growth": "min_similarity_growth",
        "segment_rows": "run_rows",
        "least_score": "min_score",
    }

    shards: int = Field(default=1, ge=1, le=4096)
    code_bits: Bits = 4
    device: Literal["cpu", "cuda"] = "cpu"
    exact_rows: int = Field(default=50_000, ge=64)
    run_rows: int = Field(default=32_768, ge=1)
    keep_replaced: int = Field(default=100_000, ge=0)
    keep_versions: int = Field(default=16, ge=0)
    near_rows: int = Field(default=1536, ge=1)
    probes: int = Field(default=768, ge=1)
    search_frames: Literal["query", "key"] = "query"
    snapshot_folder: Path = Path("var/snapshots")
    snapshot_store: str | None = None
    snapshot_every_videos: int = Field(default=1000, ge=1)
    snapshot_every_seconds: float = Field(default=300.0, gt=0)
    min_similarity: float = Field(default=0.4, ge=-1, le=1)
    min_similarity_growth: float = Field(default=0.05, ge=0, le=0.5)
    candidate_hits: int = Field(default=2, ge=1)
    candidates: int = Field(default=100, ge=1)
    min_score: float = Field(default=0.55, ge=0, le=1)
    aligner: str = "pattern_detector"
    provider: Provider = "cpu"
    engine_cache: Path | None = None

    @field_validator("code_bits", mode="before")
    @classmethod
    def _number(cls, bits: object) -> object:
        """An environment variable is a text, which a literal number doesn't take."""
        return int(bits) if isinstance(bits, str) and bits.isdecimal() else bits

    @field_validator("aligner")
    @classmethod
    def _is_there(cls, name: str) -> str:
        if name not in ALIGNERS:
            raise ValueError(f"no such aligner; there are {', '.join(sorted(ALIGNERS))}")
        return name
