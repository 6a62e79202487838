"""The pages' scripts have the types that their comments say: TypeScript looks at them.

The compiler comes from Maven, as the broker does, and runs on the Node that Playwright brings.
"""

import shutil
import subprocess
from pathlib import Path
from zipfile import ZipFile

import pytest
from playwright._impl._driver import compute_driver_executable

from tests.tools import not_installed

SCRIPTS = Path(__file__).parents[4] / "stream" / "console" / "web" / "static"
COMPILER = "org.webjars.npm:typescript:5.9.3"
# By Maven, which takes some seconds to say that it has it.
KEPT = Path.home() / ".m2/repository/org/webjars/npm/typescript/5.9.3/typescript-5.9.3.jar"
INSIDE = Path("META-INF/resources/webjars/typescript/5.9.3")
OPTIONS = (
    "--noEmit", "--allowJs", "--checkJs", "--strict", "--noUnusedLocals", "--noImplicitReturns",
    "--target", "es2022", "--module", "es2022", "--lib", "es2022,dom,dom.iterable",
)  # fmt: skip


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, archive = tmp_path_factory.mktemp("typescript"), KEPT
    if not archive.is_file():
        if shutil.which("mvn") is None:
            not_installed("maven")
        copy = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
        subprocess.run(
            ["mvn", "-q", "-B", copy, f"-Dartifact={COMPILER}", f"-DoutputDirectory={folder}"],
            cwd=folder,
            check=True,
        )
        (archive,) = folder.glob("*.jar")
    with ZipFile(archive) as jar:
        jar.extractall(folder)
    return folder / INSIDE / "lib" / "tsc.js"


def problems(compiler: Path, *scripts: Path) -> list[str]:
    node, _ = compute_driver_executable()
    done = subprocess.run(
        [node, compiler, *OPTIONS, *scripts], capture_output=True, text=True, check=False
    )
    assert bool(done.returncode) == bool(done.stdout), done.stderr
    return done.stdout.splitlines()


def test_scripts_have_the_types_that_they_say_and_one_that_has_not_is_told(
    compiler: Path, tmp_path: Path
) -> None:
    scripts = [path for path in sorted(SCRIPTS.glob("*.js")) if "@ts-check" in path.read_text()]
    assert len(scripts) >= 3
    wrong = tmp_path / "wrong.js"
    wrong.write_text(
        "/** @param {number} second */\nfunction wrongAt(second) {}\nwrongAt('two');\n"
    )
    (found,) = problems(compiler, *scripts, wrong)
    assert wrong.name in found and "TS2345" in found
