"""Hashes of ids, the same on every machine: which shard keeps a video, and what stands for it."""

import hashlib

import orjson

from stream.contract.events import ContentVersion


def video_hash(video_id: str) -> int:
    """64 bits that stand for a video, the same on every machine."""
    return _hash(video_id.encode())


def version_hash(video_id: str, version: ContentVersion) -> int:
    """64 bits that stand for one version of a video."""
    # As JSON, where version 1 isn't version "1" and no id runs into its version.
    return _hash(orjson.dumps([video_id, version]))


def _hash(data: bytes) -> int:
    # Not Python's `hash`, which differs from process to process.
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


def shard_of(video_id: str, shards: int) -> int:
    """The shard that keeps a video: a stable hash, the same on every machine."""
    return video_hash(video_id) % shards
