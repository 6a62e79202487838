"""stub; being written"""
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class FetchSettings(BaseModel):
    """Where videos may come from, and how big they may be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schemes: tuple[str, ...] = ("file", "http", "https", "s3")
    roots: tuple[Path, ...] = ()
    hosts: tuple[str, ...] = ()
    private_addresses: bool = False
    max_bytes: int = Field(default=8 * 2**30, ge=1)
    timeout_seconds: float = Field(default=300.0, gt=0)
