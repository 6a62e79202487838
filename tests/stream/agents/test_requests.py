"""What a decide worker writes down of a request fits a message, or the request is refused."""

from pathlib import Path

import pytest

from stream.agents.publisher import Publisher
from stream.agents.requests import Requests
from stream.broker.settings import KafkaSettings
from stream.decide.alert import alert_of
from stream.decide.decide import Join, Pending, on_compared
from stream.errors import TooLargeError
from stream.times import now
from tests.stream.answers import answer, match
from tests.stream.service import service_settings


def test_more_than_the_changelog_takes_is_noted_without_the_answers_or_refused(
    tmp_path: Path,
) -> None:
    kafka = KafkaSettings(max_message_bytes=2**20)
    requests = Requests(service_settings(kafka, tmp_path), Publisher(kafka))
    segments = match("film").segments * (kafka.max_message_bytes // 200)
    whole = answer(0, match("film", segments=segments))
    join, _ = on_compared(Join(), whole)
    outputs = [alert_of(whole, whole.matches[0])]
    then = Join(decided_at=now())
    noted = requests.fitting(join.about_to_say(outputs, then))
    assert (noted.answers, noted.pending) == ({}, Pending(outputs=tuple(outputs), then=then))
    assert requests.fitting(join) is join
    with pytest.raises(TooLargeError, match="what is said of a request: "):
        requests.fitting(join.about_to_say(outputs * 3, then))
