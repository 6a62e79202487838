"""A broker for all tests of a module, unless the module or its folder has another."""

from collections.abc import Iterator

import pytest

from stream.broker.embedded import embedded_kafka
from stream.broker.settings import KafkaSettings


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaSettings]:
    with embedded_kafka(KafkaSettings(topic_prefix="t.")) as settings:
        yield settings
