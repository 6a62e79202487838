"""Drawn footage and what finds copies of it, once for each module."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.contract.fingerprint import Fingerprint
from stream.fingerprint.fingerprinter import Fingerprinter
from stream.settings import Settings, load_settings
from tests.stream.evaluate.finder import SHOT_SECONDS, SHOTS, Finder, Pictures, scene_of


@pytest.fixture(scope="module")
def footage() -> Pictures:
    """The reference: 20 seconds in five shots."""
    return [picture for name in SHOTS for picture in scene_of(name, SHOT_SECONDS)]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings(
        fetch={"roots": [str(tmp_path_factory.getbasetemp())]}, decode={"processes": 1}
    )


@pytest.fixture(scope="module")
def fingerprinter(settings: Settings) -> Iterator[Fingerprinter]:
    with Fingerprinter(settings, embed=False) as made:
        yield made


@pytest.fixture
def find(settings: Settings, fingerprinter: Fingerprinter, tmp_path: Path) -> Finder:
    return Finder(settings, fingerprinter, tmp_path)


@pytest.fixture(scope="module")
def reference(
    settings: Settings,
    fingerprinter: Fingerprinter,
    footage: Pictures,
    tmp_path_factory: pytest.TempPathFactory,
) -> Fingerprint:
    finder = Finder(settings, fingerprinter, tmp_path_factory.mktemp("reference"))
    return finder.fingerprint("reference", footage)
