"""The client of the command: naming videos, sending all or saying why not, reading from a point."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaError

from stream.broker.client import Reader, send, submit, upload_of
from stream.broker.clients import ANSWER_SECONDS
from stream.broker.embedded import EmbeddedBroker
from stream.broker.settings import KafkaSettings
from stream.contract.events import VideoUploaded
from stream.errors import BrokerError, SettingsError, UnreachableError
from tests.stream.faulty_broker import LIST_OFFSETS, FaultyBroker

MIB = 2**20


def test_a_file_is_named_by_its_stem_and_its_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a #1.b.mp4").touch()
    upload = upload_of("a #1.b.mp4", owner_id="o")
    assert (upload.video_id, upload.role) == ("a #1.b", "upload")
    assert upload.uri == (tmp_path / "a #1.b.mp4").as_uri()


def test_an_id_of_the_callers_own_wins(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.touch()
    upload = upload_of(str(path), owner_id="o", role="reference", video_id="42")
    assert (upload.video_id, upload.role) == ("42", "reference")


@pytest.mark.parametrize(
    ("uri", "video_id"),
    [
        ("https://example.org/v/a.mp4", "a"),
        ("https://example.org/v/a.mp4?expires=/1.5", "a"),
        ("https://example.org/v/a%20b.mp4", "a b"),
        ("https://example.org/v/a/", "a"),
        ("s3://bucket/folder/a.b.mp4", "a.b"),
        ("file:///videos/a.mp4", "a"),
    ],
)
def test_a_uri_is_named_by_its_file_and_kept_as_it_is(uri: str, video_id: str) -> None:
    upload = upload_of(uri, owner_id="o")
    assert (upload.video_id, upload.uri) == (video_id, uri)


@pytest.mark.parametrize("uri", ["https://example.org", "https://example.org/", "s3://bucket"])
def test_a_host_or_a_bucket_is_no_name(uri: str) -> None:
    with pytest.raises(SettingsError, match=f"{uri} has no file name"):
        upload_of(uri, owner_id="o")


@pytest.fixture
def faulty() -> Iterator[FaultyBroker]:
    with FaultyBroker() as broker:
        yield broker


def test_a_leader_that_is_being_elected_is_waited_for(faulty: FaultyBroker) -> None:
    kafka = faulty.kafka
    submit(kafka, [VideoUploaded(video_id="v", uri="file:///v", owner_id="o")])
    with Reader(kafka, VideoUploaded.topic) as reader:
        assert len(list(reader.until_now())) == 1  # afterwards it asks for nothing by itself
        for _ in range(3):
            faulty.refuse(KafkaError.NOT_LEADER_FOR_PARTITION, request=LIST_OFFSETS)
        assert sum(reader.ends()) == 1
    with Reader(kafka, VideoUploaded.topic) as reader:
        faulty.refuse(KafkaError.LEADER_NOT_AVAILABLE, request=LIST_OFFSETS)
        assert len(list(reader.until_now())) == 1


@pytest.mark.timed
def test_a_refusal_that_stays_is_said_at_once(faulty: FaultyBroker) -> None:
    kafka = faulty.kafka
    with Reader(kafka, VideoUploaded.topic) as reader:
        list(reader.until_now())
        faulty.refuse(KafkaError.TOPIC_AUTHORIZATION_FAILED, request=LIST_OFFSETS)
        started = time.monotonic()
        with pytest.raises(BrokerError, match=r"(?i)authoriz"):
            reader.ends()
        assert time.monotonic() - started < ANSWER_SECONDS / 2


def test_until_now_is_everything_of_every_partition_and_no_more(kafka: KafkaSettings) -> None:
    uploads = [VideoUploaded(video_id=str(n), uri="file:///v", owner_id="o") for n in range(40)]
    submit(kafka, uploads)
    with Reader(kafka, VideoUploaded.topic) as reader:
        read = {VideoUploaded.from_bytes(found[1].value()).video_id for found in reader.until_now()}
    assert read == {upload.video_id for upload in uploads}


def test_a_reader_from_now_sees_what_comes_after_it_was_made(kafka: KafkaSettings) -> None:
    send(kafka, "alert.reviewed", [(b"k", b"before", [])])
    with Reader(kafka, "alert.reviewed", from_beginning=False) as reader:
        send(kafka, "alert.reviewed", [(b"k", b"after", [("name", b"value")])])
        found = reader.poll(10)
        assert found is not None
        topic, message = found
        assert reader.poll(0.2) is None
    assert (topic, message.value()) == ("alert.reviewed", b"after")
    assert message.headers() == [("name", b"value")]


def test_what_is_on_its_way_is_read_in_the_order_of_its_key(kafka: KafkaSettings) -> None:
    sent = [str(number).encode() for number in range(500)]
    send(kafka, "video.decided", ((b"one key", value, []) for value in sent))
    with Reader(kafka, "video.decided") as reader:
        assert [message.value() for _, message in reader.until_now()] == sent


def test_a_message_over_the_limit_is_refused_and_named(kafka: KafkaSettings) -> None:
    small = kafka.model_copy(update={"max_message_bytes": MIB})
    with pytest.raises(BrokerError, match=r"video\.compared: .*too large"):
        send(small, "video.compared", [(b"k", bytes(2 * MIB), [])])


def test_a_topic_that_is_not_there_is_not_made(kafka: KafkaSettings) -> None:
    other = kafka.model_copy(update={"topic_prefix": "other."})
    with pytest.raises(BrokerError, match=r"no topic other\.video\.uploaded.*topics create"):
        submit(other, [VideoUploaded(video_id="a", uri="file:///v", owner_id="o")])
    with pytest.raises(BrokerError, match=r"no topic other\.alert\.raised.*topics create"):
        Reader(other, "alert.raised")


def test_a_broker_that_went_away_is_an_error_with_the_cure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with EmbeddedBroker() as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        reader = Reader(kafka, "alert.raised")
    monkeypatch.setattr("stream.broker.client.ANSWER_SECONDS", 0.5)
    monkeypatch.setattr("stream.broker.clients.ANSWER_SECONDS", 0.5)
    with reader, pytest.raises(BrokerError, match="samesource broker start"):
        list(reader.until_now())
    with pytest.raises(BrokerError, match="samesource broker start"):
        send(kafka, "alert.raised", [(b"k", b"v", [])])


def test_a_broker_that_falls_silent_halfway_is_an_error_and_not_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with EmbeddedBroker() as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        send(kafka, "alert.raised", [(b"k", b"%d" % number, []) for number in range(3)])
        with Reader(kafka, "alert.raised") as reader:
            found = reader.until_now()
            assert next(found)[1].value() == b"0"
            monkeypatch.setattr("stream.broker.client.ANSWER_SECONDS", 1.0)
            monkeypatch.setattr(reader, "_poll", lambda seconds: time.sleep(seconds))
            with pytest.raises(UnreachableError, match="1 partitions aren't read"):
                next(found)


@pytest.mark.timed
def test_what_was_read_is_not_waited_for_again(kafka: KafkaSettings) -> None:
    send(kafka, "alert.suppressed", [(b"k", b"first", [])])
    with Reader(kafka, "alert.suppressed") as reader:
        assert [message.value() for _, message in reader.until_now()] == [b"first"]
        began = time.monotonic()
        assert list(reader.until_now()) == []
        assert time.monotonic() - began < 5
        send(kafka, "alert.suppressed", [(b"k", b"second", [])])
        assert [message.value() for _, message in reader.until_now()] == [b"second"]
