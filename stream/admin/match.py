"""Asks the shards whether a video would match, and waits for their answers; nothing is kept.

Serves `samesource match`, and whoever else asks.
"""

import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import uuid4

from models.aligners.picture import PictureAligner
from stream.broker.client import Reader
from stream.broker.sender import Sender
from stream.broker.settings import KafkaSettings
from stream.contract.events import Match, ProbeAnswered, ProbeAsked
from stream.errors import BadEventError
from stream.times import now

POLL_SECONDS = 0.5  # for which one look waits: an interrupt comes through this soon


@dataclass(frozen=True)
class Answers:
    """What has come of a probe.

    Attributes:
        probe_id: under which it was asked.
        refusal: why the whole probe has no answer.
        by_shards: what each shard said, by its number; by how many there are. More than one count
            where the library is being resharded.
    """

    probe_id: str
    refusal: ProbeAnswered | None = None
    by_shards: dict[int, dict[int, ProbeAnswered]] = field(default_factory=dict)

    @property
    def shards(self) -> int | None:
        """The count of shards of which the most have answered; None where nobody said anything."""
        return max(self.by_shards, key=lambda count: (self._answered(count), count), default=None)

    @property
    def answered(self) -> list[ProbeAnswered]:
        """The answers of that count, by shard; those that say why there is none left out."""
        return [answer for answer in self._said() if answer.error is None]

    @property
    def refused(self) -> list[ProbeAnswered]:
        """Shards of that count that say why they have no answer."""
        return [answer for answer in self._said() if answer.error is not None]

    @property
    def missing(self) -> list[int]:
        """Shards of that count that have said nothing."""
        return sorted(set(range(self.shards or 0)) - set(self.by_shards.get(self.shards or 0, {})))

    @property
    def is_complete(self) -> bool:
        """Whether every shard of one count has compared it."""
        return self.shards is not None and len(self.answered) == self.shards

    @property
    def matches(self) -> list[Match]:
        """Of all that answered, the surest first."""
        found = [match for answer in self.answered for match in answer.matches or ()]
        return sorted(found, key=lambda match: (-match.score, match.reference_id))

    @property
    def is_picture(self) -> bool:
        """Whether a still picture was looked for: of a match only the reference's seconds count."""
        return any(answer.aligner_version == PictureAligner.version for answer in self.answered)

    @property
    def is_over(self) -> bool:
        """Whether nothing more need be waited for: all have compared it, or said why not."""
        # `all` holds of nothing too, and then nobody has said anything.
        all_said = all(len(said) == count for count, said in self.by_shards.items())
        return self.is_complete or self.refusal is not None or (bool(self.by_shards) and all_said)

    def and_also(self, said: ProbeAnswered) -> "Answers":
        """With one more. Of two of one shard, as of a replica, an answer outweighs a refusal."""
        if said.shard is None or said.shards is None:
            return Answers(self.probe_id, said, self.by_shards)
        by_shards = defaultdict(dict, {count: {**said} for count, said in self.by_shards.items()})
        before = by_shards[said.shards].get(said.shard)
        if before is None or before.error is not None:
            by_shards[said.shards][said.shard] = said
        return Answers(self.probe_id, self.refusal, dict(by_shards))

    def _answered(self, count: int) -> float:
        """The share of the shards of a count that has compared it."""
        return sum(answer.error is None for answer in self.by_shards[count].values()) / count

    def _said(self) -> list[ProbeAnswered]:
        return [answer for _, answer in sorted(self.by_shards.get(self.shards or 0, {}).items())]


def match(
    kafka: KafkaSettings, uri: str, *, owner_id: str | None = None, timeout_seconds: float
) -> Answers:
    """Ask whether a video would match, and wait until all shards of one count have answered.

    Args:
        kafka: the cluster.
        uri: of the video; fetched by the rules that hold for uploads.
        owner_id: whose upload it would be.
        timeout_seconds: after which what has come by then is returned. Workers begin no work on it
            after that.

    Raises:
        BrokerError: the broker doesn't answer, or didn't take the probe.
        BadEventError: the URI or the owner is no text that an event may have.
    """
    probe_id = str(uuid4())
    fields = {"probe_id": probe_id, "uri": uri, "owner_id": owner_id}
    # The reader fixes "now" before the probe is sent: the first answer lies behind it.
    answers = Reader(kafka, ProbeAnswered.topic, from_beginning=False)
    with answers as reader, Sender(kafka) as sender:
        deadline = time.monotonic() + timeout_seconds
        answer_by = (now() + timedelta(seconds=timeout_seconds)).isoformat()
        asked = ProbeAsked.from_json(fields | {"answer_by": answer_by})
        sender.send(asked.topic, [(asked.key(), asked.to_bytes(), [])])
        return _collected(reader, Answers(probe_id), deadline)


def _collected(reader: Reader, answers: Answers, deadline: float) -> Answers:
    while not answers.is_over and (left := deadline - time.monotonic()) > 0:
        found = reader.poll(min(left, POLL_SECONDS))
        if found is None or found[1].key() != answers.probe_id.encode():
            continue
        try:
            said = ProbeAnswered.from_bytes(found[1].value())
        except BadEventError:  # anyone may write there
            continue
        answers = answers.and_also(said)
    return answers
