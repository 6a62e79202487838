"""What pages and API get of the read model: frozen values, with no database behind them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, TypeVar

from stream.contract.events import AppliedPolicy, MatchedSegment, PolicyUpdated

State = Literal["open", "held", "suppressed", "confirmed", "dismissed"]
STATES: tuple[State, ...] = ("open", "held", "suppressed", "confirmed", "dismissed")
Order = Literal["newest", "longest", "surest"]
T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some rows, and where the next are.

    Attributes:
        items: in order; fewer than were asked for, or none, may be followed by more.
        next: the cursor of the next page; None where this was the last.
    """

    items: tuple[T, ...]
    next: str | None = None


@dataclass(frozen=True)
class AlertFilter:
    """Which alerts. What is None doesn't matter.

    Attributes:
        states: any of these.
        owner_id: the rights holder, whose the references are.
        visible_owner_ids: of those alone, whatever else is asked: what the person may see. None
            is everything, an empty one nothing.
        uploader_id: the owner of the uploads.
        min_score: at least.
        since: raised then or later.
        within: raised at most so long before `now`.
        before: raised earlier.
        claimed: by anybody else, `others`; by nobody, `nobody`; by the person of `reviewer`, `me`;
            by nobody else, `free`.
        reviewer: who asks, for `claimed`.
        now: which claims have expired; needed for `claimed` and `within`.
    """

    states: tuple[State, ...] = ("open",)
    owner_id: str | None = None
    reference_id: str | None = None
    video_id: str | None = None
    visible_owner_ids: tuple[str, ...] | None = None
    uploader_id: str | None = None
    reason: str | None = None
    min_score: float | None = None
    since: datetime | None = None
    within: timedelta | None = None
    before: datetime | None = None
    claimed: Literal["nobody", "me", "others", "free"] | None = None
    reviewer: str | None = None
    now: datetime | None = None


ALL_OPEN = AlertFilter()


@dataclass(frozen=True)
class Place:
    """Where a message lies on its topic."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True)
class VideoView:
    """A video: an upload or a reference.

    Attributes:
        status: `unknown` where the library log says nothing of it.
        fingerprint: where its newest fingerprint lies; None where it was taken down, or none is
            known.
        takedown: where it was taken down; None where it wasn't, or came again since.
        embedded: where its vector and thumbnails lie.
        thumbnails: how many there are.
        seen_at: when it was first heard of, by Kafka, in its present form.
    """

    video_id: str
    status: Literal["live", "taken_down", "unknown"]
    owner_id: str | None
    role: str | None
    title: str | None
    uri: str | None
    duration_seconds: float | None
    content_version: str | None
    model_version: str | None
    request_id: str | None
    seen_at: datetime | None
    fingerprint: Place | None
    takedown: Place | None
    embedded: Place | None
    thumbnails: int


@dataclass(frozen=True)
class AlertView:
    """An alert as it is now.

    Attributes:
        copied_seconds: of the video, together.
        reason: why it was suppressed or held, with `detail` for people.
        policy: by which it was judged; None where its message is older and doesn't say.
        decided_by: the alert whose verdict gave this state; another's where its scope covers it.
        place: of the newest message about it.
        claimed_by: who works on it until `claimed_until`, which may be past.
    """

    alert_id: str
    video_id: str
    reference_id: str
    video_owner_id: str
    reference_owner_id: str
    score: float
    copied_seconds: float
    segments: tuple[MatchedSegment, ...]
    model_version: str
    aligner_version: str | None
    key_frames_version: str | None
    library_offset: int
    raised_at: datetime
    state: State
    reason: str | None
    detail: str | None
    policy: AppliedPolicy | None
    decided_by: str | None
    reviewer: str | None
    reviewed_at: datetime | None
    place: Place
    claimed_by: str | None
    claimed_until: datetime | None


@dataclass(frozen=True)
class QueueGroup:
    """The alerts of one upload that a filter lets through.

    Attributes:
        alerts: the first of them in the queue's order, at most `queue.alerts_each`.
        number: of all of them.
        video: the upload; the references are in `QueuePage.references`.
    """

    video_id: str
    video: VideoView | None
    alerts: tuple[AlertView, ...]
    number: int
    newest_at: datetime


@dataclass(frozen=True)
class QueuePage(Page[QueueGroup]):
    """A page of the queue, and what stands beside it, of the same state of the database.

    Attributes:
        references: that are known, of the alerts on it, by id.
        numbers: of all alerts that the person may see, by state.
    """

    references: Mapping[str, VideoView] = field(default_factory=dict)
    numbers: Mapping[State, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ReviewView:
    """A verdict that was given once: a line of history."""

    alert_id: str
    verdict: str
    scope: str | None
    reviewer: str
    reviewed_at: datetime
    note: str | None
    reference_start_seconds: float | None
    reference_end_seconds: float | None
    place: Place


@dataclass(frozen=True)
class DismissedSpan:
    """Seconds of a reference that somebody dismissed for every upload.

    Attributes:
        alert_id: on which that was said; withdrawing the verdict there takes it back.
    """

    alert_id: str
    start_seconds: float
    end_seconds: float
    reviewer: str
    reviewed_at: datetime | None
    note: str | None


@dataclass(frozen=True)
class UploadView:
    """One request: a submission, and what became of it.

    Attributes:
        status: the outcome; `undecided`, or `unknown` where neither its submission nor its
            decision is on the topics any more.
        submitted_at: by Kafka.
        wait_seconds: from the submission to the decision.
        stage_seconds: by stage: the fingerprint worker's and the shards'.
        error: the code of its newest dead letter.
    """

    request_id: str
    video_id: str
    status: str
    submitted: Place | None
    submitted_at: datetime | None
    uploaded_at: datetime | None
    uri: str | None
    title: str | None
    owner_id: str | None
    role: str | None
    content_version: str | None
    attempts: int | None
    fingerprinted_at: datetime | None
    decided_at: datetime | None
    outcome: str | None
    reason: str | None
    alert_ids: tuple[str, ...]
    wait_seconds: float | None
    stage_seconds: Mapping[str, float]
    error: str | None
    error_message: str | None
    rejected: Place | None
    rejected_at: datetime | None


@dataclass(frozen=True)
class PolicyView:
    """A rights holder's policy.

    Attributes:
        etag: changes with each message about it, so that nobody overwrites what they haven't read.
        policy: None where it was taken back: the settings' defaults hold.
    """

    owner_id: str
    etag: str
    policy: PolicyUpdated | None
    said_at: datetime


@dataclass(frozen=True)
class RejectionView:
    """A dead letter; its original is in the message at `place`."""

    place: Place
    video_id: str | None
    request_id: str
    error: str
    message: str
    source: Place
    attempts: int
    rejected_at: datetime
    stage_seconds: Mapping[str, float]


@dataclass(frozen=True)
class HolderView:
    """A rights holder that alerts are about, and how many in each state."""

    owner_id: str
    alerts: Mapping[str, int]


@dataclass(frozen=True)
class Waits:
    """How long uploads waited for their decision: counts by upper bound, each twice the last.

    Attributes:
        counts: by the bound in seconds; infinity is the last.
    """

    counts: Mapping[float, int]

    def quantile(self, share: float) -> timedelta | None:
        """The bound under which this share of them lies; None where there are none."""
        total, reached = sum(self.counts.values()), 0
        for bound, count in sorted(self.counts.items()):
            reached += count
            if count and reached >= share * total:
                return None if bound == float("inf") else timedelta(seconds=bound)
        return None


@dataclass(frozen=True)
class Hour:
    """What was decided in an hour.

    Attributes:
        begins: of the hour, in UTC.
        outcomes: how many of each.
        waits: of these uploads.
    """

    begins: datetime
    outcomes: Mapping[str, int]
    waits: Waits


@dataclass(frozen=True)
class Overview:
    """How the service does.

    Attributes:
        hours: the latest first, without those in which nothing was decided.
        oldest_undecided: None where all are decided.
        undecided: how many wait.
        alerts: how many in each state.
        library: how many videos by role that matches can find.
        rejected: how many dead letters by code.
    """

    hours: tuple[Hour, ...]
    oldest_undecided: UploadView | None
    undecided: int
    alerts: Mapping[str, int]
    library: Mapping[str, int]
    rejected: Mapping[str, int]


@dataclass(frozen=True)
class PolicyCase:
    """What a dry run of a policy judges: an alert, and how long both videos play."""

    alert: AlertView
    video_seconds: float | None
    reference_seconds: float | None


Json = dict[str, Any]
