"""Batches through a session: on a GPU the copies of one overlap with the work on another."""

import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.runtime.providers import DEVICE, Provider

if TYPE_CHECKING:  # as in `models.runtime.session`
    import onnxruntime

LANES = 2  # one is copied while one is computed; more take memory of the device; set by hand

Array = NDArray[Any]
Batch = Mapping[str, Array]


def _cores() -> int:
    """Cores that this process may run on: in a container they can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class BatchRunner:
    """Runs batches; thread-safe. What it returns does not depend on how many are in flight."""

    def __init__(
        self,
        session: "onnxruntime.InferenceSession",
        provider: Provider,
        *,
        lanes: int | None = None,
    ) -> None:
        """Take a session.

        Args:
            session: an open one.
            provider: what runs it.
            lanes: batches in flight; by default two on a GPU, and one on the CPU, where a second
                would only fight for the cores.
        """
        self._session = session
        self._outputs = [value.name for value in session.get_outputs()]
        self._device = "cpu" if provider == "cpu" else "cuda"
        self._cores = threading.BoundedSemaphore(_cores())
        self._lanes = lanes or (1 if provider == "cpu" else LANES)

    def run_all(self, batches: Sequence[Batch]) -> list[list[Array]]:
        """The outputs of every batch, in order.

        Args:
            batches: arrays by input name.
        """
        lanes = min(self._lanes, len(batches))
        if lanes < 2:
            return [self._run(batch) for batch in batches]
        return self._overlapped(batches, lanes)

    def _overlapped(self, batches: Sequence[Batch], lanes: int) -> list[list[Array]]:
        # Copies to the device are made outside of the session's run, which may serialise its work.
        with ThreadPoolExecutor(lanes, thread_name_prefix="network") as pool:
            return list(pool.map(self._bound, batches))

    def _run(self, batch: Batch) -> list[Array]:
        if self._device == "cpu":
            ready = {name: np.ascontiguousarray(array) for name, array in batch.items()}
            with self._cores:  # more at a time would only take more memory
                return list(self._session.run(self._outputs, ready))
        return self._bound(batch)

    def _bound(self, batch: Batch) -> list[Array]:
        """One batch with its inputs and outputs bound to the device's memory.

        Outputs stay on the device until the work is done, and come back in one copy each.
        """
        import onnxruntime

        binding = self._session.io_binding()
        for name, array in batch.items():
            value = onnxruntime.OrtValue.ortvalue_from_numpy(
                np.ascontiguousarray(array), self._device, DEVICE
            )
            binding.bind_ortvalue_input(name, value)
        for name in self._outputs:
            binding.bind_output(name, self._device, DEVICE)
        self._session.run_with_iobinding(binding)
        return list(binding.copy_outputs_to_cpu())
