"""Replaced versions in a whole library: which are kept, and what a repeat finds of them."""

from pathlib import Path

import numpy as np
import pytest

from tests.stream.kept_library import TINY, KeptLibrary
from tests.stream.library_log import fingerprint, look


def test_of_a_video_that_is_replaced_a_thousand_times_the_newest_versions_are_kept(
    tmp_path: Path,
) -> None:
    service = KeptLibrary(tmp_path, **TINY | {"keep_replaced": 10**6, "keep_versions": 3})
    other = np.concatenate((look(7), look(8)))
    service.read(fingerprint("other", other))
    most = 0
    for version in range(1, 1001):
        rows = look(version % 50)[:5]
        service.library.absorb(fingerprint("v", rows, content_version=version), service.offset)
        service.offset += 1
        if version % 10 == 0:
            service.upkeep.step(service.library.state, wait=True)
            most = max(most, service.library.state.frames)
    assert most <= 60 + 2 * 40 + 4 * 5
    kept = [one for one in service.library.state.held() if one.replaced_at != one.offset]
    assert [one.entry.content_version for one in kept] == [1, 997, 998, 999, 1000]
    service.restart()
    service.read(fingerprint("v", look(3), content_version=1001))
    kept = [one for one in service.library.state.held() if one.replaced_at != one.offset]
    assert [one.entry.content_version for one in kept] == [1, 998, 999, 1000, 1001]
    service.upkeep.close()


@pytest.mark.parametrize("merged", [False, True])
def test_a_repeat_finds_the_versions_of_then_that_are_kept_and_no_other_whatever_was_merged(
    tmp_path: Path, merged: bool
) -> None:
    service = KeptLibrary(tmp_path, **TINY | {"keep_replaced": 1000, "keep_versions": 2})

    def read(video_id: str, seed: int, version: int = 1) -> set[str]:
        found = service.read(fingerprint(video_id, look(seed), content_version=version))
        if merged:
            service.upkeep.step(service.library.state, wait=True)
        return found

    for version in range(1, 6):
        read("v", 100 + version, version)
        assert read(f"copy of {version}", 100 + version) == {"v"}
    for version, expected in ((1, set()), (2, set()), (3, {"v"}), (4, {"v"}), (5, {"v"})):
        assert read(f"copy of {version}", 100 + version) == expected
    service.restart()
    assert read("copy of 2", 102) == set()
    assert read("copy of 3", 103) == {"v"}
    service.upkeep.close()


@pytest.mark.parametrize("merged", [False, True])
def test_a_replaced_version_is_kept_for_exactly_so_many_entries(
    tmp_path: Path, merged: bool
) -> None:
    service = KeptLibrary(tmp_path, **TINY | {"keep_replaced": 4})
    service.read(fingerprint("v", look(1)))
    service.read(fingerprint("copy", look(1)))
    service.read(fingerprint("v", look(2), content_version=2))  # at offset 2
    for number in range(4):
        service.read(fingerprint(f"w{number}", look(10 + number)))
        if merged:
            service.upkeep.step(service.library.state, wait=True)
    assert service.read(fingerprint("copy", look(1))) == {"v"}
    service.read(fingerprint("w5", look(15)))
    assert service.read(fingerprint("copy", look(1))) == set()
    service.upkeep.close()
