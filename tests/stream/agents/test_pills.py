"""No message ends a worker: every topic that one reads, every message that is hard to swallow."""

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from models.all_aligners import make_aligner
from stream.agents.decide import decide_step
from stream.agents.fingerprint import fingerprint_step
from stream.agents.library import library_step
from stream.agents.policy_follower import policy_step
from stream.agents.probe_answers import answer_step, read_probe
from stream.agents.probe_fingerprints import probe_step
from stream.agents.probes import refused
from stream.agents.requests import known_state
from stream.agents.search_view import search_step
from stream.broker.settings import KafkaSettings
from stream.contract.events import (
    Event,
    PolicyUpdated,
    ProbeAnswered,
    VideoCompared,
    VideoRejected,
    VideoUploaded,
    parse_json,
)
from stream.contract.message import HEAD_BYTES, WHOLE_BYTES, Source
from stream.decide.decide import Join
from stream.decide.policy import Policies
from stream.decide.settings import PolicySettings
from stream.errors import BadEventError, InternalError, RejectedError, brief
from stream.fingerprint.fingerprinter import Fingerprinter
from stream.library.settings import LibrarySettings
from stream.library.shard import LibraryShard
from stream.search.settings import SearchSettings
from stream.search.view import SearchView
from tests.stream.pills import ATTEMPTS, PROBE_TOPICS, READ_TOPICS, Pill, good_fields, pills
from tests.stream.service import service_settings

LETTER_BYTES = 6_000_000
CPU_SECONDS = 1.0

Step = Callable[[Source], list[Event]]


def delivered(topic: str, pill: Pill, offset: int = 7) -> Source:
    """The message as aiokafka gives it."""
    message = SimpleNamespace(
        partition=3, offset=offset, timestamp=1_767_225_600_000, headers=tuple(pill.headers),
        value=pill.value, key=pill.key,
    )  # fmt: skip
    return Source.of(message, topic)


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Step]]:
    """The real step of each topic."""
    folder: Path = tmp_path_factory.mktemp("pills")
    fingerprinter = Fingerprinter(service_settings(KafkaSettings(), folder))
    shard = LibraryShard(LibrarySettings(), 0, make_aligner("temporal_network"))
    policies = Policies(PolicySettings())
    view = SearchView(SearchSettings(), "m", 4)

    def decide(source: Source) -> list[Event]:
        return decide_step(source, lambda key: Join(), policies)[-1]

    def follow(source: Source) -> list[Event]:
        policy_step(policies, source)
        return []

    def search(source: Source) -> list[Event]:
        search_step(view, source)
        return []

    def probe(source: Source) -> list[Event]:
        output = probe_step(fingerprinter, source)
        return [] if output is None else [output]

    def answer(source: Source) -> list[Event]:
        output: Event | None
        try:
            output = answer_step(shard, source, read_probe(source), 0)
        except RejectedError as error:
            output = refused(source, error, shard=0, shards=1)
        return [] if output is None else [output]

    yield {
        "probe.asked": probe,
        "probe.fingerprinted": answer,
        "video.uploaded": lambda source: fingerprint_step(fingerprinter, source),
        "video.fingerprinted": lambda source: library_step(shard, source, answered=False),
        "video.compared": decide,
        "video.rejected": decide,
        "policy.updated": follow,
        "alert.reviewed": follow,
        "video.embedded": search,
    }
    fingerprinter.close()


def taken(step: Step, source: Source) -> list[Event]:
    """What an agent publishes of a message: what the step makes of it, or its dead letter."""
    try:
        return step(source)
    except RejectedError as error:
        return [source.rejected(error)]


def code_of(output: Event) -> str | None:
    """Of a dead letter, or of the refusal of a probe."""
    return output.error if isinstance(output, VideoRejected | ProbeAnswered) else None


@pytest.mark.parametrize("topic", (*READ_TOPICS, *PROBE_TOPICS))
def test_every_pill_is_processed_or_a_small_letter_and_costs_little(
    steps: dict[str, Step], topic: str
) -> None:
    rejected = 0
    for name, pill in pills(topic):
        started = time.thread_time()  # other tests may have left threads at work
        outputs = taken(steps[topic], delivered(topic, pill))
        for output in outputs:
            data = output.to_bytes()
            assert len(data) < LETTER_BYTES, name
            assert type(output).from_bytes(data) is not None, name
            rejected += code_of(output) is not None
        assert time.thread_time() - started < CPU_SECONDS, name
    assert rejected > 20
    outputs = taken(steps[topic], delivered(topic, Pill(json.dumps(good_fields(topic)).encode())))
    codes = {code_of(output) for output in outputs} - {None}
    assert codes <= {"forbidden_uri", "not_found"}, "a good one behind them is processed"


@pytest.mark.parametrize("value", ATTEMPTS.values(), ids=ATTEMPTS.keys())
def test_a_header_that_is_no_number_of_attempts_counts_as_the_first(value: bytes | None) -> None:
    source = delivered("video.uploaded", Pill(b"{}", headers=[("samesource-attempts", value)]))
    assert source.attempts == 1
    assert source.rejected(BadEventError("no")).attempts == 1


def test_the_attempts_of_a_replay_are_read() -> None:
    headers: list[tuple[str, bytes | None]] = [("other", None), ("samesource-attempts", b"3")]
    assert delivered("video.uploaded", Pill(b"{}", headers=headers)).attempts == 3


def test_an_original_that_is_too_long_travels_as_head_length_and_digest() -> None:
    value = b'{"video_id":"long","content_version":2,"title":"' + b"a" * WHOLE_BYTES + b'"}'
    letter = delivered("video.uploaded", Pill(value)).rejected(BadEventError("no"))
    assert (letter.event, letter.event_base64) == (None, None)
    assert base64.b64decode(letter.event_head_base64 or "") == value[:HEAD_BYTES]
    assert letter.event_bytes == len(value)
    assert letter.event_sha256 == hashlib.sha256(value).hexdigest()
    assert (letter.video_id, letter.content_version) == ("long", 2), "so that it is decided"


def test_an_original_that_is_too_deep_to_be_written_travels_as_bytes() -> None:
    value = b'{"video_id":"deep","more":' + b"[" * 300 + b"]" * 300 + b"}"
    letter = delivered("video.uploaded", Pill(value)).rejected(BadEventError("no"))
    assert letter.event is None
    assert base64.b64decode(letter.event_base64 or "") == value
    assert letter.video_id == "deep"


def test_a_null_is_kept_in_an_original() -> None:
    value = b'{"video_id":"v","title":null}'
    letter = delivered("video.uploaded", Pill(value)).rejected(BadEventError("no"))
    assert json.loads(letter.to_bytes())["event"] == {"video_id": "v", "title": None}


def test_the_letter_of_a_later_event_names_the_request_of_the_upload() -> None:
    pill = Pill(b'{"video_id":"v","request_id":"3-1042-7","shard":-1}')
    later = delivered("video.compared", pill)
    assert later.rejected(BadEventError("no")).request_id == "3-1042-7"
    upload = delivered("video.uploaded", pill)
    assert upload.rejected(BadEventError("no")).request_id == "3-7-1767225600000"


def test_the_least_letter_always_fits() -> None:
    source = delivered("video.uploaded", Pill(b"x" * 500_000))
    letter = source.rejected(InternalError("é" * 5_000), stage_seconds={"fetch": 1.0})
    assert len(letter.to_bytes()) > 500_000
    assert len(letter.shortened().to_bytes()) < 3000


def test_a_policy_with_many_problems_names_the_first() -> None:
    value = json.dumps({"owner_id": "o", "licensed_owner_ids": [1] * 400_000}).encode()
    started = time.thread_time()  # other tests may have left threads at work
    with pytest.raises(BadEventError, match=r"^PolicyUpdated: licensed_owner_ids\.0: "):
        PolicyUpdated.from_bytes(value)
    assert time.thread_time() - started < CPU_SECONDS


def test_an_error_is_told_in_few_letters_that_can_be_written() -> None:
    told = brief("a" * 5000 + "z" * 5000)
    assert len(told) < 2100
    assert (told[0], told[-1]) == ("a", "z")
    assert "8000 characters" in told
    assert brief("half a pair: \ud83d").encode() == b"half a pair: ?"


def answer_of(shards: int) -> Source:
    fields: dict[str, Any] = good_fields(VideoCompared.topic) | {"shards": shards}
    return delivered(VideoCompared.topic, Pill(json.dumps(fields).encode()))


def test_a_number_of_shards_that_nobody_has_is_refused(steps: dict[str, Step]) -> None:
    assert steps["video.compared"](answer_of(4096)) == []
    with pytest.raises(BadEventError, match="shards"):
        steps["video.compared"](answer_of(4097))


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"told":["x"]}',
        b'{"answers":{"0/1":{}}}',
        b'{"pending":{"outputs":[]}}',
        b'{"pending":{"outputs":[1],"then":{}}}',
        b'{"pending":{"outputs":[["video.decided"]],"then":{}}}',
        b'{"pending":{"outputs":[["video.decided","{}"]],"then":{}}}',
        b'{"pending":{"outputs":[["video.uploaded","{}"]],"then":{}}}',
        b'{"pending":{"outputs":[[[],"{}"]],"then":{}}}',
        b'{"pending":{"outputs":[],"then":' * 300 + b"{}" + b"}}" * 300,
    ],
)
def test_a_state_that_cant_be_read_is_a_request_not_heard_of(state: bytes) -> None:
    _, before, after, outputs = decide_step(answer_of(2), lambda _: known_state(state), Policies())
    assert (before.answers, outputs) == ({}, [])
    assert len(after.answers) == 1


@pytest.mark.parametrize("many", [b"{},", b"[],", b'{"a":1},', b"1e9,", b'"x",', b"[[["])
def test_json_of_more_than_a_million_values_is_not_read(many: bytes) -> None:
    value = b'{"video_id":"v","more":[' + many * 1_000_000 + b"0]}"
    with pytest.raises(BadEventError, match="values, expected at most 1000000"):
        parse_json(value)
    assert delivered("video.uploaded", Pill(value)).rejected(BadEventError("no")).video_id is None


def test_json_of_nearly_a_million_values_is_read() -> None:
    assert len(parse_json(b"[" + b"7," * 999_990 + b"0]")) == 999_991


def test_uploads_are_read_as_before() -> None:
    upload = VideoUploaded.from_json(good_fields(VideoUploaded.topic))
    assert (upload.video_id, upload.content_version) == ("pill", 1)
