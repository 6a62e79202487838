"""A text tower's ONNX file from outside, fed what its inputs ask for; serves `outside`."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelFileError
from models.runtime import Provider, Span, open_session
from models.text_video.tokenizer_file import TokenIds

if TYPE_CHECKING:  # as in `models.runtime.session`
    import onnxruntime

BATCH = 32  # texts in one run: bounds its memory, and is the most that TensorRT builds for
Part = Literal["ids", "mask", "types"]
Whole = type[np.int64] | type[np.int32]
PARTS: dict[str, Part] = {
    "input_ids": "ids",
    "attention_mask": "mask",
    "token_type_ids": "types",
}
WHOLE: dict[str, Whole] = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}


class TextNetwork:
    """A text tower that says nothing of itself. Thread-safe.

    It takes ids (N, L) of int64 or int32, by any name if it takes nothing else; else `input_ids`,
    and `attention_mask` and `token_type_ids` where it asks for them.

    Attributes:
        path: the ONNX file.
        length: L.
    """

    def __init__(
        self,
        path: Path,
        *,
        length: int,
        output: str | None = None,
        provider: Provider = "cpu",
        threads: int = 1,
        engine_cache: Path | None = None,
    ) -> None:
        """Load the file.

        Args:
            path: an ONNX file.
            length: tokens in each row.
            output: that holds the vectors; the first when left out.
            provider: what runs it.
            threads: of one operator, on the CPU.
            engine_cache: where TensorRT keeps what it builds.

        Raises:
            ModelFileError: missing, unreadable, or with other inputs or outputs.
            ProviderError: the provider can't run here.
        """
        self.path, self.length = path, length
        self._session = open_session(
            path,
            provider=provider,
            threads=threads,
            rows=Span(1, BATCH, BATCH),
            sides=Span(length, length, length),
            engine_cache=engine_cache,
        )
        inputs = self._session.get_inputs()
        self._inputs = self._told(inputs)
        self._output = self._chosen(output)
        rows = inputs[0].shape[0]
        self._fixed_rows = rows if isinstance(rows, int) else None

    def run(self, rows: TokenIds) -> NDArray[np.floating]:
        """What the file gives for rows, (N, ...), a batch at a time; N from 1 on."""
        step = self._fixed_rows or BATCH
        parts = [
            self._batch(TokenIds(*(array[at : at + step] for array in rows)))
            for at in range(0, len(rows.ids), step)
        ]
        return np.concatenate(parts)

    def _batch(self, rows: TokenIds) -> NDArray[np.floating]:
        # A file with a fixed batch gets just that many, the last one repeated.
        count = len(rows.ids)
        lacking = (self._fixed_rows or count) - count
        fed = {"ids": rows.ids, "mask": rows.attended, "types": np.zeros_like(rows.ids)}
        # "edge" repeats the last row: rows of zeros would be texts of padding alone.
        inputs = {
            name: np.pad(fed[part], ((0, lacking), (0, 0)), mode="edge").astype(kind)
            for name, (part, kind) in self._inputs.items()
        }
        found: NDArray[np.floating] = self._session.run([self._output], inputs)[0][:count]
        return found

    def _told(self, inputs: "list[onnxruntime.NodeArg]") -> dict[str, tuple[Part, Whole]]:
        """What each input is fed, and of which type."""
        names = {"ids" if len(inputs) == 1 else PARTS.get(value.name) for value in inputs}
        fits = "ids" in names and None not in names and len(names) == len(inputs)
        if not fits or not all(i.type in WHOLE and len(i.shape) == 2 for i in inputs):
            found = ", ".join(f"{i.name} {i.type} {i.shape}" for i in inputs)
            raise ModelFileError(
                f"{self.path} takes {found}: expected integers (N, L), `input_ids` and at most "
                "`attention_mask` and `token_type_ids` besides: export the text tower alone"
            )
        lengths = {value.shape[1] for value in inputs if isinstance(value.shape[1], int)}
        if lengths - {self.length}:
            raise ModelFileError(
                f"{self.path} takes {sorted(lengths)} tokens: set text_video.outside.max_tokens, "
                f"now {self.length}"
            )
        lone: Part = "ids"
        return {i.name: (PARTS.get(i.name, lone), WHOLE[i.type]) for i in inputs}

    def _chosen(self, output: str | None) -> str:
        there = [str(value.name) for value in self._session.get_outputs()]
        chosen = output or there[0]
        if chosen not in there:
            raise ModelFileError(
                f"text_video.outside.text_output = {output!r}: {self.path} has {', '.join(there)}"
            )
        return chosen
