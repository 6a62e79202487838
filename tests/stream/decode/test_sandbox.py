"""A decoder's child keeps no secret, opens no socket, starts nothing and writes nowhere else."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from stream.decode.decoder import Decoder
from stream.decode.settings import DecodeSettings
from tests.stream.videos import make_video

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux has the means")


def _in_a_sandbox(code: str, folder: Path, **environment: str) -> str:
    script = "\n".join(
        [
            "from pathlib import Path",
            "import os, socket, subprocess, sys",
            "from stream.decode.sandbox import enter_sandbox",
            f"enter_sandbox(Path({folder.as_posix()!r}))",
            textwrap.dedent(code),
        ]
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": os.getcwd()} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_environment_is_forgotten(tmp_path: Path) -> None:
    said = _in_a_sandbox(
        """
        assert os.environ["PATH"]
        secrets = {"AWS_SECRET_ACCESS_KEY", "SAMESOURCE_KAFKA__SASL_PASSWORD"}
        print(sorted(set(os.environ) & secrets))
        """,
        tmp_path,
        AWS_SECRET_ACCESS_KEY="hidden",
        SAMESOURCE_KAFKA__SASL_PASSWORD="hidden",
    )
    assert said == "[]"


@linux
def test_so_is_the_kernels_copy_of_a_real_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
        from stream.decode.decoder import Decoder
        from stream.decode.settings import DecodeSettings
        from pathlib import Path
        import multiprocessing, sys
        if __name__ == "__main__":
            with Decoder(DecodeSettings(processes=1), 96) as decoder:
                decoder.decode(Path(sys.argv[1])).close()
                for child in multiprocessing.active_children():
                    print(b"hidden" in Path(f"/proc/{child.pid}/environ").read_bytes())
                    limits = Path(f"/proc/{child.pid}/limits").read_text()
                    print(limits.partition("Max file size")[2].split()[0])
    """
    script = tmp_path / "parent.py"
    script.write_text(textwrap.dedent(code))
    video = make_video(tmp_path / "video.mp4", count=10)
    done = subprocess.run(
        [sys.executable, script.as_posix(), video.as_posix()],
        env=os.environ | {"PYTHONPATH": os.getcwd(), "SECRET": "hidden"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.split() == ["False", str(DecodeSettings().spool_bytes)]


@linux
@pytest.mark.parametrize(
    "code",
    [
        "socket.socket()",
        "socket.socket(socket.AF_UNIX)",
        "subprocess.run(['/bin/true'])",
        "os.execv('/bin/true', ['true'])",
    ],
)
def test_no_socket_is_opened_and_nothing_started(tmp_path: Path, code: str) -> None:
    said = _in_a_sandbox(
        f"""
        try:
            {code}
        except PermissionError:
            print("refused")
        """,
        tmp_path,
    )
    assert said == "refused"


@linux
def test_spools_can_still_be_written(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.touch()
    _in_a_sandbox(f"Path({spool.as_posix()!r}).open('r+b').write(b'x')", tmp_path)
    assert spool.read_bytes() == b"x"


def test_a_decoder_decodes_in_it(tmp_path: Path) -> None:
    path = make_video(tmp_path / "video.mp4", count=50)
    settings = DecodeSettings(processes=1, frames_per_second=2)
    with Decoder(settings, 96) as decoder, decoder.decode(path) as video:
        assert len(video.frames) == 4
