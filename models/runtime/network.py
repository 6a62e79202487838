"""An exported network with its contract: encoder, key frames and pattern detector are opened so."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelFileError
from models.runtime.in_flight import BatchRunner
from models.runtime.providers import Provider, Span
from models.runtime.session import open_session

Array = NDArray[Any]

CPU_ROWS = 8  # at a time on the CPU: as fast as more, for less memory


class Network:
    """An exported network. Thread-safe.

    Attributes:
        path: the ONNX file.
        provider: what runs it.
        metadata: of the file.
        model_version: names the weights; travels in every fingerprint and alert.
        inputs: shape of every input by name; a free dimension is its name.
        outputs: names of all outputs, in order.
    """

    def __init__(
        self,
        path: Path,
        *,
        metadata: Sequence[str] = (),
        provider: Provider = "cpu",
        threads: int = 1,
        batch: int | None = 32,
        rows: Span | None = None,
        sides: Span | None = None,
        engine_cache: Path | None = None,
    ) -> None:
        """Load the file.

        Args:
            path: an ONNX file; the first dimension of every input counts the same rows.
            metadata: keys that the file must have besides `model_version`.
            provider: what runs it.
            threads: of one operator, on the CPU.
            batch: rows are independent and run so many at a time, fewer on the CPU; `None` where
                a row's result depends on the others, which then all run at once.
            rows: how many run at once, for TensorRT; known where they are batched.
            sides: sizes of every other free dimension, for TensorRT.
            engine_cache: where TensorRT keeps engines and timings.

        Raises:
            ModelFileError: missing, unreadable, or without its metadata.
            ProviderError: the provider can't run here.
            ValueError: `batch` below 1.
        """
        if batch is not None and batch < 1:
            raise ValueError(f"{batch = }, expected at least 1, or None for all rows at once")
        self.path, self.provider = path, provider
        if batch is not None:
            rows = Span(1, batch, batch)
        session = open_session(
            path,
            provider=provider,
            threads=threads,
            rows=rows,
            sides=sides,
            engine_cache=engine_cache,
            frugal=batch is None,
        )
        self.metadata: dict[str, str] = dict(session.get_modelmeta().custom_metadata_map)
        missing = {"model_version", *metadata} - self.metadata.keys()
        if missing:
            raise ModelFileError(
                f"{path} lacks the metadata {', '.join(sorted(missing))}: export it again"
            )
        self.model_version = self.metadata["model_version"]
        self.inputs: dict[str, tuple[int | str | None, ...]] = {
            value.name: tuple(value.shape) for value in session.get_inputs()
        }
        self.outputs = [str(value.name) for value in session.get_outputs()]
        # Batching cuts every input alike, which is right only where their rows belong together.
        rows_of_all = {shape[0] if shape else None for shape in self.inputs.values()}
        if len(rows_of_all) != 1 or None in rows_of_all:
            raise ModelFileError(
                f"{path} takes {self.inputs}, expected the same first dimension for every input"
            )
        fixed = rows_of_all.pop()
        self._fixed_rows = fixed if isinstance(fixed, int) else None
        self._batch = batch if self._fixed_rows is None or batch is None else self._fixed_rows
        if provider == "cpu" and self._batch is not None and self._fixed_rows is None:
            self._batch = min(self._batch, CPU_ROWS)
        self._runner = BatchRunner(session, provider)

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        """Run rows through the network, a batch at a time where rows are independent.

        A file that was exported for a fixed number of rows gets its last batch filled up with the
        last row; what that gives is dropped.

        Args:
            inputs: an array for every input, all (N, ...) of the file's types, N ≥ 1.

        Returns:
            An array for each of `outputs`, in order, (N, ...) each where rows are batched.

        Raises:
            ValueError: names, ranks or sizes differ from the file's, or no rows.
        """
        rows = self._checked_rows(inputs)
        if self._batch is None:
            return self._runner.run_all([inputs])[0]
        parts = self._runner.run_all(list(self._parts(inputs, rows, self._batch)))
        whole = [np.concatenate(column) for column in zip(*parts, strict=True)]
        return [array[:rows] for array in whole]

    def _parts(
        self, inputs: Mapping[str, Array], rows: int, batch: int
    ) -> Iterator[dict[str, Array]]:
        for start in range(0, rows, batch):
            part = {name: array[start : start + batch] for name, array in inputs.items()}
            short = batch - min(batch, rows - start)
            if short and self._fixed_rows:
                part = {
                    name: np.concatenate([array, np.repeat(array[-1:], short, axis=0)])
                    for name, array in part.items()
                }
            yield part

    def _checked_rows(self, inputs: Mapping[str, Array]) -> int:
        if inputs.keys() != self.inputs.keys():
            raise ValueError(
                f"inputs {sorted(inputs)}, expected {sorted(self.inputs)} of {self.path}"
            )
        for name, array in inputs.items():
            wanted = self.inputs[name]
            fits = array.ndim == len(wanted) and all(
                not isinstance(side, int) or side == size
                for side, size in zip(wanted[1:], array.shape[1:], strict=False)
            )
            if not fits:
                raise ValueError(f"{name} is {array.shape = }, expected {wanted} of {self.path}")
        counts = {len(array) for array in inputs.values()}
        if len(counts) != 1 or 0 in counts:
            raise ValueError(f"inputs of {sorted(counts)} rows, expected one number, at least 1")
        return counts.pop()
