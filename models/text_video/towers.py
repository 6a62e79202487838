"""The exported pair: a video tower and a text tower as ONNX files; serves `encode.open_pair`."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.encoder.serve import check_frames
from models.errors import ModelFileError
from models.runtime import Network, Provider, Span
from models.text_video.tokenizer_file import TokenizerFile
from models.text_video.vectors import VideoVectors, unit_rows

TEXTS_AT_ONCE = 32  # bounds the memory of a run; rows are independent, so any number does
FRAME_VECTORS = "frame_vectors"  # an output that older exports lack
VIDEO_KEYS = ("input_size", "dimension", "most_frames")
TEXT_KEYS = ("dimension", "most_tokens", "tokenizer_sha256")


class VideoTower:
    """An exported video tower. Thread-safe.

    The file's contract: input `frames` (T, S, S, 3) uint8 RGB; outputs `vector` (1, D) float32
    and, in files of today, `frame_vectors` (T, D) float32; metadata `model_version`, `input_size`,
    `dimension`, `most_frames`. Of a longer video, `max_frames` evenly spread frames are looked at
    together.

    Attributes:
        path: the file.
        model_version: of the pair.
        input_size: S, pixels.
        dimension: D.
        max_frames: that are looked at together.
    """

    def __init__(
        self,
        path: Path,
        *,
        provider: Provider = "cpu",
        threads: int = 1,
        engine_cache: Path | None = None,
    ) -> None:
        """Load the file and try it.

        Raises:
            ModelFileError: missing, unreadable, or not what its metadata says.
            ProviderError: the provider can't run here.
        """
        # A vector is of all frames together, so they run at once.
        self._network = Network(
            path,
            metadata=VIDEO_KEYS,
            provider=provider,
            threads=threads,
            batch=None,
            rows=_span(path, VIDEO_KEYS, "most_frames", provider),
            engine_cache=engine_cache,
        )
        self.path, self.model_version = path, self._network.model_version
        self.input_size = _number(self._network, "input_size")
        self.dimension = _number(self._network, "dimension")
        self.max_frames = _number(self._network, "most_frames")
        size = self.input_size
        _check_ends(self._network, "frames", (size, size, 3), "vector")
        # Noise, not zeros: a black picture's vector may have no direction without any fault.
        picture = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), np.uint8)
        _try(path, lambda: self.embed(picture))

    def embed(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """One vector for all frames, as `VideoEncoder` says."""
        self._check(frames)
        if len(frames) > self.max_frames:
            frames = frames[evenly_spread(len(frames), self.max_frames)]
        return self._looked_at(frames).vector

    def embed_frames(self, frames: NDArray[np.uint8]) -> VideoVectors:
        """One vector for all frames, and one of each, as `VideoEncoder` says."""
        self._check(frames)
        together = np.arange(len(frames))
        if len(frames) > self.max_frames:
            together = evenly_spread(len(frames), self.max_frames)
        vector, found = self._looked_at(frames[together])
        if not len(found):
            return VideoVectors(vector, found)
        rows = np.empty((len(frames), self.dimension), np.float32)
        rows[together] = found
        others = np.setdiff1d(np.arange(len(frames)), together)
        for start in range(0, len(others), self.max_frames):
            some = others[start : start + self.max_frames]
            rows[some] = self._looked_at(frames[some]).frames
        return VideoVectors(vector, rows)

    def _check(self, frames: NDArray[np.uint8]) -> None:
        check_frames(frames, self.input_size)
        if not len(frames):
            raise ValueError("a video without a frame: give at least one")

    def _looked_at(self, frames: NDArray[np.uint8]) -> VideoVectors:
        """Of up to `max_frames` frames, in one run."""
        found = self._network.run({"frames": frames})
        whole = _rows(self._network, found, "vector", (1, self.dimension))
        if FRAME_VECTORS not in self._network.outputs:
            return VideoVectors(whole[0], np.empty((0, self.dimension), np.float32))
        frame_rows = _rows(self._network, found, FRAME_VECTORS, (len(frames), self.dimension))
        return VideoVectors(whole[0], frame_rows)


class TextTower:
    """An exported text tower with its tokenizer. Thread-safe.

    The file's contract: input `ids` (N, L) int64, 0 for padding; output `vectors` (N, D) float32;
    metadata `model_version`, `dimension`, `max_tokens`, `tokenizer_sha256` of the tokenizer's
    file.

    Attributes:
        model_version: of the pair.
        dimension: D.
        max_tokens: where texts are cut.
    """

    def __init__(
        self,
        path: Path,
        tokenizer: Path,
        *,
        provider: Provider = "cpu",
        threads: int = 1,
        engine_cache: Path | None = None,
    ) -> None:
        """Load both files and try them.

        Raises:
            ModelFileError: missing, unreadable, not what the metadata says, or of two exports.
            ProviderError: the provider can't run here.
        """
        self._network = Network(
            path,
            metadata=TEXT_KEYS,
            provider=provider,
            threads=threads,
            batch=TEXTS_AT_ONCE,
            sides=_span(path, TEXT_KEYS, "most_tokens", provider),
            engine_cache=engine_cache,
        )
        self.model_version = self._network.model_version
        self.dimension = _number(self._network, "dimension")
        self.max_tokens = _number(self._network, "most_tokens")
        self._tokenizer = TokenizerFile(tokenizer, self.max_tokens, pad_id=0)
        _check_tokenizer(self._network, tokenizer)
        _check_ends(self._network, "ids", (None,), "vectors")
        length = self._network.inputs["ids"][1]
        self._length = length if isinstance(length, int) else None
        ids = np.ones((1, self._length or 1), np.int64)
        _try(path, lambda: self._embed_ids(ids))

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """A vector for each text, as `TextEncoder` says."""
        if not len(texts):
            return np.zeros((0, self.dimension), np.float32)
        return self._embed_ids(self._tokenizer.encode(texts, self._length).ids)

    def tokens(self, text: str) -> int:
        """How many tokens the whole text has, as `TextEncoder` says."""
        return self._tokenizer.tokens(text)

    def known_share(self, text: str) -> float:
        """Share of the text's words with an entry of their own, as `TextEncoder` says."""
        return self._tokenizer.whole_share(text)

    def _embed_ids(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        found = self._network.run({"ids": ids})
        return _rows(self._network, found, "vectors", (len(ids), self.dimension))


def evenly_spread(count: int, most: int) -> NDArray[np.intp]:
    """(most,) places of `most` out of `count` frames, each in the middle of an equal part."""
    return ((np.arange(most) + 0.5) * count / most).astype(np.intp)


def _span(path: Path, keys: tuple[str, ...], key: str, provider: Provider) -> Span | None:
    """What TensorRT must be told before it opens the file: the number under a key is the most."""
    if provider != "tensorrt":
        return None
    most = _number(Network(path, metadata=keys), key)
    return Span(1, most, most)


def _number(network: Network, key: str) -> int:
    text = network.metadata[key]
    if not text.isdecimal() or int(text) < 1:
        raise ModelFileError(
            f"{network.path}: {key} = {text!r}, expected a number above 0: export it again"
        )
    return int(text)


def _check_ends(network: Network, name: str, shape: tuple[int | None, ...], output: str) -> None:
    """Compare the input and the outputs with the contract; None is any size."""
    found = network.inputs.get(name, ())
    fits = len(found) == len(shape) + 1 and all(
        wanted is None or wanted == side for wanted, side in zip(shape, found[1:], strict=True)
    )
    if len(network.inputs) != 1 or not fits or output not in network.outputs:
        raise ModelFileError(
            f"{network.path} takes {network.inputs} and gives {network.outputs}, expected "
            f"`{name}` of (N, {', '.join(str(side or 'any') for side in shape)}) and `{output}`: "
            "export it again"
        )


def _try(path: Path, embed: Callable[[], object]) -> None:
    """Run a network once, so that a file that can't work is refused when it is opened."""
    try:
        embed()
    except ModelFileError:
        raise
    except Exception as error:
        raise ModelFileError(f"{path} fails at a first try: {error}: export it again") from error


def _check_tokenizer(network: Network, tokenizer: Path) -> None:
    found = hashlib.sha256(tokenizer.read_bytes()).hexdigest()
    wanted = network.metadata["tokenizer_sha256"]
    if found != wanted:
        raise ModelFileError(
            f"{tokenizer} has the SHA-256 {found}, but {network.path} was trained with {wanted}: "
            "put back the tokenizer.json of the same export"
        )


def _rows(
    network: Network, found: Sequence[NDArray[Any]], output: str, shape: tuple[int, int]
) -> NDArray[np.float32]:
    """The unit rows that a network gave.

    Raises:
        ModelFileError: another shape, or no vectors.
    """
    rows = found[network.outputs.index(output)]
    if rows.shape != shape:
        raise ModelFileError(
            f"{network.path} gives {rows.shape = }, expected {shape}: export it again"
        )
    return unit_rows(rows, network.path)
