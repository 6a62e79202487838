"""A library shard's worker: reads the whole log in order, answers about every upload.

Not a consumer group: the position is the snapshot's offset, by explicit assignment and seek. The
committed group offset says only up to where answers are already on the broker, so that a rebuild
from the log stays silent until there.
"""

import asyncio
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from aiokafka import TopicPartition

from stream.agents.attempts import attempted, publish_or_reject
from stream.agents.clients import disconnect, is_connected, seeking_consumer
from stream.agents.deaths import Deaths
from stream.agents.health import Health, Progress
from stream.agents.lags import Lag, oldest_at
from stream.agents.lifetime import Deadline, Failure, fail, supervised, watch_clients, within
from stream.agents.log_position import LogPosition
from stream.agents.probe_answers import ProbeAnswers
from stream.agents.publisher import Publisher
from stream.agents.restater import Restater
from stream.broker.library_log import shard_group
from stream.broker.topics import log_identity
from stream.contract.events import Event, VideoCompared, VideoFingerprinted
from stream.contract.fingerprint import Fingerprint
from stream.contract.message import Source
from stream.contract.order import Takedown, restated
from stream.errors import InternalError, RejectedError, SnapshotError, WorkerError, brief
from stream.failpoints import failpoint
from stream.library.matches import open_aligner
from stream.library.shard import LibraryShard
from stream.library.snapshot import SnapshotStore
from stream.library.upkeep import Upkeep
from stream.metrics import (
    ALIGNED,
    LIBRARY_FRAMES,
    LIBRARY_SHARDS,
    LIBRARY_VIDEOS,
    LOG_LAG,
    MATCHES,
    OUTCOMES,
    begin_at_zero,
    observe_stages,
    show_models,
)
from stream.settings import Settings
from stream.traces import about, carried, note

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5  # for which a look waits: a stop, and upkeep, come this soon on a quiet log
POLL_MESSAGES = 32  # handed over at a time: upkeep and a stop come behind them
READY_LAG = 100  # entries behind the log's end: one is always being read while uploads come


def library_step(shard: LibraryShard, source: Source, *, answered: bool) -> list[Event]:
    """One log message in, events out; never raises for bad input.

    An entry that can't be answered is kept all the same, if it can be kept: what a shard holds
    doesn't depend on whether it had to answer, so that a rebuild from the log gives the same.

    Args:
        shard: changed by the entry.
        source: the log message; one without a value takes the video of its key down.
        answered: its answer is on the broker already: the shard only takes the entry.

    Returns:
        The shard's answer, or a dead letter, or nothing where it is answered already. What the log
        must say again is in `shard.truth`.
    """
    shard.truth, again = None, restated(source)
    if source.value is None and source.key is not None:
        video_id = source.key.decode(errors="replace")
        shard.remove(video_id, source.offset, Takedown.of(source), restated=again)
        return []
    request_id = None
    try:
        upload = Fingerprint.from_bytes(source.value)
        request_id = upload.request_id
        note(request_id=request_id)
        first = shard.state.first_offset(upload.video_id, upload.content_version)
        if not answered and (not again or first is None):
            try:
                return [attempted(source, lambda: shard.apply(upload, source.offset))]
            except InternalError:
                attempted(source, lambda: shard.absorb(upload, source.offset))
                raise
        attempted(source, lambda: shard.absorb(upload, source.offset))
        return []
    except RejectedError as error:
        log.warning("log entry %d: %s: %s", source.offset, error.code, brief(error))
        return [] if answered else [source.rejected(error, request_id=request_id)]


class LibraryWorker:
    """Runs shard `shard` of `settings.library.shards`.

    Delivery contract: every log entry is answered at least once, in order; entries answered
    before a crash may be answered again, with the same content. A snapshot holds only entries
    whose answers are on the broker. Where the last message of a video isn't what the library holds,
    what it holds is on the log again before the offset is committed.
    """

    def __init__(self, settings: Settings, shard: int) -> None:
        self._settings, self._number = settings, shard
        self._name = f"library-{shard}-of-{settings.library.shards}"
        self._stage = f"compare {shard}/{settings.library.shards}"
        self._publisher = Publisher(settings.kafka)
        self._restater = Restater(settings.kafka, self._publisher)
        # One: the shard isn't thread-safe, and entries are taken in the log's order.
        self._thread = ThreadPoolExecutor(1, self._name)
        self._log = TopicPartition(settings.kafka.topic(VideoFingerprinted.topic), 0)
        self._stopping = False
        self._consumer: Any = None
        self._deaths = Deaths(settings.worker.data_folder, self._name)
        self._probes: ProbeAnswers | None = None
        self._task: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._progress, self._first_end = Progress(), 0
        self._in_hand_at: float | None = None
        self._aligned = 0
        self._not_ready: str | None = "the snapshot is being restored"
        begin_at_zero("library")
        LIBRARY_SHARDS.set(settings.library.shards)
        self.failure: Failure = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        """Connect, restore the newest usable snapshot and begin to read after it.

        Raises:
            SnapshotError: the log is shorter than the snapshot: it was deleted or made anew.
        """
        self._deaths.open()
        await self._publisher.start()
        kafka = self._settings.kafka
        self._consumer = seeking_consumer(
            kafka,
            group_id=shard_group(kafka, self._number, self._settings.library.shards),
            partition_bytes=kafka.max_message_bytes,
            fetch_max_bytes=2 * kafka.max_message_bytes,  # one is searched while the next comes
        )
        await self._consumer.start()
        self._consumer.assign([self._log])
        await self._restore()
        self._probes = self._make_probes()
        await self._probes.start()
        watching = watch_clients(self._clients, self.failure)
        self._watch = supervised(watching, "watching Kafka's clients", self.failure)
        self._task = asyncio.create_task(self._guarded(), name=self._name)

    def _make_probes(self) -> ProbeAnswers:
        return ProbeAnswers(
            self._settings.kafka,
            self._shard,
            self._thread,
            self._publisher,
            self._deaths,
            self.failure,
            read_to=lambda: self._position.read,
            log_end=lambda: self._log_end,
        )

    def _clients(self) -> Iterator[object]:
        yield self._consumer
        if self._probes is not None:
            yield from self._probes.clients()
        yield from self._publisher.clients()

    async def stop(self) -> None:
        """Finish the entry in hand, save a snapshot, disconnect."""
        deadline = Deadline(self._settings.worker.drain_seconds)
        self._stopping = True
        leaving = None if self._probes is None else asyncio.ensure_future(self._probes.stop())
        if self._task is not None:
            await within(deadline.for_events() + 0.1, f"{self._name}'s last entry", self._task)
        if leaving is not None:
            await within(deadline.for_closing(), "leaving the probes", leaving)
        if self._watch is not None:
            self._watch.cancel()
        if self._consumer is not None:
            await within(deadline.for_closing(), "leaving the log", disconnect(self._consumer))
        await within(deadline.for_closing(), "disconnecting", self._publisher.stop())
        self._close()

    def _close(self) -> None:
        """Let go of the threads; one that is busy can't be waited for."""
        idle = self._task is None or self._task.done()
        self._thread.shutdown(wait=idle, cancel_futures=True)
        if self._task is not None and idle:
            self._upkeep.close()
        self._deaths.close()

    async def _restore(self) -> None:
        library = self._settings.library
        self._snapshots = SnapshotStore(
            library,
            shard=self._number,
            log_id=await asyncio.to_thread(
                log_identity, self._settings.kafka, VideoFingerprinted.topic
            ),
        )
        self._upkeep = Upkeep(self._snapshots)
        loop = asyncio.get_running_loop()
        # On the shard's own thread, as all that touches what is restored.
        found = await loop.run_in_executor(self._thread, self._snapshots.load_latest)
        aligner = open_aligner(library)
        self._shard = LibraryShard(library, self._number, aligner, found.state if found else None)
        begin = (await self._consumer.beginning_offsets([self._log]))[self._log]
        end = (await self._consumer.end_offsets([self._log]))[self._log]
        position = found.next_offset if found else begin
        # Going on would answer nothing until the new log is as long, and then from the wrong state.
        if position > end:
            raise SnapshotError(
                f"the snapshot of {self._name} is at offset {position}, but the log ends at {end}: "
                f"it was made anew. Move {library.snapshot_folder} away to build from the log"
            )
        self._position = LogPosition(
            label=str(self._number),
            read=position,
            # 0 and None alike: nothing was answered.
            answered=await self._consumer.committed(self._log) or begin,
            saved=position,
            written_at=found.written_at if found else time.time(),
        )
        self._first_end = end
        self._not_ready = "the log is being read"
        if self._lag <= READY_LAG:
            self._not_ready = None
        self._consumer.seek(self._log, position)
        log.info("%s starts at offset %d of %d", self._name, position, end)

    async def _guarded(self) -> None:
        try:
            await self._run()
        except Exception as error:
            log.exception("%s failed", self._name)
            fail(self.failure, error)
        except asyncio.CancelledError:
            if not self._stopping:  # by a Kafka client that went down
                fail(self.failure, WorkerError(f"{self._name} was cancelled from within"))
            raise

    async def _run(self) -> None:
        while not self._stopping:
            await self._take_next()
            await self._note_progress()
        await self._finish()

    async def _take_next(self) -> None:
        """What comes within a moment; none of it is held while the next is waited for."""
        batches = await self._consumer.getmany(
            self._log, timeout_ms=int(1000 * POLL_SECONDS), max_records=POLL_MESSAGES
        )
        for message in batches.get(self._log, ()):
            self._progress.begin()
            self._in_hand_at = oldest_at(message)
            # What was answered before a restart is only taken in: nobody waits for that.
            stage = None if message.offset < self._position.answered else self._stage
            with about(message, stage=stage):
                await self._take(message)
            self._progress.end()
            # What was fetched and isn't taken is fetched again by the next start.
            if self._stopping:
                break
        self._in_hand_at = None

    async def _take(self, message: Any) -> None:
        source = Source.of(message, VideoFingerprinted.topic)
        answered = source.offset < self._position.answered
        step = carried(partial(library_step, self._shard, source, answered=answered))
        try:
            with self._deaths.at_work(source):
                outputs = await asyncio.get_running_loop().run_in_executor(self._thread, step)
        except InternalError as error:  # the process died here again and again
            outputs = [] if answered else [source.rejected(error)]
        failpoint("library.before_produce")
        outputs = await publish_or_reject(
            self._publisher, source, outputs, request_id=_request_of(outputs)
        )
        failpoint("library.after_produce")
        if self._shard.truth is not None and not answered:
            await self._restater.say(self._shard.truth)
            failpoint("library.after_restate")
        # Only now: no commit may pass an entry whose answer, or what is said again, isn't on the
        # broker.
        self._position.read = source.offset + 1
        for output in outputs:
            OUTCOMES.labels("library", output.topic).inc()
            if isinstance(output, VideoCompared):
                observe_stages("library", _own(output.stage_seconds))
                MATCHES.labels(str(self._number)).inc(len(output.matches))

    async def _note_progress(self) -> None:
        if self._position.commit_is_due(self._settings.worker.commit_seconds):
            await self._commit()
        loop = asyncio.get_running_loop()
        busy = await loop.run_in_executor(self._thread, self._upkeep.step, self._shard.state)
        if not busy and self._position.snapshot_is_due(self._settings.library):
            await self._save()
        self._position.show()
        label = str(self._number)
        LIBRARY_FRAMES.labels(label).set(self._shard.state.frames)
        LIBRARY_VIDEOS.labels(label).set(self._shard.state.videos)
        LOG_LAG.labels(label).set(self._lag)
        # The shard counts on its own thread, probes as well: what has come since is added here.
        aligned = self._shard.aligned
        ALIGNED.labels(label).inc(aligned - self._aligned)
        self._aligned = aligned
        show_models("library", self._shard.networks)
        if self._lag <= READY_LAG:
            self._not_ready = None

    @property
    def _log_end(self) -> int:
        """Where the log ends, as far as it was heard of."""
        heard: int | None = self._consumer.highwater(self._log)
        return self._first_end if heard is None else heard

    @property
    def _lag(self) -> int:
        """Entries that aren't read yet."""
        return max(0, self._log_end - self._position.read)

    def health(self) -> Health:
        """Ready when the snapshot is restored and the log is read almost to its end.

        Kafka's absence is no standstill, whether an answer waits or an entry is asked for.
        """
        if self._task is None:  # a snapshot takes as long to restore as it takes
            return Health(
                self._name, not_ready=self._not_ready, role="library", shard=str(self._number)
            )
        waits = self._publisher.waits_seconds
        behind = self._lag
        # Each look while Kafka is away moves the clock on: what comes of it then is no standstill.
        if waits or not is_connected(self._consumer):
            self._progress.reset()
        stands = self._progress.stands_still_seconds(behind)
        why = f"{behind} entries of the log are not read yet" if behind else self._not_ready
        if waits:
            why = f"Kafka has not taken an event for {waits:.0f} s"
        ready = not waits and self._not_ready is None
        probes = [] if self._probes is None else self._probes.lags()
        return Health(
            self._name,
            stands,
            None if ready else why,
            (Lag(self._log.topic, 0, behind, self._in_hand_at), *probes),
            role="library",
            shard=str(self._number),
        )

    async def _commit(self) -> None:
        await self._consumer.commit({self._log: self._position.read})
        self._position.note_commit()

    async def _save(self) -> None:
        """Commit, then begin a snapshot; when the disk is full, the log still has everything."""
        # A snapshot ahead of the group offset would skip entries that nobody has answered.
        if not self._position.is_committed:
            await self._commit()
        self._position.note_saving()
        offset = self._position.read
        if offset == self._position.saved:
            return
        saved = partial(self._position.note_saved, offset)
        begin = partial(self._upkeep.snapshot, self._shard.state, offset, saved)
        await asyncio.get_running_loop().run_in_executor(self._thread, begin)

    async def _finish(self) -> None:
        """A last snapshot, written before the worker stops."""
        # What is under way first: a snapshot is begun when nothing else is.
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._upkeep.finish)
        await self._save()
        await loop.run_in_executor(self._thread, self._upkeep.finish)


def _request_of(outputs: list[Event]) -> str | None:
    """Whose answer or dead letter it is."""
    return next((getattr(output, "request_id", None) for output in outputs), None)


def _own(stage_seconds: dict[str, float]) -> dict[str, float]:
    return {name: stage_seconds[name] for name in ("search", "align") if name in stage_seconds}
