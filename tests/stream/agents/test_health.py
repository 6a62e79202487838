"""A worker's progress: a standstill is work without an end, and never idleness."""

import time

from stream.agents.health import Progress


def test_idleness_is_no_standstill_and_work_without_end_is() -> None:
    progress = Progress(done_at=time.monotonic() - 100)
    assert progress.stands_still_seconds() < 1
    progress.done_at -= 100
    assert progress.stands_still_seconds(lag=3) > 99
    progress = Progress(done_at=time.monotonic() - 100)
    progress.begin()
    assert progress.stands_still_seconds() < 1, "it was idle before"
    progress.done_at -= 100
    assert progress.stands_still_seconds() > 99
    progress.end()
    assert progress.stands_still_seconds() < 1
