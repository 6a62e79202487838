"""Disk space: bounded before anything is written, and waited for where it is short."""

import errno
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

import stream.fingerprint.fingerprinter
from stream.contract.events import VideoUploaded
from stream.decode.child import decode_video
from stream.decode.decoder import Decoder
from stream.decode.room import ALONE, CrowdedError, NoRoomError, Room, is_shortage
from stream.decode.settings import DecodeSettings
from stream.decode.spool import PreviewSpool, spool_shares
from stream.errors import TooLargeError
from stream.fetch.fetch import FetchedVideo
from stream.fingerprint.fingerprinter import Fingerprinter
from stream.settings import Settings
from tests.stream.videos import make_video, numbered

SIZE, PREVIEW = 128, 256
MIB = 2**20


class Disk:
    """Free space that a test sets."""

    def __init__(self, free: int) -> None:
        self.free = free

    def __call__(self, folder: Path) -> int:
        """The same for every folder."""
        return self.free


def _waiting(room: Room, needed: int, *, tried_alone: bool = False) -> "threading.Thread":
    def wait() -> None:
        with room.enter() as turn:
            turn.reserve = not tried_alone
            turn.wait(needed)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def _ends(thread: threading.Thread, within: float = 20) -> bool:
    thread.join(within)
    return not thread.is_alive()


def test_a_video_waits_until_as_much_as_it_may_need_is_free(tmp_path: Path) -> None:
    disk = Disk(10 * MIB)
    room = Room(tmp_path, disk)
    with room.enter():  # another one is at work
        waits = _waiting(room, 20 * MIB)
        assert not _ends(waits, 1)
        disk.free = 30 * MIB
        assert _ends(waits)


def test_alone_it_may_try_with_less(tmp_path: Path) -> None:
    room = Room(tmp_path, Disk(0))
    with room.enter() as turn:
        turn.wait(20 * MIB)
        assert not turn.reserve


def test_who_takes_room_itself_leaves_where_there_was_none_though_it_was_alone(
    tmp_path: Path,
) -> None:
    room = Room(tmp_path, Disk(0))
    with room.enter() as turn:
        turn.wait(20 * MIB, or_leave=True)
        with pytest.raises(CrowdedError) as raised:
            turn.wait(20 * MIB, or_leave=True)
    assert raised.value.bytes == 20 * MIB


def test_a_small_one_passes_a_large_one_that_waits(tmp_path: Path) -> None:
    room = Room(tmp_path, Disk(10 * MIB))
    with room.enter():
        large = _waiting(room, 100 * MIB)
        small = _waiting(room, MIB)
        assert _ends(small)
        assert not _ends(large, 0.5)
    assert _ends(large)


def test_who_must_be_alone_waits_for_the_others(tmp_path: Path) -> None:
    room = Room(tmp_path, Disk(2**50))
    with room.enter():
        alone = _waiting(room, ALONE)
        assert not _ends(alone, 1)
    assert _ends(alone)


def test_nobody_waits_in_a_room_that_closes(tmp_path: Path) -> None:
    room = Room(tmp_path, Disk(0))
    with room.enter(), room.enter() as turn:
        threading.Timer(0.3, room.close).start()
        with pytest.raises(NoRoomError):
            turn.wait(MIB)


@pytest.mark.parametrize(
    ("number", "short"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EACCES, False)]
)
def test_a_shortage_is_told_from_other_errors(number: int, short: bool) -> None:
    assert is_shortage(OSError(number, "")) is short


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder.as_posix()]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no right to mount a small file system here")
    yield folder
    subprocess.run(["umount", folder.as_posix()], check=True)


def test_on_a_disk_that_is_nearly_full_all_are_decoded_the_short_ones_first(
    small_disk: Path, tmp_path: Path
) -> None:
    short = [make_video(tmp_path / f"short{index}.mp4", count=50) for index in range(6)]
    long = make_video(tmp_path / "long.mp4", count=1000)
    done: list[str] = []
    settings = DecodeSettings(processes=2, spool_folder=small_disk)
    with Decoder(settings, SIZE, PREVIEW) as decoder, ThreadPoolExecutor(7) as threads:

        def decode(path: Path) -> None:
            with decoder.decode(path) as video:
                assert len(video.frames)
                done.append(path.stem)

        waits = threads.submit(decode, long)
        for future in [threads.submit(decode, path) for path in short]:
            future.result(60)
        assert not waits.done()
        subprocess.run(["mount", "-o", "remount,size=64m", small_disk.as_posix()], check=True)
        waits.result(60)
    assert done[-1] == "long"
    assert list(small_disk.iterdir()) == []


def test_space_is_reserved_before_a_frame_is_decoded(small_disk: Path, tmp_path: Path) -> None:
    spool = small_disk / "spool"
    spool.touch()
    path = make_video(tmp_path / "video.mp4", count=1000)
    with pytest.raises(NoRoomError) as raised:
        decode_video(path, spool, SIZE, DecodeSettings(frames_per_second=2))
    assert raised.value.bytes == 80 * SIZE * SIZE * 3
    os.truncate(spool, 0)
    with pytest.raises(NoRoomError):
        decode_video(path, spool, SIZE, DecodeSettings(frames_per_second=2), reserve=False)


def test_what_a_video_may_need_is_known_and_limited_beforehand(tmp_path: Path) -> None:
    path = make_video(tmp_path / "video.mp4", count=1000)
    settings = DecodeSettings(processes=1, spool_bytes=2 * MIB, frames_per_second=2)
    with (
        Decoder(settings, SIZE) as decoder,
        pytest.raises(TooLargeError, match="decode.spool_bytes = 2097152"),
    ):
        decoder.decode(path)


def test_a_stream_without_times_is_stopped_at_the_limit(tmp_path: Path) -> None:
    path = make_video(tmp_path / "video.h264", count=300)
    settings = DecodeSettings(processes=1, spool_bytes=MIB, frames_per_second=25)
    with (
        Decoder(settings, SIZE) as decoder,
        pytest.raises(TooLargeError, match="decode.spool_bytes"),
    ):
        decoder.decode(path)


def test_the_spool_of_previews_counts_too(tmp_path: Path) -> None:
    preview = PreviewSpool(tmp_path, PREVIEW, 1.0, 4.0)
    assert spool_shares(20, 10.0, SIZE, None) == [20 * SIZE * SIZE * 3]
    assert spool_shares(20, 10.0, SIZE, preview)[1] == 11 * PREVIEW * PREVIEW * 3
    assert spool_shares(5, 10.0, SIZE, preview)[1] == 5 * PREVIEW * PREVIEW * 3


def test_a_spool_takes_no_more_room_than_its_frames(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.touch()
    still = make_video(tmp_path / "still.mp4", draw=lambda index, w, h: numbered(5, w, h))
    decoded = decode_video(still, spool, SIZE, DecodeSettings())
    assert spool.stat().st_size == len(decoded.seconds) * SIZE * SIZE * 3


def test_a_full_disk_for_what_is_fetched_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_video(tmp_path / "video.mp4", count=50)
    tries: list[Path] = []

    def fetch(uri: str, settings: object, folder: Path, *others: object) -> FetchedVideo:
        tries.append(folder)
        if len(tries) < 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return FetchedVideo(path, path.stat().st_size, is_copy=False)

    monkeypatch.setattr(stream.fingerprint.fingerprinter, "fetch", fetch)
    upload = VideoUploaded(video_id="v", uri=path.as_uri(), owner_id="o")
    began = time.monotonic()
    with Fingerprinter(Settings(), embed=False) as fingerprinter:
        made = fingerprinter.fingerprint(upload, "r").fingerprint
    assert made.duration_seconds == pytest.approx(2)
    assert len(tries) == 3
    assert time.monotonic() - began > 0.5
    assert not tries[0].exists()


def test_downloads_that_leave_no_room_for_frames_are_given_up_one_by_one(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_video(tmp_path / "video.mp4", count=500)
    monkeypatch.setattr(tempfile, "tempdir", small_disk.as_posix())
    both, tries = threading.Barrier(2), count(1)

    def fetch(uri: str, settings: object, folder: Path, *others: object) -> FetchedVideo:
        copy = folder / "video"
        shutil.copy(path, copy)
        (folder / "rest of it").write_bytes(bytes(1_400_000 - path.stat().st_size))
        if next(tries) <= 2:
            both.wait(60)
        return FetchedVideo(copy, 1_400_000, is_copy=True)

    monkeypatch.setattr(stream.fingerprint.fingerprinter, "fetch", fetch)
    upload = VideoUploaded(video_id="v", uri="https://example.org/v", owner_id="o")
    with (
        ThreadPoolExecutor(2) as threads,
        Fingerprinter(Settings(), embed=False) as fingerprinter,
    ):
        made = [threads.submit(fingerprinter.fingerprint, upload, "r") for _ in range(2)]
        for one in made:
            assert one.result(60).fingerprint.duration_seconds == pytest.approx(20)
    assert next(tries) <= 5, "one of them, hardly more than once"
    assert list(small_disk.iterdir()) == []
