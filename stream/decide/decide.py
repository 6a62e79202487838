"""The decide step: joins the shards' answers about one request into alerts and one decision."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator

from stream.contract.events import (
    EVENTS,
    AlertRaised,
    AlertSuppressed,
    Event,
    VideoCompared,
    VideoDecided,
    VideoFingerprinted,
    VideoRejected,
    VideoUploaded,
)
from stream.decide.policy import Judged, Policies
from stream.decide.reasons import reason_of
from stream.errors import BadEventError, brief
from stream.times import now

REQUEST_TOPICS = {VideoUploaded.topic, VideoFingerprinted.topic, VideoCompared.topic}
OUTPUT_TOPICS = {AlertRaised.topic, AlertSuppressed.topic, VideoDecided.topic}


def _written(event: Event) -> tuple[str, str]:
    return event.topic, event.to_bytes().decode()


def _read(value: Any) -> Event:
    """An output as it was written.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, Event):
        return value
    topic, text = value
    if topic not in OUTPUT_TOPICS:
        raise ValueError(f"{topic = }, expected one of {sorted(OUTPUT_TOPICS)}")
    try:
        return EVENTS[topic].from_bytes(text.encode())
    except BadEventError as error:
        raise ValueError(brief(error)) from None


Output = Annotated[Event, PlainValidator(_read), PlainSerializer(_written)]


class Pending(BaseModel):
    """What is about to be said of a request.

    Verdicts, policies and floods change at any moment, so that judging the same answers again may
    give other words. What was judged is therefore put into the changelog before the first word of
    it is published, and whoever finds it there says just that.

    Attributes:
        outputs: to publish, in this order; in bytes the very text of each.
        then: the state once they are published.
    """

    model_config = ConfigDict(frozen=True)

    outputs: tuple[Output, ...]
    then: "Join"


class Join(BaseModel):
    """What is known about one request so far; the value of the decide table.

    `decided_at` set means that the decision is out: later answers of the same request repeat
    what was already said and are dropped, unless it was decided before all shards had answered.

    Attributes:
        answers: by `shard/shards`: while the number of shards changes, those of the old and of the
            new shards may come, and only answers of one number make up the whole library.
        since_ms: Kafka's timestamp of the first answer.
        told: `shard/shards` of those whose alerts are out, after a decision that didn't wait for
            all; empty when nothing more is expected.
        told_ids: the ids of these alerts.
        pending: what must be published before anything else is made of the request. The rest is
            as it was before, so that a release which doesn't know of it judges again.
    """

    model_config = ConfigDict(frozen=True)

    answers: dict[str, VideoCompared] = Field(default_factory=dict)
    decided_at: datetime | None = None
    since_ms: int | None = None
    told: tuple[str, ...] = ()
    told_ids: tuple[str, ...] = ()
    pending: Pending | None = None

    @classmethod
    def from_bytes(cls, data: bytes | None) -> "Join":
        """Read a table value; an absent one is a request not heard of."""
        join = cls() if data is None else cls.model_validate(orjson.loads(data))
        answers = {_shard_name(answer): answer for answer in join.answers.values()}
        return join.model_copy(update={"answers": answers})

    def to_bytes(self) -> bytes:
        """The inverse of `from_bytes`, without what isn't set."""
        return orjson.dumps(self.model_dump(exclude_none=True))

    def about_to_say(self, outputs: Sequence[Event], then: "Join") -> "Join":
        """The state to store before the outputs are published; `then` is the one behind them."""
        return self.model_copy(update={"pending": Pending(outputs=tuple(outputs), then=then)})

    def unsaid(self) -> "Join":
        """The state without what is pending, where that can't be published."""
        return self.model_copy(update={"pending": None})

    def missing_shards(self) -> set[int]:
        """The shards that this request waits for; none when it waits for nothing."""
        if self.pending is not None:
            return self.pending.then.missing_shards()
        heard: dict[int, set[int]] = {}
        for name in (*self.answers, *self.told):
            shard, shards = map(int, name.split("/"))
            heard.setdefault(shards, set()).add(shard)
        return {
            shard
            for shards, found in heard.items()
            for shard in set(range(shards)).difference(found)
        }


def on_compared(
    join: Join,
    answer: VideoCompared,
    policies: Policies | None = None,
    *,
    timestamp_ms: int = 0,
    as_soon_as_matched: bool = False,
) -> tuple[Join, list[Event]]:
    """Take one shard's answer.

    Answers may come in any order and more than once. Exactly one call of a request returns its
    decision, behind its alerts. No shard's answer is judged twice, but for one that waits for
    others under `as_soon_as_matched`.

    Args:
        join: what is known of the request.
        answer: of a shard about it.
        policies: judges matches; the settings' defaults when left out.
        timestamp_ms: the answer's, by Kafka, since 1970.
        as_soon_as_matched: see `DecideSettings`.

    Returns:
        The new state, `join` itself where nothing changed, and the events to publish before the
        state is stored.
    """
    policies = policies or Policies()
    name = _shard_name(answer)
    if name in join.answers or name in join.told:
        return join, []
    if join.decided_at is not None:
        return _after_decision(join, answer, policies, timestamp_ms) if join.told else (join, [])
    since_ms = timestamp_ms if join.since_ms is None else join.since_ms
    answers = {**join.answers, name: answer}
    waiting = Join(answers=answers, since_ms=since_ms)
    # By shard: what is said must not depend on the order in which answers came.
    ordered = sorted(
        (part for part in answers.values() if part.shards == answer.shards),
        key=lambda part: part.shard,
    )
    complete = _complete(answers, answer.shards)
    if not complete and not as_soon_as_matched:
        return waiting, []
    judged = _judged(ordered, policies, timestamp_ms)
    if not complete and not any(isinstance(alert, AlertRaised) for alert in judged):
        return waiting, []
    decision = _decision(ordered, judged)
    # Without the answers: of a decided request only repeats must be recognised, for a week.
    decided = Join(decided_at=decision.decided_at)
    if not complete:
        decided = decided.model_copy(
            update={
                "since_ms": since_ms,
                "told": tuple(_shard_name(part) for part in ordered),
                "told_ids": tuple(alert.alert_id for alert in judged),
            }
        )
    # The decision last: who has read it has all of its alerts.
    return decided, [*judged, decision]


def _after_decision(
    join: Join, answer: VideoCompared, policies: Policies, timestamp_ms: int
) -> tuple[Join, list[Event]]:
    """The alerts of a shard that answers after a decision which didn't wait for it, once each."""
    judged = [
        alert
        for alert in _judged([answer], policies, timestamp_ms)
        if alert.alert_id not in join.told_ids
    ]
    told = (*join.told, _shard_name(answer))
    if _complete(told, answer.shards):
        return Join(decided_at=join.decided_at), [*judged]
    told_ids = (*join.told_ids, *(alert.alert_id for alert in judged))
    return join.model_copy(update={"told": told, "told_ids": told_ids}), [*judged]


def _judged(
    answers: Sequence[VideoCompared], policies: Policies, timestamp_ms: int
) -> list[Judged]:
    return [policies.judge(part, match, timestamp_ms) for part in answers for match in part.matches]


def _complete(names: Iterable[str], shards: int) -> bool:
    """Whether all shards of this number are there."""
    told = set(names)
    return all(f"{shard}/{shards}" in told for shard in range(shards))


def _shard_name(answer: VideoCompared) -> str:
    return f"{answer.shard}/{answer.shards}"


def on_rejected(join: Join, letter: VideoRejected) -> tuple[Join, list[Event]]:
    """Take a dead letter: a request that can't be processed is decided as `rejected`.

    A letter without a video id has nobody who waits for it, and gives nothing; nor does one of a
    policy or a verdict, which decide nothing of the video that they name.
    """
    if join.decided_at is not None or letter.video_id is None:
        return join, []
    if letter.source_topic not in REQUEST_TOPICS:
        return join, []
    decision = VideoDecided(
        video_id=letter.video_id,
        content_version=1 if letter.content_version is None else letter.content_version,
        outcome="rejected",
        alert_ids=[],
        reason=brief(f"{letter.error}: {letter.message}"),
        decided_at=now(),
        request_id=letter.request_id,
        stage_seconds=letter.stage_seconds,
    )
    return Join(decided_at=decision.decided_at), [decision]


def _decision(answers: Sequence[VideoCompared], judged: Sequence[Judged]) -> VideoDecided:
    """Matched where an alert is raised or held: what is held may never be taken for clear."""
    first = answers[0]
    raised = [alert for alert in judged if isinstance(alert, AlertRaised)]
    suppressed = [alert for alert in judged if isinstance(alert, AlertSuppressed)]
    held = any(alert.reason == "held" for alert in suppressed)
    stages: dict[str, float] = {}
    for part in answers:  # shards work side by side: the slowest one is what the upload waited for
        for stage, seconds in part.stage_seconds.items():
            stages[stage] = max(stages.get(stage, 0.0), seconds)
    return VideoDecided(
        video_id=first.video_id,
        content_version=first.content_version,
        outcome="matched" if raised or held else "clear",
        alert_ids=[alert.alert_id for alert in raised],
        reason=reason_of(first.video_id, raised, suppressed),
        decided_at=now(),
        request_id=first.request_id,
        stage_seconds=stages,
    )
