"""Probes as an asker writes them; serves the tests of those who answer."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from stream.contract.events import ProbeAnswered, ProbeAsked, ProbeFingerprinted
from stream.contract.fingerprint import Fingerprint
from stream.contract.message import Source
from stream.times import now
from tests.stream.answers import match

MINUTE = timedelta(minutes=1)


def asked(path: Path, probe_id: str, *, wait: timedelta = MINUTE, **more: Any) -> ProbeAsked:
    """A probe of a file; a negative wait has passed."""
    return ProbeAsked(probe_id=probe_id, uri=path.as_uri(), answer_by=now() + wait, **more)


def fingerprinted(video: Fingerprint, *, wait: timedelta = MINUTE) -> ProbeFingerprinted:
    """The probe on its way to the shards; it is named after the video."""
    return ProbeFingerprinted(
        probe_id=video.video_id, answer_by=now() + wait, fingerprint=video.to_event()
    )


def source_of(probe: ProbeAsked | ProbeFingerprinted, offset: int = 0) -> Source:
    """Its message."""
    return Source(probe.topic, 0, offset, 1000, probe.to_bytes(), probe.key())


def answered(probe_id: str, shard: int, *reference_ids: str, shards: int = 2) -> ProbeAnswered:
    """A shard's answer, with one match for each reference."""
    return ProbeAnswered(
        probe_id=probe_id,
        shard=shard,
        shards=shards,
        library_offset=7,
        matches=[match(reference_id) for reference_id in reference_ids],
    )
