"""The extra `gpu` is one set: one CUDA major, TensorRT 10, packages that fit what is locked.

Resolved from what those packages are published with, written down here: a test that asked the
registry would turn red by somebody's release.
"""

import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
GPU: list[str] = PROJECT["optional-dependencies"]["gpu"]
CPU_TWINS = ("onnxruntime", "faiss-cpu")  # the same modules as packages of the extra
CUDA = "12"
PYTHON = {"python_full_version": "3.11.0", "python_version": "3.11"}
PUBLISHED: Mapping[str, Sequence[str]] = {
    "faiss-gpu==1.15.1": (
        "numpy>=1.25",
        "packaging",
        "nvidia-cuda-runtime-cu12<13,>=12.6",
        "nvidia-cublas-cu12<13,>=12.6",
        "nvidia-curand-cu12<11,>=10.3.7",
    ),
    "onnxruntime-gpu==1.26.0": (
        "flatbuffers",
        "numpy>=1.21.6",
        "packaging",
        "protobuf",
        "nvidia-cuda-nvrtc-cu12~=12.0; extra == 'cuda'",
        "nvidia-cuda-runtime-cu12~=12.0; extra == 'cuda'",
        "nvidia-cufft-cu12~=11.0; extra == 'cuda'",
        "nvidia-curand-cu12~=10.0; extra == 'cuda'",
        "nvidia-cudnn-cu12~=9.0; extra == 'cudnn'",
    ),
    "onnxruntime-gpu==1.31.1": (
        "flatbuffers",
        "numpy>=1.21.6",
        "packaging",
        "protobuf>=4.25.8",
        "nvidia-cuda-nvrtc~=13.0; extra == 'cuda'",
        "nvidia-cuda-runtime~=13.0; extra == 'cuda'",
        "nvidia-cufft~=12.0; extra == 'cuda'",
        "nvidia-curand~=10.0; extra == 'cuda'",
        "nvidia-cudnn-cu13~=9.0; extra == 'cudnn'",
    ),
    "tensorrt-cu12==10.16.1.11": (
        "tensorrt-cu12-libs==10.16.1.11",
        "tensorrt-cu12-bindings==10.16.1.11",
    ),
    "tensorrt-cu12-bindings==10.16.1.11": (),
    "tensorrt-cu12-libs==10.16.1.11": ("nvidia-cuda-runtime-cu12",),
    "nvidia-cublas-cu12==12.9.3.13": ("nvidia-cuda-nvrtc-cu12",),
    "nvidia-cuda-nvrtc-cu12==12.9.86": (),
    "nvidia-cuda-runtime-cu12==12.9.79": (),
    "nvidia-cudnn-cu12==9.28.0.42": ("nvidia-cublas-cu12",),
    "nvidia-cufft-cu12==11.4.1.4": ("nvidia-nvjitlink-cu12",),
    "nvidia-curand-cu12==10.3.10.19": (),
    "nvidia-nvjitlink-cu12==12.9.86": (),
    "nvidia-cublas==13.10.0.20": ("nvidia-cuda-nvrtc",),
    "nvidia-cuda-nvrtc==13.5.37": (),
    "nvidia-cuda-runtime==13.5.37": (),
    "nvidia-cudnn-cu13==9.28.1.4": ("nvidia-cublas",),
    "nvidia-cufft==12.5.0.14": ("nvidia-nvjitlink",),
    "nvidia-curand==10.4.5.25": (),
    "nvidia-nvjitlink==13.5.37": (),
}
"""What packages of the extra, and newer ones that don't fit it, ask for, by name and version."""


def locked() -> list[str]:
    """Name and version of what the image installs, which fit each other."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    found = [Requirement(line.rstrip("\\ ")) for line in lines if re.match(r"[a-z0-9]", line)]
    there = [each for each in found if each.marker is None or each.marker.evaluate(PYTHON)]
    return [f"{each.name}{each.specifier}" for each in there]


def put_wheel(folder: Path, package: str, requirements: Sequence[str]) -> None:
    """Write a wheel that holds nothing but what it asks for."""
    name, version = package.split("==")
    stem = f"{name.replace('-', '_')}-{version}"
    extras = {found for each in requirements for found in re.findall(r"extra == '(\w+)'", each)}
    told = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    told += [f"Provides-Extra: {extra}" for extra in sorted(extras)]
    told += [f"Requires-Dist: {each}" for each in requirements]
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{stem}.dist-info/METADATA", "\n".join(told) + "\n")
        wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{stem}.dist-info/RECORD", "")


def resolved(requirements: list[str], folder: Path) -> dict[str, str]:
    """Version by package of what would be installed, of what is locked and what is published."""
    asked, wheels = folder / "asked.in", folder / "wheels"
    asked.write_text("\n".join(requirements))
    wheels.mkdir()
    for package, its_requirements in {**dict.fromkeys(locked(), ()), **PUBLISHED}.items():
        put_wheel(wheels, package, its_requirements)
    command = [sys.executable, "-m", "uv", "pip", "compile", str(asked), "--no-config", "--offline"]
    command += ["--no-index", "--find-links", str(wheels), "--cache-dir", str(folder / "cache")]
    command += ["--python-version", "3.11", "--no-header", "--no-annotate", "--quiet"]
    command += ["--python-platform", "x86_64-manylinux_2_28"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(
        line.split("==", 1) for line in done.stdout.splitlines() if "==" in line and line[0] != "#"
    )


def majors_of(found: Mapping[str, str]) -> set[str]:
    """CUDA's majors, by the names of the packages that are built for them."""
    return {match[1] for name in found if (match := re.search(r"-cu(\d+)(?:-|$)", name))}


def test_the_extra_resolves_to_one_cuda_and_tensorrt_10(tmp_path: Path) -> None:
    base = [one for one in PROJECT["dependencies"] if not one.startswith(CPU_TWINS)]
    found = resolved([*base, *GPU], tmp_path)
    assert majors_of(found) == {CUDA}
    assert found["tensorrt-cu12"].split(".")[0] == "10"
    assert found["tensorrt-cu12"] == found["tensorrt-cu12-libs"]
    assert {"nvidia-cublas-cu12", "nvidia-cudnn-cu12", "nvidia-cuda-runtime-cu12"} <= found.keys()
    assert {"onnxruntime-gpu", "faiss-gpu"} <= found.keys()
    assert not set(CPU_TWINS) & found.keys()


def test_what_the_extra_names_admits_no_other_cuda_or_tensorrt() -> None:
    ranges = {each.name: each.specifier for each in map(Requirement, GPU)}
    # faiss-gpu is built for CUDA 12 alone, onnxruntime-gpu for 13 from 1.27 on.
    for name, fits, newer in (
        ("faiss-gpu", "1.15.1", ("1.14.0", "1.16.0", "2.0")),
        ("onnxruntime-gpu", "1.26.0", ("1.25.9", "1.27.0", "1.31.1")),
        ("tensorrt-cu12", "10.16.1.11", ("9.3", "10.8", "11.0")),
    ):
        assert ranges[name].contains(fits), name
        assert not [version for version in newer if ranges[name].contains(version)], name


def test_a_set_of_two_cuda_majors_would_be_noticed(tmp_path: Path) -> None:
    found = resolved(["faiss-gpu==1.15.*", "onnxruntime-gpu[cuda,cudnn]==1.31.*"], tmp_path)
    assert majors_of(found) == {"12", "13"}


def test_the_processors_packages_may_be_as_old_as_the_gpus() -> None:
    """The extra's ONNX Runtime is the older one: the code must not ask for more."""
    (base,) = (one for one in PROJECT["dependencies"] if one.startswith("onnxruntime"))
    (gpu,) = (one for one in GPU if one.startswith("onnxruntime-gpu"))
    assert base == "onnxruntime>=1.26" and "==1.26." in gpu
