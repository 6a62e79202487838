"""Servers that take their time, and disks that are full: who holds whom up, and what is said."""

import asyncio
import errno
import resource
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stream.contract.events import VideoUploaded
from stream.errors import RejectedError, VideoTimeoutError
from stream.fetch.copy import LimitedFile
from stream.fetch.fetch import DiskError, FetchSettings, fetch
from stream.fingerprint.fingerprinter import Fingerprinter
from stream.settings import load_settings
from tests.stream.videos import make_video
from tests.stream.web_server import Server, serving

LOOPBACK = FetchSettings(hosts=("127.0.0.1",), retries=1, retry_wait_seconds=0.01)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.mark.timed
@pytest.mark.parametrize("path", ["/slow", "/silent"])
def test_a_server_below_the_least_rate_is_tried_again_and_then_named(
    server: Server, tmp_path: Path, path: str
) -> None:
    settings = LOOPBACK.model_copy(
        update={"min_bytes_per_second": 1000, "rate_window_seconds": 0.3}
    )
    began = time.monotonic()
    with pytest.raises(
        VideoTimeoutError, match=r"127\.0\.0\.1 is too slow.*min_bytes_per_second.*tried 2 times"
    ):
        fetch(server.url(path), settings, tmp_path)
    assert time.monotonic() - began < 5
    assert server.requests[path] == 2
    assert list(tmp_path.iterdir()) == []


def test_a_small_video_is_taken_however_slow(server: Server, tmp_path: Path) -> None:
    settings = LOOPBACK.model_copy(update={"min_bytes_per_second": 10**9})
    with fetch(server.url("/slow_but_short"), settings, tmp_path) as copy:
        assert copy.path.read_bytes() == b"x" * 5


@pytest.mark.timed
def test_a_steady_server_is_not_too_slow(server: Server, tmp_path: Path) -> None:
    settings = LOOPBACK.model_copy(
        update={"min_bytes_per_second": 2, "rate_window_seconds": 1.0, "timeout_seconds": 2.0}
    )
    with pytest.raises(VideoTimeoutError, match="timeout_seconds = 2"):
        fetch(server.url("/slow"), settings, tmp_path)
    assert server.requests["/slow"] == 1


@pytest.mark.timed
def test_a_download_ends_when_the_worker_does(server: Server, tmp_path: Path) -> None:
    stop = threading.Event()
    timer = threading.Timer(0.3, stop.set)
    timer.start()
    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        fetch(server.url("/silent"), LOOPBACK, tmp_path, stop)
    timer.join()
    assert time.monotonic() - began < 3
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_ours_and_tried_no_further(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    monkeypatch.setattr("stream.fetch.fetch.LimitedFile", lambda _, *rest: LimitedFile(full, *rest))
    with pytest.raises(DiskError) as raised:
        fetch(server.url("/video"), LOOPBACK, tmp_path)
    assert raised.value.errno == errno.ENOSPC
    assert not isinstance(raised.value, RejectedError)
    assert server.requests["/video"] == 1


def test_a_disk_that_takes_a_part_and_then_no_more_is_noticed(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with LimitedFile(tmp_path / "a", 10**7) as file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
        try:
            with pytest.raises(DiskError):
                file.write(bytes(20_000))  # the first call of the system takes half
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert file.written == 10_000


@pytest.mark.timed
def test_slow_downloads_hold_no_slot_of_the_quick(server: Server, tmp_path: Path) -> None:
    quick = make_video(tmp_path / "quick.mp4", count=50)
    settings = load_settings(
        fetch={"roots": [str(tmp_path)], "hosts": ["127.0.0.1"]},
        decode={"processes": 1},
        worker={"fingerprint_concurrency": 1},
    )
    with (
        ThreadPoolExecutor(5) as threads,
        Fingerprinter(settings, embed=False) as fingerprinter,
    ):

        def run(uri: str) -> object:
            upload = VideoUploaded.model_validate({"video_id": "v", "uri": uri, "owner_id": "o"})
            return fingerprinter.fingerprint(upload, "request")

        slow = [threads.submit(run, server.url("/silent")) for _ in range(4)]
        while server.requests["/silent"] < len(slow):
            time.sleep(0.01)
        assert threads.submit(run, quick.as_uri()).result(timeout=60)
        assert not any(each.done() for each in slow)
        fingerprinter.close()
        for each in slow:
            with pytest.raises(asyncio.CancelledError):
                each.result(timeout=10)
