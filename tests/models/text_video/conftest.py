"""Photos with captions, and a pair that learned from them, once for all tests of a worker."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.models.text_video_data import make_data

if TYPE_CHECKING:  # with torch, which most files here don't need
    from models.text_video.train import TextTrainer


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where features of the photos are kept."""
    return tmp_path_factory.mktemp("features")


@pytest.fixture(scope="session")
def taught(data: Path, kept: Path, tmp_path_factory: pytest.TempPathFactory) -> "TextTrainer":
    """A whole run, in a folder of its own."""
    from models.text_video.run import train_text_video
    from tests.models.text_video.small_recipe import RECIPE

    return train_text_video(RECIPE, data, tmp_path_factory.mktemp("taught"), features_dir=kept)
