"""Builds the shards of another number, while those of the present one go on.

All new shards begin at one offset: up to where every present shard has answered. What is before it
is answered by the present shards, everything after it by the new ones; what both answer is told
once, as answers of two numbers are never joined and a request is decided once.
"""

from collections.abc import Callable
from contextlib import ExitStack

from stream.agents.restore import Log, absorb, closing_upkeep, scratch_upkeep, silent_shard
from stream.errors import SettingsError, SnapshotError
from stream.library.reshard import Part, joined
from stream.library.settings import LibrarySettings
from stream.library.shard import ShardState
from stream.library.snapshot import SnapshotStore
from stream.library.snapshot_reader import SnapshotReader
from stream.library.upkeep import Upkeep

Build = Callable[[LibrarySettings, int, Upkeep], ShardState]
Say = Callable[[str], None]


def reshard(
    present: LibrarySettings, shards: int, log: Log, say: Say, *, from_log: bool = False
) -> int:
    """Write a snapshot for each new shard, and tell its group what is answered already.

    The offset of a new group is never set back. A new shard whose own snapshot is as new keeps it.
    Safe to repeat; the later it is done, the less is answered by both numbers.

    Args:
        present: settings of the present shards.
        shards: the new number.
        log: of both.
        say: takes what is done, for people.
        from_log: read the whole log, also where snapshots are usable.

    Returns:
        The offset of the log from which on the new shards answer.

    Raises:
        SettingsError: the number is the present one, or nothing is answered yet.
        SnapshotError: a snapshot can't be written.
        BrokerError: the log can't be read.
    """
    if shards == present.shards:
        raise SettingsError(
            f"library.shards is {shards} already. To build a shard anew, stop it, move its folder "
            "away and start it: it reads the log silently"
        )
    begin, end = log.ends()
    offset = min(_answered(present, shard, log, begin) for shard in range(present.shards))
    if offset <= begin:
        raise SettingsError(
            f"the {present.shards} present shards have not all answered an upload yet: stop them "
            f"and start {shards}, there is nothing to take over. Or set library.shards right"
        )
    if offset > end:
        raise SnapshotError(f"the shards have answered up to {offset}, but the log ends at {end}")
    settings = present.model_copy(update={"shards": shards})
    with ExitStack() as stack:
        parts = None if from_log else _parts(present, log, offset, say, stack)
        if parts is None:
            say(f"reads the log up to offset {offset} for each of {shards} shards")
        for shard in range(shards):
            _write(settings, shard, log, offset, say, _build(parts, log, begin, offset))
    for shard in range(shards):
        if (log.answered(shard, shards) or begin) < offset:
            log.set_answered(shard, shards, offset)
    return offset


def _answered(present: LibrarySettings, shard: int, log: Log, begin: int) -> int:
    """Up to where a present shard has answered; a snapshot holds only what is answered."""
    committed = log.answered(shard, present.shards)
    if committed is None:
        found = SnapshotReader(present, shard=shard, log_id=log.identity).newest()
        committed = found.next_offset if found is not None else None
    return begin if committed is None else committed


def _parts(
    present: LibrarySettings, log: Log, offset: int, say: Say, stack: ExitStack
) -> list[Part] | None:
    """The present shards at one offset; None where one has no snapshot that is that old."""
    parts = []
    for shard in range(present.shards):
        snapshots = SnapshotReader(present, shard=shard, log_id=log.identity)
        found = snapshots.newest(at_most=offset)
        for damaged in snapshots.damaged:
            say(f"snapshot passed over: {damaged}")
        if found is None:
            say(f"shard {shard}/{present.shards} has no snapshot at offset {offset} or before it")
            return None
        library = silent_shard(present, shard, found.state)
        upkeep = stack.enter_context(scratch_upkeep(present, shard))
        absorb(library, log.read(found.next_offset, offset), upkeep)
        parts.append(Part.of(library.state))
        say(f"shard {shard}/{present.shards}: from its snapshot at {found.next_offset}")
    return parts


def _build(parts: list[Part] | None, log: Log, begin: int, offset: int) -> Build:
    def from_log(settings: LibrarySettings, shard: int, upkeep: Upkeep) -> ShardState:
        library = silent_shard(settings, shard)
        absorb(library, log.read(begin, offset), upkeep)
        upkeep.step(library.state, wait=True)
        return library.state

    def from_parts(settings: LibrarySettings, shard: int, upkeep: Upkeep) -> ShardState:
        assert parts is not None
        return joined(parts, settings, shard, upkeep)

    return from_log if parts is None else from_parts


def _write(
    settings: LibrarySettings, shard: int, log: Log, offset: int, say: Say, build: Build
) -> None:
    """Build a new shard and save it, unless it has a snapshot that is as new."""
    name = f"shard {shard}/{settings.shards}"
    own = SnapshotReader(settings, shard=shard, log_id=log.identity).newest()
    if own is not None and own.next_offset >= offset:
        say(f"{name}: keeps its snapshot at {own.next_offset}")
        return
    snapshots = SnapshotStore(settings, shard=shard, log_id=log.identity)
    with closing_upkeep(snapshots) as upkeep:
        state = build(settings, shard, upkeep)
        path = snapshots.save(state, offset)
    say(f"{name}: {state.frames} key frames, {path}")
