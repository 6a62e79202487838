"""How long somebody new takes from a clone to a verdict: `python -m benchmarks.newcomer`.

Clones this tree's last commit aside, runs README's `make demo CONSOLE=1`, opens the link that it
prints, plays both videos of the first alert, confirms it, and looks whether the queue has one
fewer. Nothing is installed beforehand; what was downloaded before may be in pip's cache. The exit
code is 1 where it takes more than three minutes.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import httpx2
import orjson
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.copies.tables import machine

ROOT = Path(__file__).parents[1]
AIM_SECONDS = 180.0
LINK = re.compile(r"open (http://127\.0\.0\.1:\d+)(/signin/\S+)")
ALERT = re.compile(r'href="(/alerts/[0-9a-f]{32})')
CSRF = re.compile(r'name="csrf" value="([^"]+)"')


def judge(site: str, sign_in: str) -> Iterator[str]:
    """Sign in, look at the first alert, and confirm it; names each step that is done.

    Raises:
        RuntimeError: a page isn't what it should be.
    """
    with httpx2.Client(base_url=site, follow_redirects=True, timeout=60) as browser:
        queue = browser.get(sign_in).raise_for_status().text
        alerts = set(ALERT.findall(queue))
        if not alerts:
            raise RuntimeError("the queue holds no alert")
        yield "the queue is there"
        alert = min(alerts)
        page = browser.get(alert).raise_for_status().text
        for side in ("video", "reference"):
            part = browser.get(f"{alert}/{side}/play", headers={"Range": "bytes=0-999"})
            if part.status_code != 206:
                raise RuntimeError(f"{side} doesn't play: {part.status_code}")
        yield "both videos play"
        token = CSRF.search(page)
        if token is None:
            raise RuntimeError("the alert's page has no form")
        said = {"csrf": token[1], "verdict": "confirmed"}
        browser.post(f"{alert}/verdict", data=said).raise_for_status()
        left = set(ALERT.findall(browser.get("/queue").raise_for_status().text))
        if left != alerts - {alert}:
            raise RuntimeError(f"{len(alerts)} alerts before the verdict, {len(left)} after it")
        yield "the verdict is given"


@contextmanager
def demo(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """`make demo CONSOLE=1` in a folder, ended as by Ctrl-C."""
    process = subprocess.Popen(
        ["make", "demo", "CONSOLE=1"],
        cwd=folder,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.communicate()


def steps() -> Iterator[tuple[str, float]]:
    """Each step with the seconds since the clone began.

    Raises:
        RuntimeError: one fails.
    """
    with tempfile.TemporaryDirectory(prefix="newcomer-") as aside:
        began, folder, link = time.monotonic(), Path(aside) / "samesource", None
        subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
        yield "cloned", time.monotonic() - began
        with demo(folder) as process:
            assert process.stdout is not None
            said: list[str] = []
            for line in process.stdout:
                said.append(line)
                link = link or LINK.search(line)
                if "The console goes on" in line:
                    break
            if link is None:
                raise RuntimeError(f"no link: {''.join(said[-20:])}")
            yield "the demo has its table", time.monotonic() - began
            for step in judge(link[1], link[2]):
                yield step, time.monotonic() - began


def main(json: Annotated[Path | None, typer.Option(help="Write the seconds here.")] = None) -> None:
    """Print when each step was done."""
    console, table, done = Console(), Table("done", "after, s"), list[tuple[str, float]]()
    try:
        for name, seconds in steps():
            done.append((name, seconds))
            table.add_row(name, f"{seconds:.1f}")
    except (RuntimeError, httpx2.HTTPError, subprocess.CalledProcessError) as error:
        console.print(table)
        console.print(f"error: {error}", markup=False, soft_wrap=True)
        sys.exit(1)
    console.print(table)
    if json is not None:
        json.write_bytes(orjson.dumps({"machine": machine(), "seconds": dict(done)}))
    sys.exit(done[-1][1] > AIM_SECONDS)


if __name__ == "__main__":
    typer.run(main)
