"""A made log holds what a library must bear, and the same seed gives it again."""

from itertools import pairwise

from benchmarks.delivery.made_log import Entry, LogMaker
from stream.contract.fingerprint import Fingerprint


def written(entries: list[Entry]) -> list[bytes | None]:
    return [None if entry.event is None else entry.event.to_bytes() for entry in entries]


def test_a_seed_gives_the_same_bytes_again() -> None:
    first, second, other = (LogMaker(seed) for seed in (1, 1, 2))
    entries = [*first.entries(40), *(probe.entry for probe in first.probes(6))]
    again = [*second.entries(40), *(probe.entry for probe in second.probes(6))]
    assert written(entries) == written(again)
    assert written(entries)[:40] != written([*other.entries(40)])


def test_it_holds_versions_takedowns_repeats_and_references() -> None:
    entries = [*LogMaker(1).entries(300)]
    events = [entry.event for entry in entries if entry.event is not None]
    assert len(events) < len(entries)
    assert {event.role for event in events} == {"upload", "reference"}
    assert max(int(event.content_version) for event in events) > 1
    requests = [event.request_id for event in events]
    versions = [(event.video_id, event.content_version) for event in events]
    assert len({*versions}) < len({*requests}) < len(requests)


def test_probes_copy_from_everything_there_ever_was() -> None:
    maker = LogMaker(3)
    entries = [*maker.entries(200)]
    probes = maker.probes()
    kept = frozenset[str]().union(*(probe.kept for probe in probes))
    gone = frozenset[str]().union(*(probe.gone for probe in probes))
    there: dict[str, bool] = {}
    for entry in entries:
        there[entry.key] = entry.event is not None
    assert kept == {key for key, held in there.items() if held}
    assert gone == {key for key, held in there.items() if not held} != set()


def test_no_probe_copies_another() -> None:
    maker = LogMaker(4)
    assert [*maker.entries(30)]
    for one, other in pairwise(maker.probes()):
        assert one.entry.event is not None
        assert other.entry.event is not None
        ours, theirs = map(Fingerprint.from_event, (one.entry.event, other.entry.event))
        rows = {row.tobytes() for row in ours.key_frames.codes}
        assert rows.isdisjoint(row.tobytes() for row in theirs.key_frames.codes)
