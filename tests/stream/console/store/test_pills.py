"""No message ends the console's follower: each is in the rows or passed over, and met once."""

import json
import logging

import pytest

from stream.console.store.database import Database
from stream.console.store.intake import Intake
from stream.console.store.messages import TOPICS
from stream.contract.events import EVENTS
from stream.contract.message import Source
from tests.stream.pills import Pill, good_fields, pills

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("topic", TOPICS)
async def test_every_pill_is_taken_or_passed_over(
    database: Database, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)  # hundreds are passed over
    intake = Intake(database, dict.fromkeys(TOPICS, "log"), 3.0)
    key = EVENTS[topic].from_json(good_fields(topic)).key()
    good = Pill(json.dumps(good_fields(topic)).encode(), key)
    for offset, (name, pill) in enumerate([*pills(topic), ("a good one behind them", good)]):
        # As aiokafka gives it; most have the key that they should have, so that they are read on.
        used = key if pill.key == b"pill" else pill.key
        source = Source(topic, 3, offset, 1_767_225_600_000, pill.value, used)
        try:
            assert await intake.take([source]) == {(topic, 3): offset + 1}
        except Exception as error:
            raise AssertionError(f"{name} ends the follower") from error
