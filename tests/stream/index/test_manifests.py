"""A manifest: whole and of ours, or an error that says which of the two it isn't."""

from pathlib import Path

import pytest

from stream.errors import SnapshotError
from stream.index.manifests import MANIFEST, read_manifest, write_manifest

FIELDS = {"format": 3, "log_id": "here", "sha256": {"a.npy": "00"}, "written_at": 1.5}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_manifest(tmp_path, FIELDS)
    assert read_manifest(tmp_path, {"format": 3, "log_id": "here"}) == FIELDS


@pytest.mark.parametrize("part", ["here", "1.5", "00"])
def test_a_changed_manifest_is_damaged(tmp_path: Path, part: str) -> None:
    write_manifest(tmp_path, FIELDS)
    file = tmp_path / MANIFEST
    file.write_text(file.read_text().replace(part, part[::-1], 1).replace('"00"', '"01"'))
    with pytest.raises(SnapshotError, match="damaged: its checksum differs"):
        read_manifest(tmp_path, {})


def test_one_of_something_else_is_foreign_and_says_how(tmp_path: Path) -> None:
    write_manifest(tmp_path, FIELDS)
    with pytest.raises(SnapshotError, match="foreign: its log_id is 'here', ours 'there'"):
        read_manifest(tmp_path, {"format": 3, "log_id": "there"})


def test_what_is_no_manifest_is_for_the_caller_to_tell(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=MANIFEST):
        read_manifest(tmp_path, {})
    (tmp_path / MANIFEST).write_bytes(b"{")
    with pytest.raises(ValueError, match="unexpected end of data"):
        read_manifest(tmp_path, {})
