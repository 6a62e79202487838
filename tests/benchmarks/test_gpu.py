"""The GPU's benchmark says when there is none, and its comparisons fail when they should."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import onnx
import pytest

from benchmarks import gpu
from models.runtime.engines import largest_difference

ROOT = Path(__file__).resolve().parents[2]


def has_gpu() -> bool:
    try:
        return bool(gpu.gpu_names())
    except OSError:
        return False


without_gpu = pytest.mark.skipif(has_gpu(), reason="there is a GPU here")


@pytest.fixture
def brightness(tmp_path: Path) -> Path:
    """A network that gives each frame's mean value."""
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Cast", ["frames"], ["values"], to=onnx.TensorProto.FLOAT),
            onnx.helper.make_node("ReduceMean", ["values", "axes"], ["mean"], keepdims=0),
        ],
        "brightness",
        [onnx.helper.make_tensor_value_info("frames", onnx.TensorProto.UINT8, ["n", 16, 16, 3])],
        [onnx.helper.make_tensor_value_info("mean", onnx.TensorProto.FLOAT, ["n"])],
        [onnx.numpy_helper.from_array(np.array([1, 2, 3]), "axes")],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10
    )
    path = tmp_path / "brightness.onnx"
    onnx.save(model, str(path))
    return path


@without_gpu
def test_no_gpu_is_no_pass(tmp_path: Path) -> None:
    report = tmp_path / "gpu.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", "--json", str(report)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == gpu.NO_GPU, done.stderr
    assert "no GPU" in done.stdout and "this is no pass" in done.stdout
    assert not report.exists()


@without_gpu
def test_a_provider_without_a_gpu_is_a_failed_row(brightness: Path, tmp_path: Path) -> None:
    row = gpu.measure_network(brightness, "cuda", [2], tmp_path)
    assert "cuda was asked for" in row.error
    assert not row.passed and not row.rows_per_second


def test_the_cpu_agrees_with_itself(
    brightness: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "MIN_SECONDS", 0.01)
    row = gpu.measure_network(brightness, "cpu", [2, 8], tmp_path)
    assert row.passed and row.difference == 0
    assert min(row.rows_per_second.values()) > 0 and set(row.rows_per_second) == {2, 8}


def test_a_difference_above_the_bound_fails() -> None:
    ones = np.ones((2, 3), np.float32)
    assert largest_difference([ones * 1.5], [ones]) == pytest.approx(0.5)
    assert largest_difference([ones * 200], [ones * 100]) == pytest.approx(1.0)
    assert largest_difference([ones[:1]], [ones]) == float("inf")
    assert largest_difference([ones * np.nan], [ones]) == float("inf")
    assert not gpu.NetworkRow("encoder", "tensorrt", difference=0.04).passed
    assert gpu.NetworkRow("encoder", "tensorrt", difference=0.02).passed


def test_faiss_is_compared_score_by_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "MIN_SECONDS", 0.01)
    same = gpu.measure_faiss(500, 16, 4, to_gpu=faiss.clone_index)
    assert same.passed and same.gpu_queries_per_second > 0

    def one_row_lost(index: Any) -> Any:
        shorter = faiss.IndexFlatIP(index.d)
        best = int(index.search(gpu.whole_rows(4, 16, seed=2), 1)[1][0, 0])
        shorter.add(np.delete(gpu.whole_rows(500, 16, seed=1), best, axis=0))
        return shorter

    assert not gpu.measure_faiss(500, 16, 4, to_gpu=one_row_lost).passed


@without_gpu
def test_a_faiss_without_gpu_is_a_failed_row() -> None:
    row = gpu.measure_faiss(10, 16, 4)
    assert not row.passed and "install faiss-gpu" in row.error
