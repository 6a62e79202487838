"""Encoders from outside: any ONNX or TorchScript file that maps pictures to vectors.

`open_encoder` gives them, or an encoder that this project exported, behind one interface.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from models.encoder.serve import (
    EncodedFrames,
    Encoder,
    FrameEncoder,
    Precision,
    check_frames,
    default_encoder_path,
)
from models.errors import ModelError, ModelFileError, ProviderError
from models.runtime import Provider, Span, open_session
from models.runtime.providers import file_digest

# (N, 3, S, S) float32 to (N, D), and to (N,) score biases where the file has them.
Run = Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32] | None]]
FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class OutsideSettings(BaseModel):
    """What a file from outside expects; it says nothing itself.

    Attributes:
        format: of the file.
        input_size: side of the square input in pixels.
        dimension: length of the vectors.
        mean: of each channel, subtracted from values in [0, 1]; ImageNet's by default.
        std: of each channel, by which they are divided then.
        output: the output that holds the vectors, in an ONNX file; the first when left out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["onnx", "torchscript"] = "onnx"
    input_size: int = Field(ge=16, le=1024)
    dimension: int = Field(ge=2, le=4096)
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    output: str | None = None


class OutsideEncoder:
    """A file from outside as an encoder. Thread-safe.

    Pictures go in as (N, 3, S, S) float32, (value / 255 - mean) / std; the vectors that come out
    are brought to unit length here. A vector without a direction (zero or not finite) becomes
    zeros, which resemble nothing.

    Attributes:
        model_version: the file's name and a hash of its content and of how it is fed.
        input_size: S, pixels.
        dimension: D.
    """

    def __init__(
        self,
        path: Path,
        settings: OutsideSettings,
        *,
        provider: Provider = "cpu",
        threads: int = 1,
        batch: int = 32,
        engine_cache: Path | None = None,
    ) -> None:
        """Load the file and try it on a picture.

        Raises:
            ModelFileError: missing, unreadable, or with other inputs or outputs than the settings
                say.
            ModelError: TorchScript without torch.
            ProviderError: the provider can't run here.
        """
        if not path.is_file():
            raise ModelFileError(
                f"encoder.path = {path}: no such file: name an ONNX or TorchScript file"
            )
        self.input_size, self.dimension = settings.input_size, settings.dimension
        self._mean = np.array(settings.mean, np.float32)[:, None, None] * 255
        self._std = np.array(settings.std, np.float32)[:, None, None] * 255
        if not (self._std > 0).all():
            raise ModelFileError(f"encoder.outside.std = {settings.std}: expected numbers above 0")
        self._batch = batch
        if settings.format == "onnx":
            self._run = _onnx(path, settings, provider, threads, batch, engine_cache)
        else:
            self._run = _torchscript(path, provider, threads)
        digest = file_digest(path, settings.model_dump_json().encode())
        self.model_version = f"{path.stem}-{digest[:8]}"
        self._try(path)

    def encode(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Descriptors alone; the rest is `describe`'s."""
        return self.describe(frames).descriptors

    def describe(self, frames: NDArray[np.uint8]) -> EncodedFrames:
        """Describe frames, a batch at a time.

        Args:
            frames: (N, S, S, 3) uint8 RGB, prepared by `models.video.frames.prepare`.

        Raises:
            ValueError: another shape or type.
        """
        check_frames(frames, self.input_size)
        descriptors = np.zeros((len(frames), self.dimension), np.float32)
        score_biases = np.zeros(len(frames), np.float32)
        for at in range(0, len(frames), self._batch):
            part = slice(at, at + self._batch)
            rows, biases = self._run(self._fed(frames[part]))
            descriptors[part] = _unit(rows)
            if biases is not None:
                score_biases[part] = biases
        return EncodedFrames(descriptors, score_biases)

    def _fed(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        planes = frames.transpose(0, 3, 1, 2).astype(np.float32)  # (N, 3, S, S)
        return np.ascontiguousarray((planes - self._mean) / self._std)

    def _try(self, path: Path) -> None:
        size = self.input_size
        # Two pictures: a file that makes one vector of all rows is seen here, not in service.
        picture = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
        try:
            rows, _ = self._run(self._fed(picture))
        except Exception as error:
            raise ModelFileError(
                f"{path} fails on (2, 3, {size}, {size}) float32: {error}: see "
                "encoder.outside.input_size"
            ) from error
        if rows.shape != (2, self.dimension):
            raise ModelFileError(
                f"{path} gives {rows.shape} for 2 frames, expected (2, {self.dimension}): set "
                "encoder.outside.dimension or encoder.outside.output"
            )
        if not np.isfinite(rows).all():
            raise ModelFileError(
                f"{path} gives values that aren't finite: see encoder.outside.mean and std"
            )


def open_encoder(
    path: Path | None,
    outside: OutsideSettings | None = None,
    *,
    provider: Provider = "cpu",
    threads: int = 1,
    batch: int = 32,
    engine_cache: Path | None = None,
    precision: Precision = "auto",
) -> Encoder:
    """The encoder that settings name.

    Args:
        path: the file; the shipped encoder if None.
        outside: what the file expects, if it is from outside.
        provider: what runs it.
        threads: of one operator, on the CPU.
        batch: frames in one run.
        engine_cache: where TensorRT keeps what it builds.
        precision: of the shipped encoder; a file that is named runs as it is.

    Raises:
        ModelFileError: missing, unreadable, or not what was said of it.
        ModelError: TorchScript without torch.
        ProviderError: the provider can't run here.
    """
    if outside is None:
        return FrameEncoder(
            path or default_encoder_path(precision, provider),
            provider=provider,
            threads=threads,
            batch=batch,
            engine_cache=engine_cache,
        )
    if path is None:
        raise ModelFileError("encoder.outside is set, but encoder.path isn't: name the file")
    return OutsideEncoder(
        path,
        outside,
        provider=provider,
        threads=threads,
        batch=batch,
        engine_cache=engine_cache,
    )


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of unit length; rows without a direction become zeros."""
    # In float64: squares of large values are infinite in float32.
    norms = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    usable = np.isfinite(norms) & (norms > 0)
    return np.where(usable, rows / np.where(usable, norms, 1), 0).astype(np.float32)


def _onnx(
    path: Path,
    settings: OutsideSettings,
    provider: Provider,
    threads: int,
    batch: int,
    engine_cache: Path | None,
) -> Run:
    side = settings.input_size
    session = open_session(
        path,
        provider=provider,
        threads=threads,
        rows=Span(1, batch, batch),
        sides=Span(side, side, side),
        engine_cache=engine_cache,
    )
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type not in FLOATS or len(inputs[0].shape) != 4:
        found = ", ".join(f"{i.name} {i.type} {i.shape}" for i in inputs)
        raise ModelFileError(f"{path} takes {found}: expected one input, (N, 3, S, S) of floats")
    name, kind, fixed = inputs[0].name, FLOATS[inputs[0].type], inputs[0].shape[0]
    there = [value.name for value in session.get_outputs()]
    output = settings.output or there[0]
    if output not in there:
        raise ModelFileError(f"encoder.outside.output = {output!r}: {path} has {', '.join(there)}")
    wanted = [output] + ["score_offsets"] * ("score_offsets" in there)

    def run(
        pictures: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        # A file with a fixed batch gets just that many, the last ones repeated.
        step = fixed if isinstance(fixed, int) else len(pictures)
        found = []
        for at in range(0, len(pictures), step):
            part = pictures[at : at + step].astype(kind)
            lacking = step - len(part)
            padded = np.concatenate([part, part[-1:].repeat(lacking, axis=0)]) if lacking else part
            found.append([a[: len(part)] for a in session.run(wanted, {name: padded})])
        joined = [np.concatenate(arrays).astype(np.float32) for arrays in zip(*found, strict=True)]
        return joined[0], joined[1] if len(joined) > 1 else None

    return run


def _torchscript(path: Path, provider: Provider, threads: int) -> Run:
    try:
        import torch
    except ImportError as error:
        raise ModelError(
            f"encoder.outside.format = torchscript ({path}) needs torch, which is not installed: "
            "pip install torch, or export the encoder as ONNX"
        ) from error
    if provider == "tensorrt":
        raise ProviderError(f"tensorrt can't run TorchScript ({path}): ask for cpu or cuda")
    if provider == "cuda" and not torch.cuda.is_available():
        raise ProviderError(f"cuda was asked for, but this torch ({torch.__version__}) sees no GPU")
    torch.set_num_threads(threads)
    try:
        module = torch.jit.load(str(path), map_location=provider).eval()  # type: ignore[no-untyped-call]
    except Exception as error:
        raise ModelFileError(f"{path} can't be loaded as TorchScript: {error}") from error

    def run(
        pictures: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        with torch.inference_mode():
            rows = module(torch.from_numpy(pictures).to(provider))
        return np.asarray(rows.float().cpu().numpy()), None

    return run
