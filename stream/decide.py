"""The decide step: joins the shards' answers about one request into alerts and one decision."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime

import orjson
from pydantic import BaseModel, ConfigDict, Field

from stream.events import (
    AlertRaised,
    Event,
    Match,
    MatchedSegment,
    VideoCompared,
    VideoDecided,
    VideoRejected,
)
from stream.times import now

SPAN_QUANTUM_SECONDS = 1.0


class Join(BaseModel):
    """What is known about one request so far; the value of the decide table.

    `decided_at` set means that the decision is out: later answers of the same request repeat
    what was already said and are dropped.

    Attributes:
        answers: by `shard/shards`: while the number of shards changes, those of the old and of the
            new shards may come, and only answers of one number make up the whole library.
    """

    model_config = ConfigDict(frozen=True)

    answers: dict[str, VideoCompared] = Field(default_factory=dict)
    decided_at: datetime | None = None

    @classmethod
    def from_bytes(cls, data: bytes | None) -> "Join":
        """Read a table value; an absent one is a request not heard of."""
        join = cls() if data is None else cls.model_validate(orjson.loads(data))
        return cls(answers=_by_shard(join.answers.values()), decided_at=join.decided_at)

    def to_bytes(self) -> bytes:
        """The table value."""
        return orjson.dumps(self.model_dump(exclude_none=True))


def on_compared(join: Join, answer: VideoCompared) -> tuple[Join, list[Event]]:
    """Take one shard's answer.

    Answers may come in any order and more than once. Exactly one call of a request returns
    events: its alerts and its decision.

    Returns:
        The new state and the events to publish before the state is stored.
    """
    if join.decided_at is not None or _shard_name(answer) in join.answers:
        return join, []
    answers = {**join.answers, _shard_name(answer): answer}
    whole = [part for part in answers.values() if part.shards == answer.shards]
    if len(whole) < answer.shards:
        return Join(answers=answers), []
    ordered = sorted(whole, key=lambda part: part.shard)
    alerts = [alert_of(part, match) for part in ordered for match in part.matches]
    decision = _decision(ordered, alerts)
    return Join(decided_at=decision.decided_at), [*alerts, decision]


def _shard_name(answer: VideoCompared) -> str:
    return f"{answer.shard}/{answer.shards}"


def _by_shard(answers: Iterable[VideoCompared]) -> dict[str, VideoCompared]:
    return {_shard_name(answer): answer for answer in answers}


def on_rejected(join: Join, letter: VideoRejected) -> tuple[Join, list[Event]]:
    """Take a dead letter: a request that can't be processed is decided as `rejected`.

    A letter without a video id has nobody who waits for it, and gives nothing.
    """
    if join.decided_at is not None or letter.video_id is None:
        return join, []
    decision = VideoDecided(
        video_id=letter.video_id,
        content_version=1 if letter.content_version is None else letter.content_version,
        outcome="rejected",
        alert_ids=[],
        reason=f"{letter.error}: {letter.message}",
        decided_at=now(),
        request_id=letter.request_id,
        stage_seconds=letter.stage_seconds,
    )
    return Join(decided_at=decision.decided_at), [decision]


def alert_of(answer: VideoCompared, match: Match) -> AlertRaised:
    """The alert of one match.

    A reference that is registered after the upload that copies it still names the upload as the
    copy: the two sides change places.
    """
    swap = answer.role == "reference" and match.reference_role == "upload"
    ours, theirs = (
        (answer.video_id, answer.owner_id),
        (match.reference_id, match.reference_owner_id),
    )
    copy, original = (theirs, ours) if swap else (ours, theirs)
    segments = [_swapped(segment) for segment in match.segments] if swap else match.segments
    return AlertRaised(
        alert_id=alert_id(copy[0], original[0], segments, answer.model_version),
        video_id=copy[0],
        reference_id=original[0],
        video_owner_id=copy[1],
        reference_owner_id=original[1],
        score=match.score,
        segments=segments,
        model_version=answer.model_version,
        aligner_version=answer.aligner_version,
        key_frames_version=answer.key_frames_version,
        library_offset=answer.library_offset,
        raised_at=now(),
    )


def alert_id(
    video_id: str, reference_id: str, segments: Sequence[MatchedSegment], model_version: str
) -> str:
    """A deterministic id: the same upload, reference, spans and model give the same alert.

    Spans are rounded to whole seconds, so that a shift in the last digits is no new alert.
    """
    spans = sorted(
        [
            round(segment.video_start_seconds / SPAN_QUANTUM_SECONDS),
            round(segment.video_end_seconds / SPAN_QUANTUM_SECONDS),
            round(segment.reference_start_seconds / SPAN_QUANTUM_SECONDS),
            round(segment.reference_end_seconds / SPAN_QUANTUM_SECONDS),
            int(segment.reversed),
        ]
        for segment in segments
    )
    identity = orjson.dumps([video_id, reference_id, spans, model_version])
    return hashlib.blake2b(identity, digest_size=16).hexdigest()


def _swapped(segment: MatchedSegment) -> MatchedSegment:
    return MatchedSegment(
        video_start_seconds=segment.reference_start_seconds,
        video_end_seconds=segment.reference_end_seconds,
        reference_start_seconds=segment.video_start_seconds,
        reference_end_seconds=segment.video_end_seconds,
        score=segment.score,
        reversed=segment.reversed,
    )


def _decision(answers: Sequence[VideoCompared], alerts: Sequence[AlertRaised]) -> VideoDecided:
    first = answers[0]
    matched = sorted({match.reference_id for part in answers for match in part.matches})
    stages: dict[str, float] = {}
    for part in answers:  # shards work side by side: the slowest one is what the upload waited for
        for stage, seconds in part.stage_seconds.items():
            stages[stage] = max(stages.get(stage, 0.0), seconds)
    return VideoDecided(
        video_id=first.video_id,
        content_version=first.content_version,
        outcome="matched" if alerts else "clear",
        alert_ids=[alert.alert_id for alert in alerts],
        reason=_reason(matched),
        decided_at=now(),
        request_id=first.request_id,
        stage_seconds=stages,
    )


def _reason(matched: Sequence[str], shown: int = 10) -> str:
    if not matched:
        return "nothing in the library is copied"
    more = f" and {len(matched) - shown} more" if len(matched) > shown else ""
    return f"shares footage with {', '.join(matched[:shown])}{more}"
