"""What a day's answers should have been: by the log replayed, and by the order of submission.

Serves `chaos`. Reads answers as they came from Kafka.
"""

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from benchmarks.delivery.answer_differences import ALERTS, OF_THE_MOMENT
from benchmarks.delivery.chaos_world import PROBE_PREFIX, Probe, World
from benchmarks.delivery.outside_client import Answers
from models.all_aligners import make_aligner
from stream.agents.library import library_step
from stream.broker.library_log import LibraryLog
from stream.broker.settings import KafkaSettings
from stream.contract.events import Alert, ContentVersion, VideoCompared
from stream.decide.decide import Join, on_compared
from stream.library.run import NEVER
from stream.library.settings import LibrarySettings
from stream.library.shard import LibraryShard

OF_A_POLICY = {"policy", "reason", "detail"}
"""Fields of an alert that depend on the policies and verdicts of its moment."""


@dataclass(frozen=True)
class Loss:
    """Something that should not have been.

    Attributes:
        kind: in a few words.
        what: the ids.
        at: seconds since the start at which its request was submitted; None where unknown.
    """

    kind: str
    what: str
    at: float | None = None


@dataclass
class Replay:
    """What the library log says, read in one thread with no fault.

    Attributes:
        alerts: that each request gives where the log has it first; what comes again, perhaps
            after a takedown of the video itself, is answered and not decided again.
        contents: of each alert, by its id and library offset, the requests that give it and what it
            says then, but for its time and its policy: what is submitted again may be another file.
        named: the library videos in which each video was found.
        held: the version of each video that the library holds at the end.
    """

    alerts: dict[str, set[str]] = field(default_factory=dict)
    contents: dict[tuple[str, int], set[tuple[str, str]]] = field(default_factory=dict)
    named: dict[str, set[str]] = field(default_factory=dict)
    held: dict[str, ContentVersion] = field(default_factory=dict)


@dataclass(frozen=True)
class Judgement:
    """What is wrong with a day.

    Attributes:
        losses: empty when nothing is.
        unrecognised: kept videos that a probe of theirs isn't told to copy, by the service and by
            the replay alike: the models don't see it.
    """

    losses: list[Loss]
    unrecognised: int


def judge(kafka: KafkaSettings, world: World, probes: Sequence[Probe], shards: int) -> Judgement:
    """Hold all answers of a day against its log and its order of submission."""
    replay = replayed(kafka, shards)
    named = _named(world)
    missed = [
        (name, probe.video_id)
        for probe in probes
        for name in sorted(probe.kept - named.get(probe.video_id, set()))
    ]
    unseen = [one for one in missed if one[0] not in replay.named.get(one[1], set())]
    losses = [
        *_decisions(world),
        *_as_replayed(world, replay),
        *alert_contents(world.platform.answers, replay),
        *_held(world, replay),
        *(Loss("kept video not found", " by ".join(one)) for one in missed if one not in unseen),
        *_removed(world, named),
        *_vectors(world),
    ]
    return Judgement(losses, len(unseen))


def _decisions(world: World) -> Iterator[Loss]:
    """Each request once; what came again says the same but for its time."""
    told: dict[str, set[str]] = {}
    outcomes: dict[str, str] = {}
    for event in world.platform.answers["video.decided"]:
        told.setdefault(event["request_id"], set()).add(content_of(event))
        outcomes[event["request_id"]] = event["outcome"]
    for one in world.submissions:
        what = f"{one.video_id} version {one.content_version}, request {one.request_id}"
        found = told.get(one.request_id, set())
        if not found:
            yield Loss("no decision", what, one.at)
        elif len(found) > 1:
            yield Loss("decided otherwise the second time", f"{what}: {sorted(found)}", one.at)
        elif (outcomes[one.request_id] == "rejected") != one.rejected:
            (content,) = found
            yield Loss("wrong outcome", f"{what}: {content}", one.at)


def _as_replayed(world: World, replay: Replay) -> Iterator[Loss]:
    """Alerts, raised or suppressed, are those of the log in one thread with no fault."""
    at = {one.request_id: one.at for one in world.submissions}
    answers = world.platform.answers
    heard = {str(event["alert_id"]) for topic in ALERTS for event in answers[topic]}
    named: dict[str, set[str]] = {}
    for event in answers["video.decided"]:
        named.setdefault(event["request_id"], set()).update(event["alert_ids"])
    for request, alerts in replay.alerts.items():
        for alert in sorted(alerts - heard):
            yield Loss("alert missing", f"{alert} of request {request}", at.get(request))
        for alert in sorted(named.get(request, set()) - alerts):
            what = f"{alert}, request {request}"
            yield Loss("decision names another alert", what, at.get(request))
    for alert in sorted(heard.difference(*replay.alerts.values())):
        yield Loss("alert that the log doesn't give", alert)


def alert_contents(answers: Answers, replay: Replay) -> Iterator[Loss]:
    """What came again says the same but for its time, under one topic; all of it as replayed.

    Whether an alert is raised or suppressed is up to policies and verdicts of that moment, which
    the replay doesn't know.
    """
    told: dict[tuple[str, int], set[str]] = {}
    for topic in ALERTS:
        for event in answers[topic]:
            key = str(event["alert_id"]), int(event["library_offset"])
            told.setdefault(key, set()).add(f"{topic} {content_of(event)}")
            given = {content for _, content in replay.contents.get(key, ())}
            if (content := content_of(event, OF_A_POLICY)) not in given:
                what = f"{key[0]} of offset {key[1]}: {content}, expected {sorted(given)}"
                yield Loss("alert with other content than the log gives", what)
    for (alert, offset), found in sorted(told.items()):
        # It doesn't name its request: each that gives it may say it in words of its own.
        if len(found) > max(
            1, len({request for request, _ in replay.contents.get((alert, offset), ())})
        ):
            what = f"{alert} of offset {offset}: {sorted(found)}"
            yield Loss("alert told otherwise the second time", what)


def content_of(event: Mapping[str, Any], without: Set[str] = frozenset()) -> str:
    """What an event says but for its time, as text to compare."""
    names = event.keys() - OF_THE_MOMENT - without
    return json.dumps({name: event[name] for name in names}, sort_keys=True)


def replayed(kafka: KafkaSettings, shards: int) -> Replay:
    """Read the log from its beginning with all shards in this thread."""
    settings = LibrarySettings(shards=shards)
    aligner = make_aligner(settings.aligner)
    parts = [LibraryShard(settings, number, aligner) for number in range(shards)]
    replay, versions, first = Replay(), dict[int, ContentVersion](), dict[str, int]()
    with LibraryLog(kafka) as log:
        for source in log.read(*log.ends()):
            join = Join()
            for part in parts:
                for answer in library_step(part, source, answered=False):
                    if not isinstance(answer, VideoCompared):
                        continue
                    versions[source.offset] = answer.content_version
                    join, events = on_compared(join, answer)
                    found = [event for event in events if isinstance(event, Alert)]
                    for alert in found:
                        said = content_of(json.loads(alert.to_bytes()), OF_A_POLICY)
                        key = alert.alert_id, alert.library_offset
                        replay.contents.setdefault(key, set()).add((answer.request_id, said))
                    alerts = {alert.alert_id for alert in found}
                    if first.setdefault(answer.request_id, source.offset) == source.offset:
                        replay.alerts.setdefault(answer.request_id, set()).update(alerts)
                    ids = {match.reference_id for match in answer.matches}
                    replay.named.setdefault(answer.video_id, set()).update(ids)
    for part in parts:
        for held in part.state.held():
            if held.replaced_at == NEVER:
                replay.held[held.entry.video_id] = versions[held.offset]
    return replay


def _held(world: World, replay: Replay) -> Iterator[Loss]:
    """The library holds, at the end, the versions that were submitted last, and nothing else."""
    for name in world.live:
        held, wanted = replay.held.get(name), world.versions[name]
        if held is None:
            yield Loss("kept video not in the library", name)
        elif held != wanted:
            yield Loss("older version in the library", f"{name}: {held}, expected {wanted}")
    for name in sorted(world.gone.keys() & replay.held.keys()):
        yield Loss("removed video in the library", name)


def _named(world: World) -> dict[str, set[str]]:
    """The library videos in which each video was found."""
    named: dict[str, set[str]] = {}
    for event in world.platform.answers["video.compared"]:
        ids = {match["reference_id"] for match in event["matches"]}
        named.setdefault(event["video_id"], set()).update(ids)
    return named


def _removed(world: World, named: dict[str, set[str]]) -> Iterator[Loss]:
    """What was taken down is named by no probe."""
    for video_id, found in named.items():
        if video_id.startswith(PROBE_PREFIX):
            for name in sorted(world.gone.keys() & found):
                yield Loss("removed video found", f"{name} by {video_id}")


def _vectors(world: World) -> Iterator[Loss]:
    """The last message of each video on `video.embedded`: there for the kept, none for the gone."""
    last: dict[str, dict[str, Any]] = {}
    for event in world.platform.answers["video.embedded"]:
        last[str(event["video_id"])] = event
    for name in world.live:
        if last.get(name, {"removed": True}).get("removed"):
            yield Loss("kept video without a vector", name)
    for name in world.gone:
        if not last.get(name, {"removed": True}).get("removed"):
            yield Loss("removed video with a vector", name)
