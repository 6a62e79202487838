"""A platform, workers that deliver late and again, and shards that read when they like: in memory.

Serves the tests of the order of submissions.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stream.admin.restore import silent_shard
from stream.agents.library import library_step
from stream.contract.events import (
    ContentVersion,
    Place,
    Submission,
    VideoEmbedded,
    VideoFingerprinted,
)
from stream.contract.fingerprint import Fingerprint
from stream.contract.message import Source
from stream.contract.order import RESTATED, Takedown
from stream.library.run import NEVER
from stream.library.settings import LibrarySettings
from stream.library.shard import LibraryShard, Truth
from stream.library.state import ShardState
from tests.stream.library_log import fingerprint, look
from tests.stream.list_log import ListLog
from tests.stream.search_views import event as embedding

UPLOADS = "uploads"
PARTITIONS = 2
TICK_MS = 1000


def library(folder: Path, shards: int = 2, **changed: Any) -> LibrarySettings:
    small: dict[str, Any] = {"run_rows": 20, "exact_rows": 64}
    return LibrarySettings(snapshot_folder=folder, shards=shards, **{**small, **changed})


@dataclass(frozen=True)
class Submitted:
    """An upload as the platform sent it."""

    video_id: str
    version: ContentVersion
    submission: Submission

    def vector(self) -> VideoEmbedded:
        """What a worker puts on the topic of the vectors first."""
        return embedding(
            self.video_id, content_version=self.version, submission=self.submission.model_dump()
        )

    def fingerprint(self, embedded_at: int = 0) -> Fingerprint:
        """What a worker makes of it, each time the same but for where its vector is."""
        rows = look(100 * int(self.video_id[1:]) + int(self.version), seconds=3)
        return fingerprint(
            self.video_id,
            rows,
            content_version=self.version,
            submission=self.submission,
            request_id=f"{self.submission.partition}-{self.submission.offset}",
            embedded_at=Place(partition=0, offset=embedded_at),
        )


@dataclass
class World:
    """What was submitted, in order, what the topics say by now, and what the shards hold.

    Attributes:
        vectors: the topic of the vectors, of one partition.
    """

    settings: LibrarySettings
    log: ListLog = field(default_factory=ListLog)
    vectors: ListLog = field(default_factory=ListLog)
    submitted: list[Submitted] = field(default_factory=list)
    holds: dict[str, ContentVersion] = field(default_factory=dict)
    delivered: set[int] = field(default_factory=set)
    now_ms: int = 1_000_000

    def __post_init__(self) -> None:
        self._ends = [0] * PARTITIONS
        self._positions = [0] * self.settings.shards
        self._said: set[Truth] = set()
        self._halves: list[Callable[[], int]] = []
        self.shards = [silent_shard(self.settings, n) for n in range(self.settings.shards)]

    def submit(self, video_id: str, version: ContentVersion, partition: int = 0) -> int:
        """The platform sends an upload; returns its number."""
        self.now_ms += TICK_MS
        self.submitted.append(
            Submitted(
                video_id,
                version,
                Submission(
                    log_id=UPLOADS,
                    partition=partition,
                    offset=self._ends[partition],
                    timestamp_ms=self.now_ms,
                ),
            )
        )
        self._ends[partition] += 1
        self.holds[video_id] = version
        return len(self.submitted) - 1

    def take_down(self, video_id: str, *, by_hand: bool = False) -> None:
        """By the command, which says what it covers, or by a message without a value alone."""
        self.begin_takedown(video_id, by_hand=by_hand)
        self._halves.pop()()

    def begin_takedown(self, video_id: str, *, by_hand: bool = False) -> None:
        """The half of it that comes first, on the topic of the vectors."""
        self.now_ms += TICK_MS
        self.holds.pop(video_id, None)
        takedown = Takedown(UPLOADS, tuple(self._ends), others_ms=self.now_ms)
        headers = [] if by_hand else takedown.headers()
        self._append(self.vectors, video_id, None, headers)
        self._halves.append(lambda: self._append(self.log, video_id, None, headers))

    def deliver(self, number: int) -> None:
        """A worker puts an upload's vector and fingerprint there, or once more."""
        self.begin_delivery(number)
        self._halves.pop()()

    def begin_delivery(self, number: int) -> None:
        """The vector, which comes first."""
        self.delivered.add(number)
        upload = self.submitted[number]
        at = self._append(self.vectors, upload.video_id, upload.vector().to_bytes(), [])
        event = upload.fingerprint(at).to_event()
        self._halves.append(lambda: self._append(self.log, upload.video_id, event.to_bytes(), []))

    def finish(self, number: int) -> None:
        """The second half of a delivery or a takedown that was begun."""
        if self._halves:
            self._halves.pop(number % len(self._halves))()

    def read(self, shard: int) -> None:
        """A shard takes what is there, and says again what is no longer the last word."""
        for source in self.log.sources[self._positions[shard] :]:
            library_step(self.shards[shard], source, answered=True)
            if (truth := self.shards[shard].truth) is not None:
                self._say(truth, source.offset)
            self._positions[shard] = source.offset + 1

    def settle(self) -> None:
        """Everything submitted arrives, and everybody reads until nothing more is said."""
        for number in range(len(self.submitted)):
            if number not in self.delivered:
                self.deliver(number)
        while self._halves:
            self.finish(0)
        before = -1
        while before != len(self.log.sources):
            before = len(self.log.sources)
            for shard in range(self.settings.shards):
                self.read(shard)

    def _say(self, truth: Truth, late_at: int) -> None:
        """As `stream.agents.restater` does."""
        self.now_ms += TICK_MS
        if truth.takedown is not None:
            for topic in (self.vectors,) if truth.of_vector else (self.vectors, self.log):
                headers = truth.takedown.headers(restated=True)
                self._append(topic, truth.video_id, None, headers)
            return
        if truth.embedded_at is not None:
            self._say_vector(truth.embedded_at)
            return
        # Compaction may have taken all but the last before the message that is late, by now.
        left = self.log.sources if truth in self._said else self.log.compacted(late_at).sources
        (said,) = (one for one in left if one.offset == truth.offset)
        self._said.add(truth)
        event = VideoFingerprinted.from_bytes(said.value)
        event = event.model_copy(update={"embedded_at": self._say_vector(event.embedded_at)})
        self._append(self.log, truth.video_id, event.to_bytes(), RESTATED)

    def _say_vector(self, place: Place | None) -> Place:
        assert place is not None
        said = self.vectors.sources[place.offset]
        video_id = (said.key or b"").decode()
        return Place(partition=0, offset=self._append(self.vectors, video_id, said.value, RESTATED))

    def _append(
        self,
        topic: ListLog,
        video_id: str,
        value: bytes | None,
        headers: Iterable[tuple[str, bytes]],
    ) -> int:
        offset, name = len(topic.sources), VideoFingerprinted.topic
        if topic is self.vectors:
            name = VideoEmbedded.topic
        source = Source(
            name, 0, offset, self.now_ms, value, video_id.encode(), headers=tuple(headers)
        )
        topic.sources.append(source)
        return offset


def held(states: Iterable[ShardState]) -> dict[str, ContentVersion]:
    """The version that holds of each video."""
    return {
        one.entry.video_id: one.entry.content_version
        for state in states
        for one in state.held()
        if one.replaced_at == NEVER
    }


def rebuilt(
    settings: LibrarySettings, sources: Iterable[Source], state: ShardState | None, shard: int
) -> ShardState:
    """A shard that reads some of a log, and says nothing."""
    library: LibraryShard = silent_shard(settings, shard, state)
    for source in sources:
        library_step(library, source, answered=True)
    return library.state
