"""What `make` installs: one version of each, the image's among them, and all that is asked for."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
FREE = {"torch"}  # its builds for CPU and CUDA differ, and so does what they bring


def pinned(path: Path) -> dict[str, set[str]]:
    """Versions by package; several where they depend on the Python version."""
    found: dict[str, set[str]] = {}
    for line in path.read_text().splitlines():
        if re.match(r"[a-z0-9]", line):
            one = Requirement(line.rstrip("\\ ").split(" --hash")[0])
            [specifier] = one.specifier
            assert specifier.operator == "=="
            found.setdefault(canonicalize_name(one.name), set()).add(specifier.version)
    return found


def test_all_that_is_asked_for_is_constrained_to_a_version_that_fits() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *extras["train"], *extras["test"], *extras["bench"]]
    constrained = pinned(ROOT / "constraints.txt")
    for each in map(Requirement, asked):
        name = canonicalize_name(each.name)
        if name not in FREE:
            assert any(each.specifier.contains(one) for one in constrained[name]), each


def test_tests_run_with_what_the_image_installs() -> None:
    constrained, locked = (pinned(ROOT / name) for name in ("constraints.txt", "requirements.lock"))
    assert set(locked) - set(constrained) == {"setuptools"}  # builds the project in the image
    assert {name: locked[name] for name in set(locked) - {"setuptools"}} == {
        name: constrained[name] for name in set(locked) - {"setuptools"}
    }


def test_what_comes_with_a_build_of_torch_is_left_to_it() -> None:
    assert not [
        name
        for name in pinned(ROOT / "constraints.txt")
        if name in FREE or name.startswith(("nvidia-", "cuda-", "triton"))
    ]


def test_make_installs_nothing_without_them() -> None:
    makefile = (ROOT / "Makefile").read_text()
    installs = re.findall(
        r"^.*\bpip install\b.*$|^\t.*\$\(pip_install\).*$", makefile, re.MULTILINE
    )
    made = [line for line in installs if "pip install" in line and "$(pip_install)" not in line]
    assert len(installs) == 4 and len(made) == 1
    assert "--constraint constraints.txt" in made[0]
