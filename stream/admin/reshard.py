"""Builds the shards of another number, while those of the present one go on.

A new shard begins where every present one has answered. What is before that is answered by the
present shards, everything after the last of these offsets by all new ones; what both answer is told
once, as answers of two numbers are never joined and a request is decided once.
"""

from collections.abc import Callable, Collection
from contextlib import ExitStack
from functools import cache

from stream.admin.restore import Log, absorb, closing_upkeep, scratch_upkeep, silent_shard
from stream.errors import SettingsError, SnapshotError
from stream.library.reshard import Part, joined
from stream.library.settings import LibrarySettings
from stream.library.shard import LibraryShard
from stream.library.snapshot import SnapshotStore
from stream.library.snapshot_reader import SnapshotReader
from stream.library.state import ShardState
from stream.library.upkeep import Upkeep

Build = Callable[[LibrarySettings, int, Upkeep], ShardState]
Say = Callable[[str], None]


def reshard(
    present: LibrarySettings,
    shards: int,
    log: Log,
    say: Say,
    *,
    only: Collection[int] | None = None,
    from_log: bool = False,
) -> int:
    """Write a snapshot for new shards, and tell their groups what is answered already.

    The offset of a new group is never set back. A new shard whose own snapshot is as new keeps it,
    one that has an older one reads on from there: so what broke off goes on when it is repeated,
    and the later that is done, the less is answered by both numbers.

    Args:
        present: settings of the present shards.
        shards: the new number.
        log: of both.
        say: takes what is done, for people.
        only: which of the new shards; all when left out.
        from_log: read the whole log, also where snapshots are usable.

    Returns:
        The offset of the log from which on these new shards answer.

    Raises:
        SettingsError: the number is the present one, a shard isn't of the new number, or nothing
            is answered yet.
        SnapshotError: a snapshot can't be written.
        BrokerError: the log can't be read.
    """
    chosen = sorted({*range(shards)} if only is None else {*only})
    if strangers := [shard for shard in chosen if not 0 <= shard < shards]:
        raise SettingsError(f"shard {strangers[0]}: expected 0 to {shards - 1}")
    if shards == present.shards:
        raise SettingsError(
            f"library.shards is {shards} already. To build a shard anew, stop it, move its folder "
            "away and start it: it reads the log silently"
        )
    begin, _ = log.ends()
    offset = min(_answered(present, shard, log, begin) for shard in range(present.shards))
    if offset <= begin:
        raise SettingsError(
            f"the {present.shards} present shards have not all answered an upload yet: stop them "
            f"and start {shards}, there is nothing to take over. Or set library.shards right"
        )
    # Asked for last: shards at work meanwhile answer beyond an end that was read before.
    _, end = log.ends()
    if offset > end:
        raise SnapshotError(f"the shards have answered up to {offset}, but the log ends at {end}")
    settings = present.model_copy(update={"shards": shards})
    with ExitStack() as stack:

        @cache
        def parts() -> list[Part] | None:
            # When the first shard asks: where all keep their snapshots nothing need be restored.
            found = None if from_log else _parts(present, log, offset, say, stack)
            if found is None:
                say(f"reads the log up to offset {offset} for each of {len(chosen)} shards")
            return found

        def build(settings: LibrarySettings, shard: int, upkeep: Upkeep) -> ShardState:
            known = parts()
            if known is not None:
                return joined(known, settings, shard, upkeep)
            return _read_on(silent_shard(settings, shard), log, begin, offset, upkeep)

        for shard in chosen:
            _write(settings, shard, log, offset, say, build, anew=from_log)
            # Behind the snapshot: after a crash in between, a group must not have been told to skip
            # what no snapshot holds.
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


def _read_on(
    library: LibraryShard, log: Log, start: int, offset: int, upkeep: Upkeep
) -> ShardState:
    """What a shard holds when it has taken a span of the log too."""
    absorb(library, log.read(start, offset), upkeep)
    upkeep.step(library.state, wait=True)
    return library.state


def _write(
    settings: LibrarySettings,
    shard: int,
    log: Log,
    offset: int,
    say: Say,
    build: Build,
    *,
    anew: bool,
) -> None:
    """Bring a new shard to an offset and save it, unless it has a snapshot that is as new."""
    name = f"shard {shard}/{settings.shards}"
    reader = SnapshotReader(settings, shard=shard, log_id=log.identity)
    newest = reader.newest()
    if newest is not None and newest.next_offset >= offset:
        say(f"{name}: keeps its snapshot at {newest.next_offset}")
        return
    own = None if anew else newest
    snapshots = SnapshotStore(settings, shard=shard, log_id=log.identity)
    with closing_upkeep(snapshots) as upkeep:
        if own is not None:
            say(f"{name}: goes on from its snapshot at {own.next_offset}")
            library = silent_shard(settings, shard, own.state)
            state = _read_on(library, log, own.next_offset, offset, upkeep)
        else:
            state = build(settings, shard, upkeep)
        path = snapshots.save(state, offset)
    say(f"{name}: {state.frames} key frames, {path}")
