"""Memory that is short is ours, not the video's: fewer at once, and nobody is refused for it."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pebble import ProcessExpired

from stream.decode import decoder as decoder_module
from stream.decode.decoder import MAX_KILLS, Decoder
from stream.decode.room import Room
from stream.decode.settings import DecodeSettings
from stream.errors import InternalError
from tests.stream.videos import make_video

SIZE = 128
GROUPS = Path("/sys/fs/cgroup/memory")
DECODE_ALL = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from stream.decode.decoder import Decoder
from stream.decode.room import oom_kills
from stream.decode.settings import DecodeSettings

def frames(path):
    with decoder.decode(path) as video:
        return len(video.frames)

before, paths = oom_kills(), [Path(path) for path in sys.argv[1:]]
settings = DecodeSettings(processes=len(paths))
with Decoder(settings, 128) as decoder, ThreadPoolExecutor(len(paths)) as pool:
    print(json.dumps([list(pool.map(frames, paths)), oom_kills() - before]))
"""


class ShortMemory:
    """A control group of processes that has so much memory; the kernel kills those beyond it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def decode(self, paths: list[Path], limit: int) -> tuple[list[int], int]:
        """How many frames each video has, all of them at once, and how many were killed for it."""
        self._write("memory.limit_in_bytes", limit)
        self._write("memory.max_usage_in_bytes", 0)
        into = f'echo $$ > {self._folder / "cgroup.procs"}; exec "$@"'
        command = [sys.executable, "-c", DECODE_ALL, *map(str, paths)]
        done = subprocess.run(
            ["sh", "-c", into, "sh", *command],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        frames, kills = json.loads(done.stdout)
        return frames, kills

    @property
    def peak(self) -> int:
        """Bytes that the last run has had."""
        return int((self._folder / "memory.max_usage_in_bytes").read_text())

    def _write(self, name: str, value: int) -> None:
        (self._folder / name).write_text(str(value))


@pytest.fixture
def short_memory(tmp_path: Path) -> Iterator[ShortMemory]:
    folder = GROUPS / f"samesource-{tmp_path.name}"
    if not GROUPS.is_dir():
        pytest.skip("no memory groups of the first version")
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no right to make a group of processes: {error}")
    yield ShortMemory(folder)
    deadline = time.monotonic() + 20
    while True:  # the last of its processes may still be on its way out
        try:
            folder.rmdir()
            return
        except OSError:
            assert time.monotonic() < deadline, (folder / "cgroup.procs").read_text()
            time.sleep(0.05)


@pytest.mark.timeout(300)
def test_videos_that_memory_holds_one_by_one_are_all_decoded(
    short_memory: ShortMemory, tmp_path: Path
) -> None:
    path = make_video(tmp_path / "large.mp4", count=60, size=(2560, 1440))
    assert short_memory.decode([path], 2**30) == ([3], 0)
    # What one takes, and a little: idle children that stayed would be too much.
    frames, kills = short_memory.decode([path] * 3, int(1.15 * short_memory.peak))
    assert frames == [3, 3, 3]
    assert kills > 0


class Kernel:
    """Kills the child of some tries, and counts them as the kernel does."""

    def __init__(self, decoder: Decoder, monkeypatch: pytest.MonkeyPatch, kills: int) -> None:
        self.kills, self.left = 0, kills
        self._schedule = decoder._schedule
        monkeypatch.setattr(decoder, "_schedule", self.schedule)
        monkeypatch.setattr(decoder_module, "oom_kills", lambda: self.kills)

    def schedule(self, *args: object) -> object:
        """In the place of the decoder's own."""
        if self.left == 0:
            return self._schedule(*args)  # type: ignore[arg-type]
        self.left -= 1
        self.kills += 1
        raise ProcessExpired("killed", code=-9)  # type: ignore[no-untyped-call]


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    def at_once(room: Room, turn: object, needed: int, pause_seconds: float) -> bool:
        return False

    monkeypatch.setattr(Room, "wait", at_once)


@pytest.mark.usefixtures("no_pauses")
def test_a_video_that_is_killed_alone_again_and_again_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_video(tmp_path / "video.mp4", count=30)
    with Decoder(DecodeSettings(processes=2, frames_per_second=2), SIZE) as decoder:
        kernel = Kernel(decoder, monkeypatch, MAX_KILLS)  # the first not alone
        with decoder.decode(path) as video:
            assert len(video.frames) == 3
        kernel.left = MAX_KILLS + 1
        with pytest.raises(InternalError, match="out of memory"):
            decoder.decode(path)


@pytest.mark.usefixtures("no_pauses")
def test_after_a_while_one_more_is_decoded_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_video(tmp_path / "video.mp4", count=30)
    with Decoder(DecodeSettings(processes=3), SIZE) as decoder:
        Kernel(decoder, monkeypatch, 1)
        decoder.decode(path).close()
        assert decoder._processes == 1
        monkeypatch.setattr(decoder_module, "REGAIN_SECONDS", 0.0)
        decoder._regained_at = 0.0
        with ThreadPoolExecutor(3) as pool:  # none is lost while children change
            for video in pool.map(decoder.decode, [path] * 6):
                video.close()
        assert decoder._processes == 3
    assert not [one for one in threading.enumerate() if one.name == "former children"]
