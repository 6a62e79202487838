"""What the local broker runs from: its jars, fetched once, and an archive of their classes.

Serves `local`. A JVM that reads its classes from an archive has neither to unpack nor to check
them, which is more than half of what a start costs.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

from stream.errors import BrokerError

# From the source tree: an installed package has no `kafka/` beside it and can't build a broker.
SOURCE = Path(__file__).resolve().parents[2] / "kafka" / "local"
FETCH_SECONDS = 900.0  # Maven, the first time, over whatever line there is


def fetch_jars() -> Path:
    """The folder with the broker's jars: fetched by Maven when the pom is new, else as it is.

    Raises:
        BrokerError: Maven is missing or can't fetch.
    """
    digest = hashlib.sha256((SOURCE / "pom.xml").read_bytes()).hexdigest()[:12]
    jars = SOURCE / "target" / f"jars-{digest}"
    if jars.is_dir():
        return jars
    partial = jars.with_name(f"{jars.name}-{uuid.uuid4().hex[:8]}")
    command = [tool("mvn"), "-q", "-B", "-ntp", f"-Djars.folder={partial}"]
    done = subprocess.run(
        [*command, "dependency:copy-dependencies"],
        cwd=SOURCE,
        capture_output=True,
        text=True,
        check=False,
        timeout=FETCH_SECONDS,
    )
    if done.returncode:
        shutil.rmtree(partial, ignore_errors=True)
        raise BrokerError(
            f"Maven couldn't fetch the jars of {SOURCE / 'pom.xml'}: "
            f"{done.stdout.strip()[-2000:]}. Check that Maven Central or your mirror can be reached"
        )
    # Named when all is there: of a fetch that was cut off nothing looks whole.
    try:
        partial.rename(jars)
    except OSError:  # another process was first
        shutil.rmtree(partial)
    return jars


def class_archive(java: str, jars: Path, practise: Callable[[str], None]) -> Path | None:
    """An archive of the classes that a broker loads: made when there is none for this Java here.

    Args:
        java: the program.
        jars: what `fetch_jars` returned.
        practise: runs a broker with one more option of the JVM, which writes the archive when the
            broker ends.

    Returns:
        The file, for `-XX:SharedArchiveFile`; none where this JVM writes none, or nobody may write
        beside the jars. A broker does without.
    """
    archive = jars.with_name(f"{jars.name}-{_mark(java, jars)}.jsa")
    if not archive.is_file():
        if not os.access(jars.parent, os.W_OK):
            return None
        with archive.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one process makes it, others wait for it
            if not archive.is_file():
                _make(archive, practise)
    return archive if archive.stat().st_size else None


def _make(archive: Path, practise: Callable[[str], None]) -> None:
    partial = archive.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    practise(f"-XX:ArchiveClassesAtExit={partial}")
    partial.touch()  # empty where this JVM knows no such option: it isn't asked again
    partial.rename(archive)


def _mark(java: str, jars: Path) -> str:
    """Tells apart what the JVM does: it refuses an archive of another build, or of moved jars."""
    program = Path(java).resolve()
    files = (program, *sorted(jars.glob("*.jar")))
    told = "".join(f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}\n" for file in files)
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def tool(name: str) -> str:
    """The path of a program.

    Raises:
        BrokerError: it isn't there; says what to install.
    """
    found = shutil.which(name)
    if found is None:
        raise BrokerError(
            f"`{name}` is not on the PATH: install Java 17 or newer and Maven "
            "(Debian: `apt-get install openjdk-17-jre-headless maven`), "
            "or use your own cluster by kafka.bootstrap_servers"
        )
    return found
