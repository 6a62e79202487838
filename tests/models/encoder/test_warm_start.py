"""An exported encoder goes on as a torch network, or is refused by name."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from models.encoder.network import EncoderConfig, FrameNetwork
from models.encoder.serve import FrameEncoder, default_encoder_path
from models.encoder.warm_start import freeze_norms, load_exported
from models.errors import ModelFileError


def test_the_shipped_encoder_describes_alike_in_torch() -> None:
    network = FrameNetwork(EncoderConfig()).eval()
    load_exported(network, default_encoder_path())
    frames = np.random.default_rng(1).integers(0, 256, (3, 160, 160, 3), dtype=np.uint8)
    with torch.inference_mode():
        ours = network(torch.from_numpy(frames)).numpy()
    assert np.abs(ours - FrameEncoder(default_encoder_path()).encode(frames)).max() < 2e-3


def test_norms_that_are_folded_stay_in_training() -> None:
    network = FrameNetwork(EncoderConfig(stages=3, local_stage=1))
    network.train()
    freeze_norms(network)
    assert not network.stem_norm.training and network.stages.training


def test_a_missing_file_and_one_of_another_shape_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no encoder at"):
        load_exported(FrameNetwork(EncoderConfig()), tmp_path / "none.onnx")
    with pytest.raises(ModelFileError, match="head.weight is"):
        load_exported(FrameNetwork(EncoderConfig(dimension=64)), default_encoder_path())


def test_a_file_without_one_of_the_weights_is_refused(tmp_path: Path) -> None:
    model = onnx.load(str(default_encoder_path()))
    for tensor in model.graph.initializer:
        if "stages.2.0.expand.weight" in tensor.name and "bias" not in tensor.name:
            tensor.CopyFrom(numpy_helper.from_array(np.zeros(1, np.float32), "something"))
    onnx.save(model, str(tmp_path / "hollow.onnx"))
    with pytest.raises(ModelFileError, match=r"lacks stages\.2\.0\.expand\.weight"):
        load_exported(FrameNetwork(EncoderConfig()), tmp_path / "hollow.onnx")
