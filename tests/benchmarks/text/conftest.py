"""Captioned photos, and the pairs that the benchmarks of clips measure: made and shipped."""

from pathlib import Path

import pytest

from models.text_video.serve import Pair, open_pair
from tests.models.text_video_data import make_data
from tests.stream.text_video_pair import make_pair

TRAIN, HELD = 60, 45


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of `TRAIN` and `HELD` coloured photos."""
    return make_data(tmp_path_factory.mktemp("data"), train=TRAIN, held=HELD)


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a pair that knows colours."""
    return make_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="session")
def shipped() -> Pair:
    """The shipped pair, as the service opens it."""
    return open_pair()
