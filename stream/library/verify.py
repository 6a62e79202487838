"""Compares what a shard holds with what the log says, entry by entry.

The log is compacted: of an old video it has the last entry alone. What a shard remembers of entries
that are gone can't be told from the log, and is counted, not compared.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from stream.contract.hashes import version_hash, video_hash
from stream.contract.order import before
from stream.index.hash_map import HashMap
from stream.library.expected import Expected, Facts, Version
from stream.library.run import NEVER
from stream.library.state import ShardState
from stream.library.store import Held


@dataclass(frozen=True)
class Difference:
    """Something that the shard holds otherwise than the log says.

    Attributes:
        video_id: whose; empty where it is of the whole shard.
    """

    video_id: str
    what: str

    def __str__(self) -> str:
        return f"{self.video_id}: {self.what}" if self.video_id else self.what


@dataclass
class Comparison:
    """What came of it.

    Attributes:
        entries: how many were compared.
        untold: how many the log no longer tells of.
        beyond: by video, those that are held from entries that the log no longer has.
    """

    differences: list[Difference] = field(default_factory=list)
    entries: int = 0
    untold: int = 0
    beyond: dict[str, list[Held]] = field(default_factory=dict)


def compare(state: ShardState, expected: Expected) -> Comparison:
    """Compare a shard's state with what it must be at the same offset of the log."""
    found = Comparison()
    model = (state.model_version, state.dimension)
    if expected.model is not None and model != expected.model:
        found.differences.append(Difference("", f"it holds {model}, the log has {expected.model}"))
    met = _compare_held(state, expected, found)
    for video_id, versions in expected.versions.items():
        for version in versions:
            if version.offset not in met:
                _miss(state, expected, video_id, version, found)
    found.differences += _lists(state)
    found.differences += _seen(state, expected)
    found.differences += _taken_down(state, expected)
    return found


def _compare_held(state: ShardState, expected: Expected, found: Comparison) -> set[int]:
    """Compare what is there; returns the offsets of the expected versions that are."""
    met: set[int] = set()
    holding, before = 0, -1
    for held in state.held():
        if held.offset <= before:
            what = f"offset {held.offset} stands behind {before}"
            found.differences.append(Difference("", what))
        before = held.offset
        try:
            video_id = held.entry.video_id
        except ValueError as error:
            what = f"the entry of offset {held.offset} is damaged: {error}"
            found.differences.append(Difference("", what))
            continue
        versions = expected.versions.get(video_id, [])
        version = next((one for one in versions if one.offset == held.offset), None)
        if version is not None:
            met.add(held.offset)
            found.entries += 1
            forgotten = _forgotten(state, versions, version)
            differing = _differing(held, version, forgotten=forgotten)
        elif held.replaced_at == held.offset:  # removed, and not dropped yet
            continue
        else:
            differing = _beyond(held, video_id, expected)
            found.untold += not differing
            found.beyond.setdefault(video_id, []).append(held)
        found.differences += [Difference(video_id, what) for what in differing]
        if held.replaced_at == NEVER:
            holding += 1
            if state.current.get(video_hash(video_id)) != held.serial:
                what = f"the version of offset {held.offset} isn't known as the one that holds"
                found.differences.append(Difference(video_id, what))
    if len(state.current.arrays()[0]) != holding:
        what = f"{len(state.current.arrays()[0])} videos are known, {holding} are held"
        found.differences.append(Difference("", what))
    return met


def _forgotten(state: ShardState, versions: list[Version], version: Version) -> bool:
    """Whether a version was replaced too long ago, or by too many others, to be kept."""
    store = state.store
    if store is None or version.replaced_at == NEVER:
        return False
    later = sum(version.replaced_at < one.replaced_at < NEVER for one in versions)
    too_many = later >= store.settings.keep_versions
    return too_many or version.replaced_at < store.forgets_before


def _differing(held: Held, version: Version, *, forgotten: bool) -> list[str]:
    """What an entry has otherwise than the log's."""
    where = f"at offset {held.offset}"
    if forgotten:
        return []
    if held.replaced_at == held.offset:
        return [f"{where} it is taken for removed, and the log has no takedown"]
    entry = held.run.entries[held.place]
    start, count = int(entry["row"]), int(entry["count"])
    ours = Facts.of(held.entry, held.run.rows[start : start + count])
    texts = []
    for name, got, wanted in zip(Facts._fields, ours, version.facts, strict=True):
        if got != wanted:
            said = " differ" if isinstance(got, bytes) else f" {got!r}, expected {wanted!r}"
            texts.append(f"{where}: {name}{said}")
    if held.replaced_at != version.replaced_at:
        got, wanted = _place(held.replaced_at), _place(version.replaced_at)
        texts.append(f"{where}: replaced {got}, expected {wanted}")
    return texts


def _place(offset: int) -> str:
    return "never" if offset == NEVER else f"at {offset}"


def _beyond(held: Held, video_id: str, expected: Expected) -> list[str]:
    """What is wrong with an entry that the log doesn't tell of; nothing where that may be."""
    where = f"at offset {held.offset}"
    # A takedown between the two of a version, gone by now: to the shard the second was new.
    if any(held.offset in one.again_at for one in expected.versions.get(video_id, ())):
        return []
    if held.offset in expected.offsets:
        return [f"{where} it is held, and the log has something else there"]
    taken_down, said = expected.taken_down.get(video_id, -1), expected.covered.get(video_id)
    if taken_down > held.offset and said and said.takes(held.entry.submission, restated=False):
        return [f"{where} it is held, and was taken down at {taken_down}"]
    if video_id not in expected.versions and video_id not in expected.unusable:
        return [f"{where} it is held, and the log has nothing of this video"]
    return []


def _miss(
    state: ShardState, expected: Expected, video_id: str, version: Version, found: Comparison
) -> None:
    """An expected version isn't there."""
    name = version.facts.content_version
    if _forgotten(state, expected.versions[video_id], version):
        return
    if _known_better(state, video_id, version, found):
        found.untold += 1
        return
    what = f"version {name!r} of offset {version.offset} isn't held"
    found.differences.append(Difference(video_id, what))


def _known_better(state: ShardState, video_id: str, version: Version, found: Comparison) -> bool:
    """Whether the shard has read what the log no longer has, and so didn't take this version.

    It was a repeat of a version that is held, or late.
    """
    takedown = state.remembered.takedowns.get(video_hash(video_id))
    if takedown is not None and takedown.covers(version.facts.submission):
        return True
    latest = state.remembered.latest.get(video_hash(video_id))
    for held in found.beyond.get(video_id, ()):
        if held.offset > version.offset:
            continue
        holds = held.replaced_at == NEVER and latest is not None
        submission = latest.submission if holds and latest else held.entry.submission
        if (
            version.replaced_at != NEVER  # since, by what the log has now; the shard knew before
            or held.entry.content_version == version.facts.content_version
            or before(version.facts.submission, submission)
        ):
            return True
    return False


def _lists(state: ShardState) -> Iterator[Difference]:
    """Runs in which not every frame can be found."""
    for run in state.store.all_runs() if state.store is not None else ():
        listed = -1 if run.lists is None else len(run.lists) + run.waiting
        if listed != len(run.rows):
            where = f"the run from offset {int(run.entries['offset'][0])}"
            yield Difference("", f"{where} has {len(run.rows)} frames, and {listed} in its lists")


def _seen(state: ShardState, expected: Expected) -> Iterator[Difference]:
    hashes = np.empty(len(expected.seen), np.uint64)
    for number, ((video_id, version), offset) in enumerate(expected.seen.items()):
        hashes[number] = key = version_hash(video_id, version)
        ours = state.seen.get(key)
        if ours == offset or (ours is not None and ours < offset and ours not in expected.offsets):
            continue
        what = f"version {version!r} was first read at {ours}, expected {offset}"
        yield Difference(video_id, what)
    for offset in _others(state.seen, hashes):
        if offset in expected.offsets:
            yield Difference("", f"another version than the log's is known at offset {offset}")


def _taken_down(state: ShardState, expected: Expected) -> Iterator[Difference]:
    hashes = np.empty(len(expected.taken_down), np.uint64)
    for number, (video_id, offset) in enumerate(expected.taken_down.items()):
        hashes[number] = key = video_hash(video_id)
        if (ours := state.removed.get(key)) != offset:
            yield Difference(video_id, f"taken down at {ours}, expected {offset}")
    for offset in _others(state.removed, hashes):
        if offset in expected.offsets:
            yield Difference("", f"a takedown is known at offset {offset}, where the log has none")


def _others(ours: HashMap, expected: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> list[int]:
    """Values of the keys that are not expected."""
    keys, values = ours.arrays()
    others: list[int] = values[np.isin(keys, expected, invert=True)].tolist()
    return others
