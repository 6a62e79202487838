"""One shard of the library: a deterministic state machine over the log of fingerprints.

It answers about every upload from its own part, then keeps the upload if it hashes here. Search
before append, in one total order: each pair of videos is compared once, when the later is read,
by the shard that holds the earlier.
"""

from dataclasses import dataclass

from models.aligners.base import Aligner
from models.aligners.picture import PictureAligner
from stream.contract.events import Place, ProbeAnswered, ProbeFingerprinted, VideoCompared
from stream.contract.fingerprint import Fingerprint
from stream.contract.hashes import shard_of, version_hash, video_hash
from stream.contract.order import Takedown, before
from stream.errors import UnsupportedError
from stream.failpoints import failpoint
from stream.library.entry import Entry
from stream.library.matches import MatchFinder
from stream.library.remembered import Latest
from stream.library.rows import RowCodes
from stream.library.settings import LibrarySettings
from stream.library.state import Holding, ShardState
from stream.library.store import FrameStore


@dataclass(frozen=True)
class Truth:
    """What the log must say once more of a video, as its last message says something else.

    Compaction keeps the last message of each key: without this it would drop a takedown for an
    upload that was delivered again after it, or a version for an older one.

    Attributes:
        takedown: it is taken down; None where it is held.
        offset: of the message that says what is held.
        of_vector: of a takedown: only on the topic of the vectors, where the last message may be
            another one: the vector came there before its fingerprint, and perhaps behind the
            takedown.
        embedded_at: of a version that has just taken hold: only its vector is said again, which is
            there. Vectors of what it replaced may have come behind it.
    """

    video_id: str
    takedown: Takedown | None = None
    offset: int = -1
    of_vector: bool = False
    embedded_at: Place | None = None


class LibraryShard:
    """Shard `shard` of `settings.shards`.

    A pure function of the log: the same entries in the same order give the same answers, from
    any snapshot on. Not thread-safe.

    Attributes:
        number: of the shard, from 0.
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
        self.settings, self.number = settings, shard
        self._finder = MatchFinder(settings, aligner)
        self._aligner_version = str(getattr(aligner, "version", settings.aligner))
        self.state = state or ShardState()
        self.truth: Truth | None = None

    @property
    def aligned(self) -> int:
        """How many candidates it has looked at closely, for uploads and probes."""
        return self._finder.aligned

    @property
    def networks(self) -> dict[str, str | None]:
        """The version of what made the descriptors, where any are held, and of the aligner."""
        return {"descriptors": self.state.model_version, "aligner": self._aligner_version}

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
        matches = self._finder.matches(self.state.store, upload, as_of, stages)
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
            shard=self.number,
            shards=self.settings.shards,
            library_offset=as_of,
            duration_seconds=upload.duration_seconds,
            matches=matches,
            stage_seconds=stages,
        )

    def probe(self, probe: ProbeFingerprinted, video: Fingerprint, as_of: int) -> ProbeAnswered:
        """What an upload of this video would be told; nothing is kept or changed.

        Of a still picture, of which an upload copies nothing, which videos show it.

        Args:
            probe: what was asked.
            video: its fingerprint, unpacked.
            as_of: offset of the log that the upload would have.

        Raises:
            UnsupportedError: as in `apply`.
        """
        self._check_model(video)
        stages = dict(video.stage_seconds)
        matches = self._finder.matches(self.state.store, video, as_of, stages, pictures=True)
        return ProbeAnswered(
            probe_id=probe.probe_id,
            owner_id=probe.owner_id,
            shard=self.number,
            shards=self.settings.shards,
            library_offset=as_of,
            matches=matches,
            model_version=video.model_version,
            aligner_version=PictureAligner.version if video.is_picture else self._aligner_version,
            key_frames_version=video.key_frames_version,
            duration_seconds=video.duration_seconds,
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
        # Of videos of all shards, as takedowns are: a repeat must look like one to each of them.
        if state.first_offset(upload.video_id, upload.content_version) is None:
            state.seen.put(version_hash(upload.video_id, upload.content_version), offset)
        self.truth = None
        if shard_of(upload.video_id, self.settings.shards) == self.number:
            self._keep(upload, offset)

    def _keep(self, upload: Fingerprint, offset: int) -> None:
        """Hold an upload of this shard, unless it was submitted before what is known already."""
        state, key = self.state, video_hash(upload.video_id)
        holding = state.holding(upload.video_id)
        takedown = state.remembered.takedowns.get(key)
        # First of all: a takedown outweighs every version that was submitted before it.
        if takedown is not None and takedown.covers(upload.submission):
            self.truth = self._truth(upload.video_id, holding)
        elif holding is None:
            self._append(upload, key, offset)
            if takedown is not None:
                self.truth = self._vector_of(upload, offset)
        elif before(upload.submission, holding.latest.submission):
            self.truth = self._truth(upload.video_id, holding)
        elif holding.version == upload.content_version:
            submission = upload.submission or holding.latest.submission
            state.remembered.repeat(key, Latest(offset, submission))
        else:
            assert state.store is not None
            state.store.replace(holding.serial, offset)
            self._append(upload, key, offset)
            self.truth = self._vector_of(upload, offset)

    def _append(self, upload: Fingerprint, key: int, offset: int) -> None:
        state = self.state
        assert state.store is not None
        state.current.put(
            key, state.store.append(Entry.of(upload), upload.key_frames.codes, key, offset)
        )
        state.remembered.latest.pop(key, None)

    def _vector_of(self, upload: Fingerprint, offset: int) -> Truth | None:
        """Of a video that was known before: older vectors, or a takedown, may be behind its own."""
        at = upload.embedded_at
        return None if at is None else Truth(upload.video_id, offset=offset, embedded_at=at)

    def _truth(self, video_id: str, holding: Holding | None) -> Truth:
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
        if key % self.settings.shards != self.number:
            return
        said = takedown or Takedown()
        known = said.joined(state.remembered.takedowns.get(key))
        holding = state.holding(video_id)
        if holding is not None and said.takes(holding.latest.submission, restated=restated):
            assert state.store is not None
            state.store.remove(key)
            state.current.drop(key)
            state.remembered.latest.pop(key, None)
            known, holding = known.including(holding.latest.submission), None
            self.truth = Truth(video_id, known, of_vector=True)
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
