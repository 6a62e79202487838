"""The decoder's child processes: what they may use, how they die, and what that costs."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stream.decode.child import decode_video
from stream.decode.decoder import Decoder
from stream.decode.settings import DecodeSettings
from stream.errors import InternalError, TooLargeError, VideoTimeoutError
from tests.stream.videos import make_long_video, make_video, numbers_of

SIZE = 96


def _children(parent: int) -> set[int]:
    listed = Path(f"/proc/{parent}/task").glob("*/children")
    return {int(child) for file in listed for child in file.read_text().split()}


def _cpu_ticks(process: int) -> int:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0
    return int(fields[11]) + int(fields[12])


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _spooling_child(parent: int, spools: Path, before: set[int]) -> int:
    """The child process that has begun to write frames, once there is one."""
    for _ in range(600):
        new = [child for child in _children(parent) - before if _cpu_ticks(child) > 20]
        if new and any(spool.stat().st_size for spool in spools.rglob("*.rgb")):
            return max(new, key=_cpu_ticks)
        time.sleep(0.05)
    raise AssertionError("no child began to work")


def _numbers(decoder: Decoder, path: Path) -> list[int]:
    with decoder.decode(path) as video:
        return numbers_of(video.frames)


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    return make_long_video(
        tmp_path / "slow.mp4", make_video(tmp_path / "short.mp4", count=250), seconds=3600
    )


@pytest.fixture
def spools(tmp_path: Path) -> Path:
    folder = tmp_path / "spools"
    folder.mkdir()
    return folder


def test_a_video_that_takes_too_long_ends_and_the_next_one_is_decoded(slow: Path) -> None:
    short = slow.with_name("short.mp4")
    with Decoder(
        DecodeSettings(processes=1, timeout_seconds=1, frames_per_second=1), SIZE
    ) as decoder:
        assert len(_numbers(decoder, short)) == 10
        with pytest.raises(VideoTimeoutError, match="decode.timeout_seconds = 1"):
            decoder.decode(slow)
        assert len(_numbers(decoder, short)) == 10


def test_a_wall_clock_that_jumps_ends_no_video(
    slow: Path, spools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, clock = _children(os.getpid()), time.time
    film = make_long_video(slow.with_name("film.mp4"), slow.with_name("short.mp4"), seconds=300)
    settings = DecodeSettings(processes=1, spool_folder=spools, frames_per_second=1)
    with ThreadPoolExecutor(1) as threads, Decoder(settings, SIZE) as decoder:
        work = threads.submit(decoder.decode, film)
        _spooling_child(os.getpid(), spools, before)
        monkeypatch.setattr(time, "time", lambda: clock() + 86400)
        with work.result() as video:
            assert len(video.frames) == 300


def test_a_child_that_is_killed_costs_one_video(slow: Path, spools: Path) -> None:
    before = _children(os.getpid())
    settings = DecodeSettings(processes=1, spool_folder=spools, frames_per_second=1)
    with ThreadPoolExecutor(1) as threads, Decoder(settings, SIZE) as decoder:
        work = threads.submit(decoder.decode, slow)
        child = _spooling_child(os.getpid(), spools, before)
        os.kill(child, signal.SIGKILL)
        with pytest.raises(InternalError, match="ended with status -9"):
            work.result()
        assert len(_numbers(decoder, slow.with_name("short.mp4"))) == 10


def test_a_child_that_is_killed_while_it_waits_costs_nothing(slow: Path) -> None:
    before = _children(os.getpid())
    short = slow.with_name("short.mp4")
    with Decoder(DecodeSettings(processes=1, frames_per_second=1), SIZE) as decoder:
        for _ in range(2):
            assert len(_numbers(decoder, short)) == 10
            for child in _children(os.getpid()) - before:
                os.kill(child, signal.SIGKILL)


def test_children_outlive_the_thread_that_started_them(slow: Path) -> None:
    before = _children(os.getpid())
    short = slow.with_name("short.mp4")
    with Decoder(DecodeSettings(processes=1, frames_per_second=1), SIZE) as decoder:
        with ThreadPoolExecutor(1) as threads:
            threads.submit(_numbers, decoder, short).result()
        children = _children(os.getpid()) - before
        assert len(_numbers(decoder, short)) == 10
        assert {child for child in children if _runs(child)} == children


def test_closing_ends_the_wait_for_a_video_that_is_at_work(slow: Path, spools: Path) -> None:
    before = _children(os.getpid())
    with ThreadPoolExecutor(1) as threads:
        with Decoder(
            DecodeSettings(processes=1, spool_folder=spools, frames_per_second=1), SIZE
        ) as decoder:
            work = threads.submit(decoder.decode, slow)
            child = _spooling_child(os.getpid(), spools, before)
        with pytest.raises(InternalError, match="decoding was cancelled"):
            work.result(timeout=20)
    assert not _runs(child)
    assert list(spools.rglob("*.rgb")) == []


def test_a_child_leaves_the_script_that_started_it_alone(slow: Path) -> None:
    """A script needs no `if __name__ == "__main__":` around what decodes."""
    script = slow.with_name("script.py")
    script.write_text(
        textwrap.dedent("""
            from pathlib import Path
            from stream.decode.decoder import Decoder
            from stream.decode.settings import DecodeSettings

            print("runs")
            with Decoder(DecodeSettings(processes=1, frames_per_second=1), 96) as decoder:
                with decoder.decode(Path(__file__).with_name("short.mp4")) as video:
                    print(len(video.frames))
        """)
    )
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    assert (run.stdout, run.returncode) == ("runs\n10\n", 0), run.stderr


def test_a_video_that_needs_more_memory_than_allowed_is_too_large(tmp_path: Path) -> None:
    path = make_video(
        tmp_path / "8k.mp4", codec="mjpeg", pixel_format="yuvj444p", count=2, size=(7680, 4320)
    )
    settings = DecodeSettings(processes=1, max_pixels=10**9, memory_bytes=256 * 2**20)
    roomy = DecodeSettings(processes=1, max_pixels=10**9)
    with Decoder(settings, 2048) as decoder, pytest.raises(TooLargeError, match="memory_bytes"):
        decoder.decode(path)
    with Decoder(roomy, 2048) as decoder, decoder.decode(path) as video:
        assert len(video.frames) == 1


def test_children_end_with_a_parent_that_is_killed(
    slow: Path, spools: Path, tmp_path: Path
) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        textwrap.dedent(f"""
            from pathlib import Path
            from stream.decode.decoder import Decoder
            from stream.decode.settings import DecodeSettings

            if __name__ == "__main__":
                settings = DecodeSettings(processes=1, spool_folder=Path({str(spools)!r}))
                Decoder(settings, {SIZE}).decode(Path({str(slow)!r}))
        """)
    )
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    parent = subprocess.Popen([sys.executable, script.as_posix()], env=environment)
    try:
        child = _spooling_child(parent.pid, spools, set())
    finally:
        parent.kill()
        parent.wait()
    for _ in range(100):
        if not _runs(child):
            return
        time.sleep(0.05)
    raise AssertionError(f"the child {child} outlives its parent")


def test_a_spool_has_no_name_once_it_is_read(tmp_path: Path, spools: Path) -> None:
    path = make_video(tmp_path / "video.mp4", count=30)
    with (
        Decoder(
            DecodeSettings(processes=1, spool_folder=spools, frames_per_second=1), SIZE
        ) as decoder,
        decoder.decode(path) as video,
    ):
        assert list(spools.rglob("*.rgb")) == []
        assert numbers_of(video.frames) == [0, 25]


def test_decoding_in_this_process_gives_the_same_as_in_a_child(
    tmp_path: Path,
) -> None:
    path = make_video(tmp_path / "video.mp4")
    settings = DecodeSettings(processes=1)
    spool = tmp_path / "spool"
    spool.touch()
    here = decode_video(path, spool, SIZE, settings)
    with Decoder(settings, SIZE) as decoder, decoder.decode(path) as video:
        assert here.seconds.tolist() == video.seconds.tolist()
        assert spool.read_bytes() == video.frames.tobytes()
