"""The service's settings on the module's broker, with a folder of each test's own."""

from pathlib import Path

import pytest

from stream.broker.settings import KafkaSettings
from stream.settings import Settings
from tests.stream.service import service_settings


@pytest.fixture
def settings(kafka: KafkaSettings, tmp_path: Path) -> Settings:
    return service_settings(kafka, tmp_path)
