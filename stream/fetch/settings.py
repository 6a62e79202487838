"""Where videos may come from, and how big they may be."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

Scheme = Literal["file", "http", "https", "s3"]


class FetchSettings(BaseModel):
    """Which URIs are fetched.

    Attributes:
        schemes: that may be used at all.
        roots: folders that `file` URIs may point into; by default the working directory.
        hosts: of `http(s)` URIs; empty allows every host with a public address. A host that is
            named here may have a private one.
        private_addresses: whether every host may have a private, loopback or link-local address.
        buckets: of `s3` URIs; empty allows all that the credentials can read.
        s3_endpoint_url: of an S3-compatible store; credentials come from AWS's own variables
            and files.
        s3_anonymous: read public buckets without credentials.
        max_bytes: of one video; up to `worker.fetch_concurrency` of them are on disk at a time.
        timeout_seconds: for one video in all, retries included; 8 GiB take 29 MB a second.
        min_bytes_per_second: that a server must send, on the average of each window; 0 takes
            any. A video that plays at all has more: one that sends less holds a download's place.
        rate_window_seconds: from the request on; a video that is here sooner is never too slow.
            Long enough for a server that is slow to start.
        small_bytes: a download of more is large, and so is one whose server doesn't say; large ones
            leave some places of `worker.fetch_concurrency` to small ones. 16 MiB are about a minute
            of video, and come within `timeout_seconds` at 56 KB a second.
        retries: after a failure of the network or of the server.
        retry_wait_seconds: before the first retry; doubles with each: 3.5 s at the most for three.
        former_keys: what keys were called before; settings of then are still read.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    former_keys: ClassVar[dict[str, str]] = {"least_bytes_per_second": "min_bytes_per_second"}

    schemes: tuple[Scheme, ...] = ("file", "http", "https", "s3")
    roots: tuple[Path, ...] = ()
    hosts: tuple[str, ...] = ()
    private_addresses: bool = False
    buckets: tuple[str, ...] = ()
    s3_endpoint_url: str | None = None
    s3_anonymous: bool = False
    max_bytes: int = Field(default=8 * 2**30, ge=1)
    timeout_seconds: float = Field(default=300.0, gt=0)
    min_bytes_per_second: int = Field(default=32 * 1024, ge=0)
    rate_window_seconds: float = Field(default=20.0, gt=0)
    small_bytes: int = Field(default=16 * 2**20, ge=0)
    retries: int = Field(default=3, ge=0)
    retry_wait_seconds: float = Field(default=0.5, ge=0)
