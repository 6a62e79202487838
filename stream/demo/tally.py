"""What has become of each video of the demo, told by the events alone."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import singledispatchmethod

from stream.contract.events import (
    AlertRaised,
    Event,
    VideoCompared,
    VideoDecided,
    VideoEmbedded,
    VideoFingerprinted,
    VideoRejected,
    VideoUploaded,
)
from stream.demo.demo_set import Pair


@dataclass
class Story:
    """One video's way through the service so far; times are of the reader's clock, in seconds."""

    video_id: str
    role: str
    submitted_seconds: float
    fingerprinted: bool = False
    shards_answered: set[int] = field(default_factory=set)
    shards: int = 0
    duration_seconds: float = 0.0
    rejection: VideoRejected | None = None
    decisions: dict[str, VideoDecided] = field(default_factory=dict)
    decisions_seen: int = 0
    decided_seconds: float | None = None

    @property
    def decision(self) -> VideoDecided | None:
        """The first decision that came."""
        return next(iter(self.decisions.values()), None)

    @property
    def compared(self) -> bool:
        """Whether all shards have answered."""
        return 0 < self.shards == len(self.shards_answered)

    @property
    def took_seconds(self) -> float | None:
        """From submission to decision."""
        if self.decided_seconds is None:
            return None
        return self.decided_seconds - self.submitted_seconds


class Tally:
    """Sums up events into one story per video, and all alerts by pair.

    An event of a video that was never submitted is a mistake of the caller and raises KeyError.
    """

    def __init__(self) -> None:
        self.stories: dict[str, Story] = {}
        self.alerts: dict[Pair, AlertRaised] = {}
        self.alert_ids: set[str] = set()
        self._now_seconds = 0.0

    def take(self, event: Event, now_seconds: float) -> None:
        """Note an event, which may come more than once.

        Args:
            event: as read from its topic.
            now_seconds: the reader's clock.
        """
        self._now_seconds = now_seconds
        self._note(event)

    def unanswered(self) -> list[str]:
        """Ids of submitted videos without a decision, in order of submission."""
        return [story.video_id for story in self.stories.values() if story.decision is None]

    def told_twice(self) -> list[str]:
        """Ids of videos with more than one decision."""
        return [story.video_id for story in self.stories.values() if story.decisions_seen > 1]

    def complete(self) -> bool:
        """Whether every decision is in, and everything that the decisions speak of as well."""
        return all(self.told(story) for story in self.stories.values())

    def told(self, story: Story) -> bool:
        """Whether a video's decision is in, and all events that led to it.

        Its vector for search isn't one of them, and may be missing.
        """
        if story.decision is None:
            return False
        if story.decision.outcome == "rejected":
            return story.rejection is not None
        alerted = self.alert_ids.issuperset(story.decision.alert_ids)
        return alerted and story.compared

    def alerts_of(self, video_id: str) -> list[AlertRaised]:
        """What was found in an upload, by reference."""
        return [self.alerts[pair] for pair in sorted(self.alerts) if pair[0] == video_id]

    def video_seconds(self) -> float:
        """How long all videos play that could be read."""
        return sum(story.duration_seconds for story in self.stories.values())

    @singledispatchmethod
    def _note(self, event: Event) -> None:
        raise TypeError(f"the demo doesn't follow {type(event).__name__}")

    @_note.register
    def _(self, event: VideoUploaded) -> None:
        story = Story(event.video_id, event.role, self._now_seconds)
        self.stories.setdefault(event.video_id, story)

    @_note.register
    def _(self, event: VideoFingerprinted) -> None:
        story = self.stories[event.video_id]
        story.fingerprinted, story.duration_seconds = True, event.duration_seconds

    @_note.register
    def _(self, event: VideoCompared) -> None:
        story = self.stories[event.video_id]
        story.shards_answered.add(event.shard)
        story.shards = event.shards

    @_note.register
    def _(self, event: VideoEmbedded) -> None:
        self.stories[event.video_id]  # known, and nothing follows from it

    @_note.register
    def _(self, event: VideoRejected) -> None:
        if event.video_id is not None:
            self.stories[event.video_id].rejection = event

    @_note.register
    def _(self, event: VideoDecided) -> None:
        story = self.stories[event.video_id]
        story.decisions_seen += 1
        story.decisions.setdefault(event.request_id, event)
        if story.decided_seconds is None:
            story.decided_seconds = self._now_seconds

    @_note.register
    def _(self, event: AlertRaised) -> None:
        self.alerts[event.video_id, event.reference_id] = event
        self.alert_ids.add(event.alert_id)


def covered_share(start: float, end: float, spans: Iterable[tuple[float, float]]) -> float:
    """Which share of [start, end) lies in the union of half-open spans; all in seconds."""
    covered, reached = 0.0, start
    for left, right in sorted(spans):
        left, right = max(left, reached), min(right, end)
        if right > left:
            covered += right - left
            reached = right
    return covered / (end - start)
