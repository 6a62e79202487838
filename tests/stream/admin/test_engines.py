"""Engines are built ahead into the folder that the settings name, and checked against the CPU."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from typer.testing import CliRunner

from models.errors import ModelError
from models.runtime import Provider
from models.runtime.engines import Arrays, build, largest_difference
from stream.admin.engines import build_encoder
from stream.cli.app import app
from stream.errors import SettingsError
from stream.fingerprint.settings import EncoderSettings


def test_a_folder_must_be_named() -> None:
    with pytest.raises(SettingsError, match=r"encoder\.engine_cache is not set"):
        build_encoder(EncoderSettings())


@pytest.mark.skipif(
    "TensorrtExecutionProvider" in onnxruntime.get_available_providers(), reason="TensorRT is here"
)
def test_the_command_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMESOURCE_ENCODER__ENGINE_CACHE", str(tmp_path))
    result = CliRunner().invoke(app, ["export", "--runtime", "tensorrt"])
    assert result.exit_code != 0
    assert "tensorrt was asked for" in str(result.exception) + result.output


def test_the_runtime_goes_without_a_network(tmp_path: Path) -> None:
    arguments = ["export", "--runtime", "tensorrt", "detector", "--pictures", str(tmp_path)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code != 0
    assert "goes without detector" in str(result.exception) + result.output


def test_half_precision_that_differs_too_much_is_an_error() -> None:
    def answer(provider: Provider) -> Arrays:
        return [np.full(3, 0.5 if provider == "cpu" else 0.6)]

    with pytest.raises(ModelError, match=r"differs from the CPU by 0\.1"):
        build(answer)


def test_opened_twice_and_compared_once() -> None:
    asked: list[Provider] = []

    def answer(provider: Provider) -> Arrays:
        asked.append(provider)
        return [np.array([200.0 if provider == "cpu" else 202.0])]

    assert build(answer).difference == pytest.approx(0.01)
    assert asked == ["tensorrt", "tensorrt", "cpu"]
    assert largest_difference([np.array([np.nan])], [np.zeros(1)]) == float("inf")
