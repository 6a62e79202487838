"""The extra `gpu` is one set: one CUDA major, TensorRT 10, packages that exist together."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
GPU: list[str] = PROJECT["optional-dependencies"]["gpu"]
CPU_TWINS = ("onnxruntime", "faiss-cpu")  # the same modules as packages of the extra
CUDA = "12"
PATIENCE_SECONDS = 240
UNREACHABLE = re.compile(
    r"error sending request|Failed to fetch|dns error|timed out|not found in the package registry"
    r"|Connection refused|HTTP status",
    re.IGNORECASE,
)
# The package of TensorRT's libraries has its wheels, and so its metadata, elsewhere.
ELSEWHERE = """
[[dependency-metadata]]
name = "tensorrt-cu12-libs"
requires-dist = ["nvidia-cuda-runtime-cu12"]
"""


def resolved(requirements: list[str], folder: Path) -> dict[str, str]:
    """Version by package of what would be installed; by metadata, nothing is installed.

    Skips the test where the registry can't be reached.
    """
    asked, config = folder / "asked.in", folder / "uv.toml"
    asked.write_text("\n".join(requirements))
    config.write_text(ELSEWHERE)
    command = [sys.executable, "-m", "uv", "pip", "compile", str(asked), "--config-file"]
    command += [str(config), "--python-version", "3.11", "--no-header", "--no-annotate", "--quiet"]
    command += ["--python-platform", "x86_64-manylinux_2_28"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"the registry doesn't answer within {PATIENCE_SECONDS} seconds")
    if done.returncode and UNREACHABLE.search(done.stderr):
        pytest.skip(f"the registry can't be reached: {done.stderr.strip()[-300:]}")
    assert done.returncode == 0, done.stderr
    return dict(
        line.split("==", 1) for line in done.stdout.splitlines() if "==" in line and line[0] != "#"
    )


def test_the_extra_resolves_to_one_cuda_and_tensorrt_10(tmp_path: Path) -> None:
    base = [one for one in PROJECT["dependencies"] if not one.startswith(CPU_TWINS)]
    found = resolved([*base, *GPU], tmp_path)
    majors = {match[1] for name in found if (match := re.search(r"-cu(\d+)(?:-|$)", name))}
    assert majors == {CUDA}
    assert found["tensorrt-cu12"].split(".")[0] == "10"
    assert found["tensorrt-cu12"] == found["tensorrt-cu12-libs"]
    assert {"nvidia-cublas-cu12", "nvidia-cudnn-cu12", "nvidia-cuda-runtime-cu12"} <= found.keys()
    assert {"onnxruntime-gpu", "faiss-gpu"} <= found.keys()
    assert not set(CPU_TWINS) & found.keys()


def test_a_set_of_two_cuda_majors_would_be_noticed(tmp_path: Path) -> None:
    found = resolved(["faiss-gpu==1.15.*", "onnxruntime-gpu[cuda,cudnn]==1.31.*"], tmp_path)
    majors = {match[1] for name in found if (match := re.search(r"-cu(\d+)(?:-|$)", name))}
    assert majors == {"12", "13"}


def test_the_processors_packages_may_be_as_old_as_the_gpus() -> None:
    """The extra's ONNX Runtime is the older one: the code must not ask for more."""
    (base,) = (one for one in PROJECT["dependencies"] if one.startswith("onnxruntime"))
    (gpu,) = (one for one in GPU if one.startswith("onnxruntime-gpu"))
    assert base == "onnxruntime>=1.26" and "==1.26." in gpu
