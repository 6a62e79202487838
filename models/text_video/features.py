"""Regions of every photo's views, made once by the frozen trunk and kept in a mapped file."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnxruntime
import orjson
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import Tensor

from models.encoder.onnx_file import to_onnx
from models.errors import BrokenDataError
from models.text_video.photos import VIEWS, make_views, photo_names, read_photos
from models.text_video.trunk import RegionTrunk

TRAINING_VIEWS = tuple(VIEWS)
SAVE_EVERY = 100  # photos
SAMPLED = 500  # photos that tell the channels' means and deviations: 64 regions of each do


@dataclass(frozen=True)
class Features:
    """What the trunk says of a tar of photos.

    Attributes:
        names: of the P photos, in the tar's order.
        views: names of the V views.
        regions: (P, V, R, C) float16, on disk.
    """

    names: list[str]
    views: tuple[str, ...]
    regions: NDArray[np.float16]

    def view(self, name: str) -> int:
        """The place of a view.

        Raises:
            ValueError: it wasn't made.
        """
        return self.views.index(name)


class TrunkSession:
    """The trunk run by ONNX Runtime, a few times as fast as torch on a CPU."""

    def __init__(self, trunk: RegionTrunk, threads: int = 1) -> None:
        size = trunk.config.input_size
        model = to_onnx(trunk.eval(), ["regions"], np.zeros((2, size, size, 3), np.uint8))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, S, S, 3) uint8 to (N, R, C) float32."""
        regions: NDArray[np.float32] = self._session.run(None, {"frames": frames})[0]
        return regions


class _Sessions:
    """The last trunk's session, for the splits of a run: tracing takes seconds.

    Known by the trunk's name, which says its weights and its input: a trunk that is loaded again
    is the same.
    """

    def __init__(self) -> None:
        self._key: tuple[str, int] | None = None
        self._session: TrunkSession | None = None

    def of(self, trunk: RegionTrunk, threads: int) -> TrunkSession:
        """The session of a trunk."""
        key = trunk.name, threads
        if self._session is None or key != self._key:
            self._key, self._session = key, TrunkSession(trunk, threads)
        return self._session


_SESSIONS = _Sessions()


def build_features(
    tar: Path,
    trunk: RegionTrunk,
    folder: Path,
    *,
    views: tuple[str, ...] = TRAINING_VIEWS,
    threads: int = 1,
    console: Console | None = None,
) -> Features:
    """The regions of a tar's photos; made where they are missing, from where a stop left them.

    Args:
        tar: of photos.
        trunk: makes the regions; another one has a file of its own.
        folder: the files go here.
        views: names in `VIEWS`.
        threads: of the trunk.
        console: shows the progress.

    Raises:
        MissingDataError: no such tar.
        BrokenDataError: it holds no photos, or one that can't be read.
    """
    names = photo_names(tar)
    shape = (len(names), len(views), trunk.config.side**2, trunk.channels)
    kept = folder / f"{tar.stem}-{trunk.name}-{_key(names, views)}"
    kept.mkdir(parents=True, exist_ok=True)
    file, note = kept / "regions.npy", kept / "done.json"
    # A note without its file says nothing: the photos that it counts are gone.
    done = orjson.loads(note.read_bytes()) if note.is_file() and file.is_file() else 0
    if done < len(names):
        mode = "r+" if done else "w+"
        regions = np.lib.format.open_memmap(file, mode, np.float16, shape)
        session, size = _SESSIONS.of(trunk, threads), trunk.config.input_size
        photos = enumerate(read_photos(tar, done), done)
        for at, (_, picture) in track(
            photos, f"regions of {tar.name}", total=len(names) - done, console=console
        ):
            regions[at] = session(make_views(picture, size, views))
            if (at + 1) % SAVE_EVERY == 0:
                # The note last: a stop in between makes some photos again, and leaves out none.
                regions.flush()
                note.write_bytes(orjson.dumps(at + 1))
        regions.flush()
        note.write_bytes(orjson.dumps(len(names)))
    return Features(names, views, _open(file, shape))


def sample_regions(features: Features) -> Tensor:
    """(N, C) float32 regions of photos spread over all, whole."""
    photos = np.linspace(0, len(features.names) - 1, SAMPLED).astype(int)
    regions = features.regions[np.unique(photos), features.view("full")]
    return torch.from_numpy(regions.astype(np.float32)).flatten(0, 1)


def _open(file: Path, shape: tuple[int, ...]) -> NDArray[np.float16]:
    regions: NDArray[np.float16] = np.load(file, mmap_mode="r")
    if regions.shape != shape:
        raise BrokenDataError(f"{file} holds {regions.shape}, expected {shape}: delete its folder")
    return regions


def _key(names: list[str], views: tuple[str, ...]) -> str:
    return sha256(orjson.dumps([names, views])).hexdigest()[:8]
