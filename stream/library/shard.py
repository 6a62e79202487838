"""One shard of the library: a deterministic state machine over the log of fingerprints.

It answers about every upload from its own part, then keeps the upload if it hashes here. Search
before append, in one total order: each pair of videos is compared once, when the later is read,
by the shard that holds the earlier.
"""

from dataclasses import dataclass, field

import numpy as np

from models.aligners.base import Aligner, Segment
from models.all_aligners import make_aligner
from stream.contract.events import (
    ContentVersion,
    Match,
    MatchedSegment,
    VideoCompared,
)
from stream.contract.fingerprint import Fingerprint
from stream.contract.hashes import shard_of, version_hash, video_hash
from stream.contract.order import Takedown, before
from stream.errors import UnsupportedError
from stream.failpoints import failpoint
from stream.index.hash_map import HashMap
from stream.library.candidates import min_similarity_at, vote
from stream.library.entry import Entry
from stream.library.matrix import similarity_of
from stream.library.remembered import Latest, Remembered
from stream.library.rows import RowCodes
from stream.library.settings import LibrarySettings
from stream.library.store import FrameStore, Held
from stream.times import timed


@dataclass
class ShardState:
    """All that a shard remembers; what a snapshot holds.

    Attributes:
        model_version: of all descriptors here; None while nothing was read.
        dimension: length of the descriptors; 0 while nothing was read.
        store: the videos that hash here; None while nothing was read.
        seen: where each version of every video of the log was first read, by `version_hash`.
        current: serial of the version that holds, of each video of this shard, by `video_hash`.
        removed: where videos of the whole log were taken down, by `video_hash`.
        remembered: in which order videos of this shard were submitted and taken down.
    """

    model_version: str | None = None
    dimension: int = 0
    store: FrameStore | None = None
    seen: HashMap = field(default_factory=HashMap)
    current: HashMap = field(default_factory=HashMap)
    removed: HashMap = field(default_factory=HashMap)
    remembered: Remembered = field(default_factory=Remembered)

    @property
    def frames(self) -> int:
        """How many key frames it holds."""
        return 0 if self.store is None else len(self.store)

    def held(self) -> list[Held]:
        """All videos, replaced ones included, oldest first."""
        return [] if self.store is None else list(self.store.all_held())

    def first_offset(self, video_id: str, version: ContentVersion) -> int | None:
        """Where a version was first read since its video was last taken down."""
        first = self.seen.get(version_hash(video_id, version))
        taken_down = self.removed.get(video_hash(video_id))
        gone = first is not None and taken_down is not None and first < taken_down
        return None if gone else first


@dataclass(frozen=True)
class Truth:
    """What the log must say once more of a video, as its last message says something else.

    Compaction keeps the last message of each key: without this it would drop a takedown for an
    upload that was delivered again after it, or a version for an older one.

    Attributes:
        takedown: it is taken down; None where it is held.
        offset: of the message that says what is held.
    """

    video_id: str
    takedown: Takedown | None = None
    offset: int = -1


class LibraryShard:
    """Shard `shard` of `settings.shards`.

    A pure function of the log: the same entries in the same order give the same answers, from
    any snapshot on. Not thread-safe.

    Attributes:
        truth: what the log must say again after the last entry; None where that was the truth, or
            the video is another shard's.
    """

    def __init__(
        self,
        settings: LibrarySettings,
        shard: int,
        aligner: Aligner,
        state: ShardState | None = None,
    ) -> None:
        self.settings, self._shard, self._aligner = settings, shard, aligner
        self._aligner_version = str(getattr(aligner, "version", settings.aligner))
        self.state = state or ShardState()
        self.truth: Truth | None = None

    def apply(self, upload: Fingerprint, offset: int) -> VideoCompared:
        """Answer about an upload, then keep it if it belongs here.

        A repeat (same video and content version) is answered as the first time: against what was
        in the library then, with the offset of then. It isn't added twice.

        Args:
            upload: what a log entry carries.
            offset: its place in the log.

        Raises:
            UnsupportedError: its descriptors are of another model than the library's; nothing
                is kept.
        """
        self._check_model(upload)
        first = self.state.first_offset(upload.video_id, upload.content_version)
        as_of = offset if first is None else min(offset, first)
        stages = dict(upload.stage_seconds)
        # Search, then append: an upload never meets itself, and each pair of videos meets once.
        matches = self._matches(upload, as_of, stages)
        self.absorb(upload, offset)
        failpoint("library.after_append")
        return VideoCompared(
            video_id=upload.video_id,
            content_version=upload.content_version,
            owner_id=upload.owner_id,
            role=upload.role,
            request_id=upload.request_id,
            model_version=upload.model_version,
            aligner_version=self._aligner_version,
            key_frames_version=upload.key_frames_version,
            shard=self._shard,
            shards=self.settings.shards,
            library_offset=as_of,
            duration_seconds=upload.duration_seconds,
            matches=matches,
            stage_seconds=stages,
        )

    def absorb(self, upload: Fingerprint, offset: int) -> None:
        """Take an entry without answering: for a rebuild of what is answered already.

        Raises:
            UnsupportedError: as in `apply`.
        """
        self._check_model(upload)
        state = self.state
        if state.store is None:
            state.model_version, state.dimension = upload.model_version, upload.dimension
            codes = RowCodes(upload.dimension, self.settings.code_bits)
            state.store = FrameStore(self.settings, codes)
        if state.first_offset(upload.video_id, upload.content_version) is None:
            state.seen.put(version_hash(upload.video_id, upload.content_version), offset)
        self.truth = None
        if shard_of(upload.video_id, self.settings.shards) == self._shard:
            self._keep(upload, offset)

    def _keep(self, upload: Fingerprint, offset: int) -> None:
        """Hold an upload of this shard, unless it was submitted before what is known already."""
        state, key = self.state, video_hash(upload.video_id)
        holding = self._holding(upload.video_id)
        takedown = state.remembered.takedowns.get(key)
        # First of all: a takedown outweighs every version that was submitted before it.
        if takedown is not None and takedown.covers(upload.submission):
            self.truth = self._truth(upload.video_id, holding)
        elif holding is None:
            self._append(upload, key, offset)
        elif before(upload.submission, holding.latest.submission):
            self.truth = self._truth(upload.video_id, holding)
        elif holding.version == upload.content_version:
            submission = upload.submission or holding.latest.submission
            state.remembered.repeat(key, Latest(offset, submission))
        else:
            assert state.store is not None
            state.store.replace(holding.serial, offset)
            self._append(upload, key, offset)

    def _append(self, upload: Fingerprint, key: int, offset: int) -> None:
        state = self.state
        assert state.store is not None
        state.current.put(
            key, state.store.append(Entry.of(upload), upload.key_frames.codes, key, offset)
        )
        state.remembered.latest.pop(key, None)

    def _holding(self, video_id: str) -> "Holding | None":
        """The version that holds; None where this shard has none."""
        key = video_hash(video_id)
        serial = self.state.current.get(key)
        if serial is None or self.state.store is None:
            return None
        held = self.state.store.held(serial)
        entry, latest = held.entry, self.state.remembered.latest.get(key)
        return Holding(
            serial, entry.content_version, latest or Latest(held.offset, entry.submission)
        )

    def _truth(self, video_id: str, holding: "Holding | None") -> Truth:
        if holding is not None:
            return Truth(video_id, offset=holding.latest.offset)
        return Truth(video_id, self.state.remembered.takedowns[video_hash(video_id)])

    def remove(
        self,
        video_id: str,
        offset: int,
        takedown: Takedown | None = None,
        *,
        restated: bool = False,
    ) -> None:
        """Forget a video: no later search finds it, not even one that is repeated.

        What was submitted before is never kept, however late it comes; submitted again, it is a
        new video.

        Args:
            video_id: of any shard.
            offset: of the takedown in the log.
            takedown: which submissions it covers.
            restated: it was said before, and changes nothing that was submitted after it.
        """
        key, state = video_hash(video_id), self.state
        self.truth = None
        if not restated:
            # Of videos of all shards: whether an upload is a repeat must look the same to each of
            # them.
            state.removed.put(key, offset)
        if key % self.settings.shards != self._shard:
            return
        said = takedown or Takedown()
        known = said.joined(state.remembered.takedowns.get(key))
        holding = self._holding(video_id)
        if holding is not None and said.takes(holding.latest.submission, restated=restated):
            assert state.store is not None
            state.store.remove(key)
            state.current.drop(key)
            state.remembered.latest.pop(key, None)
            known, holding = known.including(holding.latest.submission), None
        state.remembered.take_down(key, known)
        if holding is not None or known != said:
            self.truth = self._truth(video_id, holding)

    def _check_model(self, upload: Fingerprint) -> None:
        ours = (self.state.model_version, self.state.dimension)
        theirs = (upload.model_version, upload.dimension)
        if ours[0] is not None and ours != theirs:
            raise UnsupportedError(
                f"the library holds descriptors of {ours[0]} ({ours[1]} dimensions), the upload's "
                f"are of {theirs[0]} ({theirs[1]}): run one encoder, or build a library anew"
            )

    def _matches(self, upload: Fingerprint, as_of: int, stages: dict[str, float]) -> list[Match]:
        with timed(stages, "search"):
            candidates = self._candidates(upload, as_of)
        with timed(stages, "align"):
            found = [self._match(upload, held) for held in candidates]
        failpoint("library.after_search")
        return sorted(
            (match for match in found if match is not None),
            # In one order: an answer that comes again says the same, to the last byte.
            key=lambda match: (-match.score, match.reference_id),
        )

    def _candidates(self, upload: Fingerprint, as_of: int) -> list[Held]:
        """The videos that the library held just before `as_of` and that share frames with this."""
        store, settings = self.state.store, self.settings
        if store is None:
            return []
        key = settings.search_frames == "key"
        asked = upload.key_frames if key else upload.query_frames
        hits = store.search(
            asked.codes, asked.bias_codes, min_similarity_at(settings, as_of), before=as_of
        )
        owners = store.owners_of(hits.serials)
        held = {serial: store.held(serial) for serial in np.unique(owners).tolist()}
        own = video_hash(upload.video_id)
        findable = [
            serial
            for serial, one in held.items()
            if one.video_hash != own and one.existed_before(as_of)
        ]
        # Only here: an index knows frames by number, and not what was replaced or is the upload's
        # own.
        kept = np.isin(owners, findable)
        voted = vote(
            asked.moments[hits.queries[kept]],
            hits.similarities[kept],
            owners[kept],
            # A video of a single frame can't have two that hit.
            min_frames=min(settings.candidate_hits, int(asked.moments.max(initial=0)) + 1),
            most=settings.candidates,
        )
        return [held[candidate.entry] for candidate in voted]

    def _match(self, upload: Fingerprint, held: Held) -> Match | None:
        entry, store = held.entry, self.state.store
        assert store is not None
        similarity = similarity_of(upload, entry, store.whole_rows(held))
        found = self._aligner.align(similarity)
        sure = [segment for segment in found if segment.score >= self.settings.least_score]
        segments = [_matched(segment) for segment in sure]
        if not segments:
            return None
        return Match(
            reference_id=entry.video_id,
            reference_owner_id=entry.owner_id,
            reference_role=entry.role,
            reference_duration_seconds=entry.duration_seconds,
            score=max(segment.score for segment in segments),
            segments=segments,
        )


@dataclass(frozen=True)
class Holding:
    """The version of a video that holds."""

    serial: int
    version: ContentVersion
    latest: Latest


def open_aligner(settings: LibrarySettings) -> Aligner:
    """The aligner that the settings name.

    Raises:
        ModelError: no such aligner, or it can't run here; as `models.all_aligners.make_aligner`.
    """
    return make_aligner(
        settings.aligner, provider=settings.provider, engine_cache=settings.engine_cache
    )


def _matched(segment: Segment) -> MatchedSegment:
    """Rounded to what means anything, so that the last bits of an aligner are not in an answer.

    Milliseconds are the unit of time in the library; no threshold on a score is finer than these.
    """
    return MatchedSegment(
        video_start_seconds=round(segment.query_start_seconds, 3),
        video_end_seconds=round(segment.query_end_seconds, 3),
        reference_start_seconds=round(segment.reference_start_seconds, 3),
        reference_end_seconds=round(segment.reference_end_seconds, 3),
        score=round(segment.score, 4),
        reversed=segment.reversed,
    )
