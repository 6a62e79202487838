"""Limits and sampling of the decoder."""

from pydantic import BaseModel, ConfigDict, Field


class DecodeSettings(BaseModel):
    """What one child process may use, and how densely it samples.

    `frames_per_second` is the rate of the candidate frames; the key-frame selector chooses
    among them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    frames_per_second: float = Field(default=1.0, gt=0, le=30)
    processes: int = Field(default=2, ge=1)
    timeout_seconds: float = Field(default=600.0, gt=0)
    memory_bytes: int = Field(default=2 * 2**30, ge=256 * 2**20)
    max_pixels: int = Field(default=4096 * 2304, ge=1)
    max_duration_seconds: float = Field(default=12 * 3600.0, gt=0)
