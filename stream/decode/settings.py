"""Limits and sampling of the decoder."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class DecodeSettings(BaseModel):
    """What one child process may use, and how densely it samples.

    `frames_per_second` is the rate of the candidate frames; the key-frame selector chooses
    among them.

    Attributes:
        motion_frames_per_second: frames that are decoded at least, for cuts and motion: fewer are
            cheaper, and the motion tells less (docs/experiments.md, "Samples a second").
        tolerance_seconds: a codec key frame this near to a sampling time stands for it; at most
            a quarter of the sampling distance is used.
        repeat_gap_seconds: a sample that repeats the one before it is left out, until this much
            time has passed: a still picture of three hours is small.
        skip_loop_filter: of the codec, on frames that no other refers to ("noref"), on all, or as
            the codec does by default. "all" is cheaper, and some descriptors suffer.
        processes: child processes, one video each.
        videos_per_process: a child is replaced after so many, so that what a codec leaks ends with
            it. Set by hand.
        timeout_seconds: wall-clock limit of one video. Set by hand, as the limits below.
        memory_bytes: what a child may take on top of its own start. Less refuses large frames.
        max_pixels: width times height of a frame; what decoding takes grows with it.
        spool_bytes: what decoded frames of one video may take on disk.
        min_readable_share: of the stated duration; less is a truncated video. Lower lets broken
            downloads through as whole videos, higher refuses what can still be compared.
        spool_folder: where decoded frames lie until they are encoded; by default the system's
            folder for temporary files.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    frames_per_second: float = Field(default=1.0, gt=0, le=30)
    motion_frames_per_second: float = Field(default=2.0, ge=0, le=30)
    tolerance_seconds: float = Field(default=0.1, ge=0)
    repeat_gap_seconds: float = Field(default=5.0, ge=0)
    skip_loop_filter: Literal["default", "noref", "all"] = "noref"
    processes: int = Field(default=2, ge=1)
    videos_per_process: int = Field(default=50, ge=1)
    timeout_seconds: float = Field(default=600.0, gt=0)
    memory_bytes: int = Field(default=2 * 2**30, ge=256 * 2**20)
    max_pixels: int = Field(default=4096 * 2304, ge=1)
    max_duration_seconds: float = Field(default=12 * 3600.0, gt=0)
    spool_bytes: int = Field(default=16 * 2**30, ge=2**20)
    min_readable_share: float = Field(default=0.5, ge=0, le=1)
    spool_folder: Path | None = None
