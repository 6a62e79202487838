"""Rows on a GPU are found as on the CPU; a GPU that is missing is named."""

import faiss
import numpy as np
import pytest

from stream.errors import SettingsError
from stream.index import gpu
from tests.stream.kept_library import TINY
from tests.stream.library_log import content, fingerprint, look, shard


def has_gpu() -> bool:
    return hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0


def test_rows_on_a_gpu_are_found_as_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU the same steps run on an index of the CPU in its place."""
    if not has_gpu():
        monkeypatch.setattr(gpu, "_flat_on_gpu", faiss.IndexFlatIP)
    log = [
        fingerprint(f"v{n}", np.concatenate((look(n), look(n // 2)[5:20]))) for n in range(2, 12)
    ]
    plain, on_gpu = shard(exact_rows=10**6), shard(device="cuda", **TINY)
    for offset, event in enumerate(log):
        expected = content(plain.apply(event, offset))
        assert content(on_gpu.apply(event, offset)) == expected
    again = [content(one.apply(log[5], len(log))) for one in (plain, on_gpu)]
    assert again[0] == again[1]


def test_a_young_library_on_a_gpu_finds_frames_that_still_wait_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not has_gpu():
        monkeypatch.setattr(gpu, "_flat_on_gpu", faiss.IndexFlatIP)
    log = [fingerprint("a", look(1)), fingerprint("b", look(1))]
    plain, on_gpu = shard(), shard(device="cuda")
    for offset, event in enumerate(log):
        assert content(on_gpu.apply(event, offset)) == content(plain.apply(event, offset))
    assert on_gpu.state.store is not None and on_gpu.state.store.head.run.waiting == 60


@pytest.mark.skipif(has_gpu(), reason="there is a GPU")
def test_a_gpu_that_is_missing_is_named() -> None:
    with pytest.raises(SettingsError, match="sees no GPU"):
        shard(device="cuda").absorb(fingerprint("a", look(1)), 0)
