"""In CI, what isn't tried is no success: a skip fails, but for a few reasons that are right."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools import RIGHT_TO_SKIP

ROOT = Path(__file__).parents[1]
CONFTEST = "from tests.conftest import pytest_make_collect_report, pytest_runtest_makereport"
TESTS = """
import pytest

@pytest.fixture
def disk():
    pytest.skip("no right to mount a disk here")

def test_of_a_disk(disk): pass

@pytest.mark.skipif(True, reason="no Java here")
def test_of_java(): pass

@pytest.mark.skipif(True, reason="CUDA is here")
def test_without_a_gpu(): pass

@pytest.mark.xfail(reason="not yet")
def test_of_tomorrow(): assert False

def test_that_is_tried(): pass
"""
NEEDS_A_PACKAGE = "import pytest\npytest.importorskip('no_such_package')\ndef test(): pass"


@pytest.mark.parametrize(
    ("tools", "told"),
    [
        ("required", "1 passed, 2 skipped, 1 xfailed, 2 errors"),
        ("", "1 passed, 4 skipped, 1 xfailed"),
    ],
)
def test_a_skip_fails_where_everything_must_be_there(
    tools: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_TOOLS", tools)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)  # of whoever runs this one
    for name, text in {
        "conftest.py": CONFTEST, "test_some.py": TESTS, "test_needy.py": NEEDS_A_PACKAGE,
        "pytest.ini": "[pytest]",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    command.append("--continue-on-collection-errors")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert re.search(rf"^{told} in ", done.stdout, re.MULTILINE), done.stdout
    assert ("skipped with TEST_TOOLS=required: no Java here" in done.stdout) == bool(tools)


def test_every_reason_that_is_right_is_given_somewhere() -> None:
    texts = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    given = re.findall(r'''(?:reason=|skip\()\s*f?"([^"]+)"''', texts)
    for pattern, why in RIGHT_TO_SKIP.items():
        assert why and any(re.fullmatch(pattern, reason) for reason in given), pattern
