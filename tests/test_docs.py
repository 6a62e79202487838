"""README and docs name files that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
FILE = re.compile(r"`((?:stream|models|benchmarks|configs|kafka|tests|docs)/[\w./-]+\.\w+)`")
MODULE = re.compile(r"python -m (benchmarks(?:\.\w+)+)")
SCRIPT = re.compile(r"\| `(\w+\.py)` \|$", re.MULTILINE)  # of README's table
PLACEHOLDER = re.compile(r"^(test_)?[A-Z]+\.(py|json|html)$")  # what the reader puts in


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_document_names_is_there(document: Path) -> None:
    text = document.read_text()
    named = [document.parent / link for link in LINK.findall(text)]
    named += [ROOT / file for file in FILE.findall(text)]
    named += [ROOT / f"{module.replace('.', '/')}.py" for module in MODULE.findall(text)]
    if document.name == "README.md":
        named += [ROOT / "benchmarks" / script for script in SCRIPT.findall(text)]
    missing = [str(path) for path in named if not path.exists()]
    assert not [path for path in missing if not PLACEHOLDER.search(Path(path).name)]
