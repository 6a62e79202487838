"""The demo that goes on in a browser: by make, which a shell started in the background."""

import os
import re
import signal
import subprocess
import urllib.error
import urllib.request
from contextlib import suppress
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request

import pytest

from stream.demo.clips import make_demo_videos
from stream.demo.plan import Clip, Drawn, Plan
from tests.stream.command import SAMESOURCE

ROOT = Path(__file__).parents[3]
DEAF_TO_CTRL_C = ("sh", "-c", """trap '' INT; exec "$@" """, "sh")
SHOT = Drawn("skyline", 5, 12)


def test_it_prints_a_link_and_serves_until_it_is_stopped(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    # Of which the demo makes one copy, for an alert.
    make_demo_videos(videos, lambda drawn, of: None, Plan((Clip("film", (SHOT,)),), ()))
    # As `make demo` does it, with what is installed here. A signal to make alone ends it all.
    command = [*DEAF_TO_CTRL_C, "make", "--old-file=setup", "--old-file=.venv/serve.done",
               "demo", "CONSOLE=1", f"bin={SAMESOURCE.parent}", f"VIDEOS={videos}"]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        link = None
        for line in process.stdout:
            link = link or re.search(r"open (http://127\.0\.0\.1:\d+)(/signin/\S+)", line)
            if "The console goes on" in line:
                break
        assert link is not None
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        for path in ("/health/ready", "/api/v1/openapi.json"):
            assert opener.open(link[1] + path, timeout=10).status == 200
        with pytest.raises(urllib.error.HTTPError, match="401"):
            opener.open(f"{link[1]}/api/v1/alerts", timeout=10)
        for path in ("/queue", "/no-such-page"):
            stranger = opener.open(link[1] + path, timeout=10)
            assert urlsplit(stranger.url).path == "/signin"
        page = opener.open(link[1] + link[2], timeout=10).read().decode()
        assert "<h1>Queue</h1>" in page
        (alert,) = set(re.findall(r'href="(/alerts/[0-9a-f]{32})', page))
        for side in ("video", "reference"):
            part = Request(f"{link[1]}{alert}/{side}/play", headers={"Range": "bytes=100-1099"})
            answer = opener.open(part, timeout=10)
            assert answer.status == 206 and answer.headers["Content-Type"] == "video/mp4"
            assert len(answer.read()) == 1000
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=90)
        assert process.returncode == -signal.SIGTERM
        assert "nothing is left running" in out
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
