"""Which seconds of an upload are which of a shard's videos: search, candidates, matrix, spans.

Pure: it reads the store and changes nothing. Serves `stream.library.shard`.
"""

import numpy as np

from models.aligners.base import Aligner, Segment
from models.aligners.picture import PictureAligner
from models.all_aligners import make_aligner
from stream.contract.events import Match, MatchedSegment
from stream.contract.fingerprint import Fingerprint
from stream.contract.hashes import video_hash
from stream.failpoints import failpoint
from stream.library.candidates import min_similarity_at, vote
from stream.library.matrix import similarity_of
from stream.library.settings import LibrarySettings
from stream.library.store import FrameStore, Held
from stream.times import timed

# By how much more a frame must be alike where no other says the same: of pictures out of 150 videos
# 96 % find theirs, and two in a hundred a stranger (`benchmarks/copies/still_pictures.py`).
PICTURE_MARGIN = 0.15


class MatchFinder:
    """Finds copies by the settings' thresholds and one aligner.

    Attributes:
        aligned: how many candidates it has looked at closely.
    """

    def __init__(self, settings: LibrarySettings, aligner: Aligner) -> None:
        self._settings, self._aligner = settings, aligner
        self.aligned = 0

    def matches(
        self,
        store: FrameStore | None,
        upload: Fingerprint,
        as_of: int,
        stages: dict[str, float],
        *,
        pictures: bool = False,
    ) -> list[Match]:
        """Copies in what a shard held just before an offset, the surest first.

        Args:
            store: the shard's videos; None while it has read nothing.
            upload: what is looked for.
            as_of: offset of the log.
            stages: the seconds of both stages are added here.
            pictures: whether a still picture is looked for in the videos; else it copies nothing,
                as no span of it lasts.
        """
        aligner = self._aligner
        if pictures and upload.is_picture:
            aligner = PictureAligner(min_similarity_at(self._settings, as_of) + PICTURE_MARGIN)
        with timed(stages, "search"):
            candidates = self._candidates(store, upload, as_of)
        with timed(stages, "align"):
            found = [self._match(aligner, store, upload, held) for held in candidates]
        self.aligned += len(candidates)
        failpoint("library.after_search")
        return sorted(
            (match for match in found if match is not None),
            # In one order: an answer that comes again says the same, to the last byte.
            key=lambda match: (-match.score, match.reference_id),
        )

    def _candidates(self, store: FrameStore | None, upload: Fingerprint, as_of: int) -> list[Held]:
        """The videos that the library held just before `as_of` and that share frames with this."""
        settings = self._settings
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

    def _match(
        self, aligner: Aligner, store: FrameStore | None, upload: Fingerprint, held: Held
    ) -> Match | None:
        assert store is not None
        entry = held.entry
        similarity = similarity_of(upload, entry, store.whole_rows(held))
        found = aligner.align(similarity)
        sure = [segment for segment in found if segment.score >= self._settings.min_score]
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
