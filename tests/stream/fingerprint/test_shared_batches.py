"""Frames of many threads share runs of the encoder, and each thread gets its own back."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from models.encoder.serve import EncodedFrames
from stream.fingerprint.batched_encoder import BatchedEncoder
from stream.fingerprint.shared_batches import SharedBatches

SIZE = 4


class CountingEncoder:
    """A frame's descriptor is its first pixel; runs wait for the gate and are counted."""

    model_version, input_size, dimension = "counting", SIZE, 3

    def __init__(self) -> None:
        self.runs: list[int] = []
        self.begun, self.gate = threading.Event(), threading.Event()

    def encode(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Descriptors alone."""
        return self.describe(frames).descriptors

    def describe(self, frames: NDArray[np.uint8]) -> EncodedFrames:
        """The first pixel, and its red as bias; 255 breaks the run."""
        self.runs.append(len(frames))
        self.begun.set()
        assert self.gate.wait(60)
        rows = frames[:, 0, 0].astype(np.float32)
        if (rows[:, 0] == 255).any():
            raise RuntimeError("out of memory")
        return EncodedFrames(rows, rows[:, 0])


def frames_of(*reds: int) -> NDArray[np.uint8]:
    made = np.zeros((len(reds), SIZE, SIZE, 3), np.uint8)
    made[..., 0] = np.array(reds, np.uint8)[:, None, None]
    return made


def queue_behind_a_run(
    encoder: CountingEncoder, batches: SharedBatches, pool: ThreadPoolExecutor, *reds: list[int]
) -> list[list[float] | Exception]:
    """One frame holds the encoder while a thread for each of `reds` comes; then all go on."""
    first = pool.submit(batches.describe, frames_of(1))
    assert encoder.begun.wait(60)
    rest = []
    for number, own in enumerate(reds):
        rest.append(pool.submit(batches.describe, frames_of(*own)))
        while len(batches._waiting) <= number:  # in this order
            threading.Event().wait(0.001)
    encoder.gate.set()
    assert first.result(60).score_biases.tolist() == [1]
    answers: list[list[float] | Exception] = []
    for future in rest:
        error = future.exception(60)
        assert error is None or isinstance(error, Exception)
        answers.append(error or future.result().descriptors[:, 0].tolist())
    return answers


def test_what_waits_is_run_together_up_to_a_batch() -> None:
    encoder = CountingEncoder()
    batches = SharedBatches(encoder, 8)
    with ThreadPoolExecutor(8) as pool:
        answers = queue_behind_a_run(
            encoder, batches, pool, [2, 3, 4], [5], [6, 7, 8, 9], [10, 11], [12]
        )
    assert answers == [[2, 3, 4], [5], [6, 7, 8, 9], [10, 11], [12]]
    assert encoder.runs == [1, 8, 3]


def test_a_run_that_fails_is_told_to_all_in_it_and_to_nobody_else() -> None:
    encoder = CountingEncoder()
    batches = SharedBatches(encoder, 4)
    with ThreadPoolExecutor(8) as pool:
        one, two, three = queue_behind_a_run(encoder, batches, pool, [2, 3], [255], [4, 5])
    assert isinstance(one, RuntimeError) and isinstance(two, RuntimeError)
    assert three == [4, 5]
    assert batches.describe(frames_of(6)).score_biases.tolist() == [6]


@pytest.mark.parametrize("shared", [False, True])
def test_many_threads_get_their_own_frames(shared: bool) -> None:
    encoder = CountingEncoder()
    encoder.gate.set()
    batched = BatchedEncoder(encoder, 5, shared=shared)

    def own(seed: int) -> bool:
        random = np.random.default_rng(seed)
        frames = frames_of(*random.integers(0, 255, 23).tolist())
        chosen = np.sort(random.permutation(23)[:17])
        made = batched.describe(frames, chosen)
        return bool((made.score_biases == frames[chosen, 0, 0, 0]).all())

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(own, range(40)))
    assert sum(encoder.runs) == 40 * 17 and max(encoder.runs) <= 5
