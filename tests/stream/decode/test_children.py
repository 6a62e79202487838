"""The decoder's child processes: what they may use, how they die, and what that costs."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import resource_tracker
from pathlib import Path

import numpy as np
import pytest

from stream.decode.child import decode_video
from stream.decode.decoder import Decoder
from stream.decode.settings import DecodeSettings
from stream.errors import InternalError, TooLargeError, VideoTimeoutError
from tests.stream.child_processes import children_of, runs, spooling_child
from tests.stream.videos import make_long_video, make_video, numbers_of

SIZE = 96


@pytest.fixture(scope="module", autouse=True)
def tracker() -> None:
    """The interpreter's own child is there before any test: it's no decoder's, and isn't killed."""
    resource_tracker.ensure_running()


def _numbers(decoder: Decoder, path: Path) -> list[int]:
    with decoder.decode(path) as video:
        return numbers_of(video.frames)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds."""
    return make_video(tmp_path_factory.mktemp("videos") / "short.mp4", count=250)


@pytest.fixture(scope="module")
def slow(short: Path) -> Path:
    """An hour."""
    return make_long_video(short.with_name("slow.mp4"), short, seconds=3600)


@pytest.fixture
def spools(tmp_path: Path) -> Path:
    folder = tmp_path / "spools"
    folder.mkdir()
    return folder


def test_a_video_that_takes_too_long_ends_and_the_next_one_is_decoded(
    slow: Path, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roomy = DecodeSettings(processes=1, frames_per_second=1)
    hurried = roomy.model_copy(update={"timeout_seconds": 1})
    with Decoder(roomy, SIZE) as decoder:
        assert len(_numbers(decoder, short)) == 10
        # For this video alone: on a busy machine any other may take a second.
        with monkeypatch.context() as patch:
            patch.setattr(decoder, "_settings", hurried)
            with pytest.raises(VideoTimeoutError, match="decode.timeout_seconds = 1"):
                decoder.decode(slow)
        assert len(_numbers(decoder, short)) == 10


def test_a_wall_clock_that_jumps_ends_no_video(
    short: Path, spools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, clock = children_of(os.getpid()), time.time
    film = make_long_video(tmp_path / "film.mp4", short, seconds=300)
    settings = DecodeSettings(processes=1, spool_folder=spools, frames_per_second=1)
    with ThreadPoolExecutor(1) as threads, Decoder(settings, SIZE) as decoder:
        work = threads.submit(decoder.decode, film)
        spooling_child(os.getpid(), spools, before)
        monkeypatch.setattr(time, "time", lambda: clock() + 86400)
        with work.result() as video:
            assert len(video.frames) == 300


def test_a_child_that_is_killed_costs_one_try(short: Path, spools: Path, tmp_path: Path) -> None:
    before = children_of(os.getpid())
    film = make_long_video(tmp_path / "film.mp4", short, seconds=600)
    settings = DecodeSettings(processes=1, spool_folder=spools, frames_per_second=1)
    with ThreadPoolExecutor(1) as threads, Decoder(settings, SIZE) as decoder:
        work = threads.submit(decoder.decode, film)
        os.kill(spooling_child(os.getpid(), spools, before), signal.SIGKILL)
        with work.result() as video:
            assert len(video.frames) == 600


def test_two_children_that_are_killed_cost_one_video(slow: Path, short: Path, spools: Path) -> None:
    before = children_of(os.getpid())
    settings = DecodeSettings(processes=1, spool_folder=spools, frames_per_second=1)
    with ThreadPoolExecutor(1) as threads, Decoder(settings, SIZE) as decoder:
        work = threads.submit(decoder.decode, slow)
        for _ in range(2):
            child = spooling_child(os.getpid(), spools, before)
            os.kill(child, signal.SIGKILL)
            before.add(child)
        with pytest.raises(InternalError, match="ended with status -9"):
            work.result()
        assert len(_numbers(decoder, short)) == 10


def test_a_child_that_is_killed_while_it_waits_costs_nothing(short: Path) -> None:
    before = children_of(os.getpid())
    with Decoder(DecodeSettings(processes=1, frames_per_second=1), SIZE) as decoder:
        for _ in range(2):
            assert len(_numbers(decoder, short)) == 10
            for child in children_of(os.getpid()) - before:
                os.kill(child, signal.SIGKILL)


def test_children_outlive_the_thread_that_started_them(short: Path) -> None:
    before = children_of(os.getpid())
    with Decoder(DecodeSettings(processes=1, frames_per_second=1), SIZE) as decoder:
        with ThreadPoolExecutor(1) as threads:
            threads.submit(_numbers, decoder, short).result()
        children = children_of(os.getpid()) - before
        assert len(_numbers(decoder, short)) == 10
        assert {child for child in children if runs(child)} == children


def test_closing_ends_the_wait_for_a_video_that_is_at_work(slow: Path, spools: Path) -> None:
    before = children_of(os.getpid())
    with ThreadPoolExecutor(1) as threads:
        with Decoder(
            DecodeSettings(processes=1, spool_folder=spools, frames_per_second=1), SIZE
        ) as decoder:
            work = threads.submit(decoder.decode, slow)
            child = spooling_child(os.getpid(), spools, before)
        with pytest.raises(InternalError, match="decoding was cancelled"):
            work.result(timeout=20)
    assert not runs(child)
    assert list(spools.rglob("*.rgb")) == []


def test_a_child_leaves_the_script_that_started_it_alone(short: Path, tmp_path: Path) -> None:
    """A script needs no `if __name__ == "__main__":` around what decodes."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
            from pathlib import Path
            from stream.decode.decoder import Decoder
            from stream.decode.settings import DecodeSettings

            print("runs")
            with Decoder(DecodeSettings(processes=1, frames_per_second=1), 96) as decoder:
                with decoder.decode(Path({str(short)!r})) as video:
                    print(len(video.frames))
        """)
    )
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    assert (run.stdout, run.returncode) == ("runs\n10\n", 0), run.stderr


def test_a_video_that_needs_more_memory_than_allowed_is_too_large(tmp_path: Path) -> None:
    path = make_video(
        tmp_path / "8k.mp4",
        codec="mjpeg",
        pixel_format="yuvj444p",
        count=1,
        size=(7680, 4320),
        draw=lambda _, width, height: np.zeros((height, width, 3), np.uint8),
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
        child = spooling_child(parent.pid, spools, set())
    finally:
        parent.kill()
        parent.wait()
    for _ in range(100):
        if not runs(child):
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
