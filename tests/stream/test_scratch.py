"""What a process needs for a while is gone after it, however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from stream.scratch import Scratch

KILLED = """
import os, signal, sys
from pathlib import Path
from stream.scratch import Scratch
scratch = Scratch(Path(sys.argv[1]))
(scratch.folder / "spool").write_bytes(bytes(1000))
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(root: Path) -> None:
    path = [str(Path(__file__).parents[2])]
    program = f"import sys; sys.path[:0] = {path}\n{KILLED}"
    done = subprocess.run([sys.executable, "-c", program, str(root)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL


def test_an_orderly_end_leaves_nothing(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    (scratch.folder / "spool").write_bytes(b"frames")
    assert scratch.folder == scratch.folder
    scratch.close()
    assert not list(tmp_path.iterdir())
    scratch.close()


def test_nothing_is_made_before_it_is_asked_for(tmp_path: Path) -> None:
    Scratch(tmp_path).close()
    assert not list(tmp_path.iterdir())


def test_the_next_process_clears_away_what_a_killed_one_left(tmp_path: Path) -> None:
    living, other = Scratch(tmp_path), tmp_path / "somebody-else.scratch"
    (living.folder / "spool").write_bytes(b"frames")
    other.mkdir()
    killed(tmp_path)
    killed(tmp_path)
    assert len(list(tmp_path.glob("samesource-*.scratch"))) == 2, "of the living and of one"
    after = Scratch(tmp_path)
    left = {after.folder, living.folder, other}
    assert set(tmp_path.glob("*.scratch")) == left
    assert (living.folder / "spool").read_bytes() == b"frames"
    after.close()
    living.close()
    assert list(tmp_path.iterdir()) == [other]


KEEPS = """
import os, signal
from pathlib import Path
from stream.console.web.media import Videos
from stream.console.web.playable import Playables
from stream.decode.settings import DecodeSettings
from stream.fetch.settings import FetchSettings
for held in (Videos(FetchSettings(), 0), Playables(DecodeSettings(), 0)):
    (held._folder / "copy").write_bytes(bytes(1000))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_copies_of_a_killed_console_are_cleared_by_the_next(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", KEEPS], env=environment, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.rglob("copy"))) == 2
    scratch = Scratch(tmp_path)
    assert scratch.folder.exists()
    assert not list(tmp_path.rglob("copy"))
    scratch.close()
    assert not list(tmp_path.iterdir())
