"""One shard of the library: a deterministic state machine over the log of fingerprints.

It answers about every upload from its own part, then keeps the upload if it hashes here. Search
before append, in one total order: each pair of videos is compared once, when the later is read,
by the shard that holds the earlier.
"""

import hashlib
from bisect import bisect_left
from dataclasses import dataclass, field

import numpy as np

from models.align import Aligner, Segment
from models.motion import coarse
from stream.errors import UnsupportedError
from stream.events import (
    ContentVersion,
    Match,
    MatchedSegment,
    VideoCompared,
    VideoFingerprinted,
)
from stream.library.candidates import vote
from stream.library.codes import whole_milliseconds
from stream.library.entry import Entry
from stream.library.index import FrameIndex, Hits
from stream.library.matrix import QueryFrames, searching_frames, similarity_of
from stream.library.settings import LibrarySettings
from stream.times import timed

VersionKey = tuple[str, ContentVersion]


@dataclass
class ShardState:
    """All that a shard remembers; what a snapshot holds.

    Attributes:
        model_version: of all descriptors here; None while nothing was read.
        index: rows of the entries, in order.
        entries: in log order.
        first_offsets: where each version of every video of the log was first read.
        dimension: length of the descriptors; 0 while nothing was read.
    """

    model_version: str | None = None
    dimension: int = 0
    index: FrameIndex = field(default_factory=lambda: FrameIndex(1))
    entries: list[Entry] = field(default_factory=list)
    first_offsets: dict[VersionKey, int] = field(default_factory=dict)


class LibraryShard:
    """Shard `shard` of `settings.shards`.

    A pure function of the log: the same entries in the same order give the same answers, from
    any snapshot on. Not thread-safe.
    """

    def __init__(
        self,
        settings: LibrarySettings,
        shard: int,
        aligner: Aligner,
        state: ShardState | None = None,
    ) -> None:
        self._settings, self._shard, self._aligner = settings, shard, aligner
        self._aligner_version = str(getattr(aligner, "version", settings.aligner))
        self.state = state or ShardState()
        self._current = {
            entry.video_id: number
            for number, entry in enumerate(self.state.entries)
            if entry.replaced_at is None
        }

    def apply(self, event: VideoFingerprinted, offset: int) -> VideoCompared:
        """Answer about an upload, then keep it if it belongs here.

        A repeat (same video and content version) is answered as the first time: against what was
        in the library then, with the offset of then. It isn't added twice.

        Args:
            event: a log entry.
            offset: its place in the log.

        Raises:
            UnsupportedError: its descriptors are of another model than the library's; nothing
                is kept.
        """
        self._check_model(event)
        as_of = min(offset, self.state.first_offsets.get(_key(event), offset))
        stages = dict(event.stage_seconds)
        matches = self._matches(event, as_of, stages)
        self.absorb(event, offset)
        return VideoCompared(
            video_id=event.video_id,
            content_version=event.content_version,
            owner_id=event.owner_id,
            role=event.role,
            request_id=event.request_id,
            model_version=event.model_version,
            aligner_version=self._aligner_version,
            key_frames_version=event.key_frames_version,
            shard=self._shard,
            shards=self._settings.shards,
            library_offset=as_of,
            matches=matches,
            stage_seconds=stages,
        )

    def absorb(self, event: VideoFingerprinted, offset: int) -> None:
        """Take an entry without answering: for a rebuild of what is answered already.

        Raises:
            UnsupportedError: as in `apply`.
        """
        self._check_model(event)
        state = self.state
        if state.model_version is None:
            state.model_version, state.dimension = event.model_version, event.dimension
            state.index = FrameIndex(event.dimension, self._settings.code_bits)
        if _key(event) in state.first_offsets:
            return
        state.first_offsets[_key(event)] = offset
        if shard_of(event.video_id, self._settings.shards) != self._shard:
            return
        earlier = self._current.get(event.video_id)
        if earlier is not None:
            state.entries[earlier].replaced_at = offset
        self._current[event.video_id] = len(state.entries)
        state.entries.append(
            Entry(
                video_id=event.video_id,
                content_version=event.content_version,
                owner_id=event.owner_id,
                role=event.role,
                offset=offset,
                start=state.index.add(event.codes()),
                seconds=whole_milliseconds(event.times()),
                offset_codes=event.offset_codes().copy(),
                cut_seconds=whole_milliseconds(event.cuts()),
                motion_levels=coarse(event.motion_codes()),
                duration_seconds=event.duration_seconds,
            )
        )

    def remove(self, video_id: str) -> None:
        """Forget a video: no later search finds it, not even one that is repeated.

        Submitted again, it is a new video.
        """
        self._current.pop(video_id, None)
        for entry in self.state.entries:
            if entry.video_id == video_id:
                entry.replaced_at = entry.offset
        known = self.state.first_offsets
        for key in [key for key in known if key[0] == video_id]:
            del known[key]

    def _check_model(self, event: VideoFingerprinted) -> None:
        ours = (self.state.model_version, self.state.dimension)
        theirs = (event.model_version, event.dimension)
        if ours[0] is not None and ours != theirs:
            raise UnsupportedError(
                f"the library holds descriptors of {ours[0]} ({ours[1]} dimensions), the upload's "
                f"are of {theirs[0]} ({theirs[1]}): run one encoder, or build a library anew"
            )

    def _matches(
        self, event: VideoFingerprinted, as_of: int, stages: dict[str, float]
    ) -> list[Match]:
        with timed(stages, "search"):
            candidates = self._candidates(event, as_of)
        with timed(stages, "align"):
            query = QueryFrames.of(event)
            found = [self._match(query, entry) for entry in candidates]
        return sorted(
            (match for match in found if match is not None),
            key=lambda match: (-match.score, match.reference_id),
        )

    def _candidates(self, event: VideoFingerprinted, as_of: int) -> list[Entry]:
        """The videos that the library held just before `as_of` and that share frames with this."""
        entries, index, settings = self.state.entries, self.state.index, self._settings
        held = bisect_left(entries, as_of, key=lambda entry: entry.offset)
        below_row = entries[held].start if held < len(entries) else len(index)
        codes, offsets = searching_frames(event, settings.search_frames)
        hits = index.search(codes, offsets, settings.candidate_similarity, below_row=below_row)
        starts = np.fromiter((entry.start for entry in entries[:held]), np.int64, held)
        numbers = np.searchsorted(starts, hits.rows, side="right") - 1  # the entry of each hit
        findable = [
            number
            for number in np.unique(numbers).tolist()
            if entries[number].video_id != event.video_id and entries[number].existed_before(as_of)
        ]
        kept = np.isin(numbers, findable)
        voted = vote(
            Hits(hits.queries[kept], hits.rows[kept], hits.similarities[kept]),
            numbers[kept],
            least_frames=min(settings.candidate_hits, len(codes)),
            most=settings.candidates,
        )
        return [entries[candidate.entry] for candidate in voted]

    def _match(self, query: QueryFrames, entry: Entry) -> Match | None:
        similarity = similarity_of(query, entry, self.state.index)
        found = self._aligner.align(similarity)
        sure = [segment for segment in found if segment.score >= self._settings.least_score]
        segments = [_matched(segment) for segment in sure]
        if not segments:
            return None
        return Match(
            reference_id=entry.video_id,
            reference_owner_id=entry.owner_id,
            reference_role=entry.role,
            score=max(segment.score for segment in segments),
            segments=segments,
        )


def shard_of(video_id: str, shards: int) -> int:
    """The shard that keeps a video: a stable hash, the same on every machine."""
    digest = hashlib.blake2b(video_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % shards


def _key(event: VideoFingerprinted) -> VersionKey:
    return (event.video_id, event.content_version)


def _matched(segment: Segment) -> MatchedSegment:
    return MatchedSegment(
        video_start_seconds=round(segment.query_start_seconds, 3),
        video_end_seconds=round(segment.query_end_seconds, 3),
        reference_start_seconds=round(segment.reference_start_seconds, 3),
        reference_end_seconds=round(segment.reference_end_seconds, 3),
        score=round(segment.score, 4),
        reversed=segment.reversed,
    )
