"""Snapshots in an object store: a shard whose folder is lost is restored from there."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import fsspec
import pytest
from moto.server import ThreadedMotoServer

from stream.errors import SnapshotError
from stream.library.settings import LibrarySettings
from stream.library.shard import LibraryShard
from stream.library.snapshot import SnapshotStore
from stream.library.upkeep import Upkeep
from tests.stream.library_log import content, fingerprint, look, shard

TINY: dict[str, Any] = {"exact_rows": 64, "run_rows": 40, "keep_replaced": 3}
COUNT = 12
LOG = [fingerprint(f"v{number}", look(number % 9)) for number in range(COUNT)]
PROBE = fingerprint("probe", look(4))


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """An S3 server on this machine with the bucket `library`."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
    client.create_bucket(Bucket="library")
    client.close()
    yield url
    server.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A place in the server's bucket, as AWS's variables name it."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
    }.items():
        monkeypatch.setenv(name, value)
    yield f"s3://library/{uuid.uuid4().hex}"
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.fixture(params=["memory", "file", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A place in each kind of store."""
    if request.param == "s3":
        yield request.getfixturevalue("bucket")
    elif request.param == "file":
        yield (tmp_path / "store").as_uri()
    else:
        yield "memory://library"
        fsspec.filesystem("memory").store.clear()


def settings(url: str, folder: Path) -> LibrarySettings:
    return LibrarySettings(snapshot_folder=folder, snapshot_store=url, **TINY)


def snapshots(url: str, folder: Path) -> SnapshotStore:
    return SnapshotStore(settings(url, folder), shard=0, log_id="log")


def served(url: str, folder: Path, *offsets: int) -> LibraryShard:
    """A shard that has read the log and saved itself at some offsets."""
    library = shard(**TINY)
    store = snapshots(url, folder)
    upkeep = Upkeep(store)
    for offset, event in enumerate(LOG):
        library.absorb(event, offset)
        upkeep.step(library.state, wait=True)
        if offset + 1 in offsets:
            store.save(library.state, offset + 1)
    upkeep.close()
    return library


def files(url: str, pattern: str) -> list[str]:
    system, root = fsspec.core.url_to_fs(url)
    return sorted(system.glob(f"{root}/shard-0-of-1/{pattern}"))


def flip(url: str, path: str) -> None:
    """Turn one bit of a file in the store over."""
    system, _ = fsspec.core.url_to_fs(url)
    data = bytearray(system.cat_file(path))
    data[len(data) // 2] ^= 1
    system.pipe_file(path, bytes(data))


def test_a_shard_whose_folder_is_lost_answers_as_before(url: str, tmp_path: Path) -> None:
    undisturbed = served(url, tmp_path / "a", 4, 7, 9, COUNT)
    expected = content(undisturbed.apply(PROBE, COUNT))
    shutil.rmtree(tmp_path / "a")
    found = snapshots(url, tmp_path / "a").load_latest()
    assert found is not None and found.next_offset == COUNT
    assert content(shard(found.state, **TINY).apply(PROBE, COUNT)) == expected
    assert expected["matches"]
    elsewhere = snapshots(url, tmp_path / "b").load_latest()
    assert elsewhere is not None and elsewhere.next_offset == COUNT


def test_the_store_keeps_two_and_only_the_runs_that_they_are_made_of(
    url: str, tmp_path: Path
) -> None:
    served(url, tmp_path, 3, 5, 9, COUNT)
    assert [path.split("/")[-2] for path in files(url, "*/manifest.json")] == [
        f"{9:020d}", f"{COUNT:020d}",
    ]  # fmt: skip
    local = {path.name for path in (tmp_path / "shard-0-of-1" / "segments").iterdir()}
    assert {path.split("/")[-2] for path in files(url, "segments/*/rows.npy")} == local


def test_a_flipped_byte_in_the_store_falls_back_to_the_one_before(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    served(url, tmp_path / "a", 7, COUNT)
    flip(url, files(url, "*/state.npz")[-1])
    found = snapshots(url, tmp_path / "b").load_latest()
    assert found is not None and found.next_offset == 7
    assert "passed over" in caplog.text and "is damaged" in caplog.text
    again = snapshots(url, tmp_path / "b").load_latest()
    assert again is not None and again.next_offset == 7


def test_a_flipped_byte_in_a_run_falls_back_to_what_is_made_without_it(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    served(url, tmp_path / "a", 1, COUNT)  # the first has all in its head
    flip(url, files(url, "segments/*/rows.npy")[0])
    found = snapshots(url, tmp_path / "b").load_latest()
    assert found is not None and found.next_offset == 1
    assert "rows.npy is damaged" in caplog.text


def test_a_small_shard_is_saved_many_times(url: str, tmp_path: Path) -> None:
    library = shard()
    for offset, event in enumerate(LOG[:5]):
        library.absorb(event, offset)
        snapshots(url, tmp_path / "a").save(library.state, offset + 1)
    found = snapshots(url, tmp_path / "b").load_latest()
    assert found is not None and found.next_offset == 5


def test_a_snapshot_whose_manifest_isnt_there_yet_is_not_seen(url: str, tmp_path: Path) -> None:
    served(url, tmp_path / "a", 7, COUNT)
    system, _ = fsspec.core.url_to_fs(url)
    system.rm_file(files(url, "*/manifest.json")[-1])
    found = snapshots(url, tmp_path / "b").load_latest()
    assert found is not None and found.next_offset == 7


def test_a_store_that_is_away_is_an_error_and_the_folder_is_used(
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    library = served(bucket, tmp_path, 7)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(fsspec.get_filesystem_class("s3"), "retries", 1)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(SnapshotError, match="can't be copied to s3://"):
        snapshots(bucket, tmp_path).save(library.state, COUNT)
    found = snapshots(bucket, tmp_path).load_latest()
    assert found is not None and found.next_offset == COUNT
    assert "can't be listed" in caplog.text
