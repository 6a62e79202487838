"""The manifest of a snapshot: what it is of, a checksum of each file, and one of itself.

Serves the snapshots of shards and of search views.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from stream.errors import SnapshotError

MANIFEST = "manifest.json"
OWN_DIGEST = "manifest_sha256"


def write_manifest(folder: Path, fields: Mapping[str, Any]) -> None:
    """Write a manifest with a checksum of itself.

    Args:
        folder: of the snapshot.
        fields: JSON; `sha256` has the checksums of the files by name.
    """
    manifest = {**fields, OWN_DIGEST: _digest(fields)}
    (folder / MANIFEST).write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2))


def read_manifest(folder: Path, identity: Mapping[str, Any]) -> dict[str, Any]:
    """Read a manifest that is whole, and of ours; the files are the caller's to check.

    Args:
        folder: of the snapshot.
        identity: fields that must be as here: format, log, model.

    Raises:
        SnapshotError: its checksum differs, or it is of something else.
        OSError: it isn't there.
        ValueError: it is no JSON.
    """
    manifest: dict[str, Any] = orjson.loads((folder / MANIFEST).read_bytes())
    stated = manifest.pop(OWN_DIGEST, None)
    # Damage first: a flipped bit in a model's name must not be told as another model.
    if stated != _digest(manifest):
        raise SnapshotError(f"{folder / MANIFEST} is damaged: its checksum differs")
    for key, value in identity.items():
        if manifest.get(key) != value:
            raise SnapshotError(
                f"{folder} is foreign: its {key} is {manifest.get(key)!r}, ours {value!r}"
            )
    return manifest


def _digest(manifest: Mapping[str, Any]) -> str:
    # Sorted: the order of the keys is no part of what a manifest says.
    return hashlib.sha256(orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS)).hexdigest()
