"""What fingerprint workers and shards have in common when they answer probes.

A probe is worked on at most once, and its asker waits until `answer_by` and no longer: so there are
no dead letters, and what names no probe is dropped with a line.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime

from aiokafka.errors import MessageSizeTooLargeError

from stream.agents.publisher import Publisher
from stream.contract.events import Event, ProbeAnswered, parse_json
from stream.contract.message import Source
from stream.errors import BadEventError, RejectedError, TooLargeError, VideoTimeoutError, brief
from stream.metrics import OUTCOMES

log = logging.getLogger(__name__)

MAX_ID_LETTERS = 512  # as `Identifier` in the contract

Refuse = Callable[[RejectedError], ProbeAnswered | None]


def check_in_time(answer_by: datetime, now: datetime) -> None:
    """Refuse to begin what nobody waits for.

    Raises:
        VideoTimeoutError: it came too late; the text has both times, as clocks may differ.
    """
    if now > answer_by:
        raise VideoTimeoutError(
            f"to be answered by {answer_by:%Y-%m-%d %H:%M:%S%z}, and it is "
            f"{now:%Y-%m-%d %H:%M:%S%z} here: ask again, and wait longer"
        )


def refused(
    source: Source,
    error: RejectedError,
    *,
    shard: int | None = None,
    shards: int | None = None,
    stage_seconds: Mapping[str, float] | None = None,
) -> ProbeAnswered | None:
    """Why there is no answer, for whoever asked; None where the message doesn't say which probe.

    Args:
        source: a message of `probe.asked` or `probe.fingerprinted`.
        error: what is wrong with it.
        shard: that can't answer, and of how many; none for the whole probe.
        shards: the same.
        stage_seconds: time spent so far, by stage.
    """
    told = f"{error.code}: {brief(error)}"
    probe_id = _probe_id(source)
    if probe_id is None:
        log.warning("%s names no probe and is dropped: %s", source, told)
        return None
    log.info("the probe %s is refused: %s", probe_id, told)
    return ProbeAnswered(
        probe_id=probe_id,
        shard=shard,
        shards=shards,
        error=error.code,
        message=brief(error),
        stage_seconds=dict(stage_seconds or {}),
    )


def _probe_id(source: Source) -> str | None:
    # From the bare JSON: where another field is wrong, whoever asked can be told all the same.
    try:
        fields = parse_json(source.value)
    except BadEventError:
        return None
    probe_id = fields.get("probe_id") if isinstance(fields, dict) else None
    named = isinstance(probe_id, str) and 0 < len(probe_id) <= MAX_ID_LETTERS
    return probe_id if named else None


async def publish(publisher: Publisher, role: str, output: Event | None, refuse: Refuse) -> None:
    """Publish what was made of a probe; where that is too large for its topic, why there is none.

    Args:
        publisher: started.
        role: of the worker, for the metrics.
        output: None where nobody can be told anything.
        refuse: makes the refusal of this probe.
    """
    if output is not None:
        try:
            await publisher.publish([output])
        except MessageSizeTooLargeError as error:
            problem = TooLargeError(f"what was made of it is too large for its topic: {error}")
            output = refuse(problem)
            await publisher.publish([] if output is None else [output])
    OUTCOMES.labels(role, _outcome(output)).inc()


def _outcome(output: Event | None) -> str:
    if output is None:
        return "probe.dropped"
    refused = isinstance(output, ProbeAnswered) and output.error is not None
    return "probe.refused" if refused else output.topic
