"""When a shard's worker commits and saves: only what is new, after so many entries or so long."""

import pytest

from stream.agents.log_position import LogPosition
from stream.library.settings import LibrarySettings

LATER = 1e9  # seconds, in which nothing of these tests is due
AT_ONCE = 1e-9


def position(read: int, *, answered: int = 10, saved: int = 10) -> LogPosition:
    return LogPosition("0", read=read, answered=answered, saved=saved, written_at=0.0)


def every(videos: int, seconds: float) -> LibrarySettings:
    return LibrarySettings(snapshot_every_videos=videos, snapshot_every_seconds=seconds)


def test_a_commit_is_due_when_something_new_has_waited() -> None:
    assert not position(11).commit_is_due(LATER)
    assert position(11).commit_is_due(0.0)
    assert not position(10).commit_is_due(0.0)


def test_a_rebuild_commits_nothing_before_the_groups_own_offset() -> None:
    rebuilt = position(5)
    assert rebuilt.is_committed and not rebuilt.commit_is_due(0.0)
    rebuilt.read = 11
    assert rebuilt.commit_is_due(0.0)
    rebuilt.note_commit()
    assert rebuilt.is_committed and rebuilt.answered == 11


@pytest.mark.parametrize(
    ("read", "videos", "seconds", "due"),
    [
        (12, 2, LATER, True),
        (11, 2, LATER, False),
        (11, 2, AT_ONCE, True),
        (10, 1, AT_ONCE, False),  # a quiet log needs no other snapshot
    ],
)
def test_a_snapshot_is_due_after_so_many_entries_or_so_long(
    read: int, videos: int, seconds: float, due: bool
) -> None:
    assert position(read).snapshot_is_due(every(videos, seconds)) == due


def test_what_came_while_a_snapshot_was_written_is_not_in_it() -> None:
    going_on = position(12)
    going_on.note_saved(11)
    assert going_on.saved == 11
    assert going_on.snapshot_is_due(every(1, LATER))
