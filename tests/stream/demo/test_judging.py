"""The demo judges as the service does: it says for itself where things lie, and no threshold."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from stream.demo import run
from stream.demo.clips import Drawing
from stream.demo.demo_set import DemoSet
from stream.errors import BrokerError
from stream.settings import Settings, load_settings

OF_THE_DEMO = {
    "kafka.bootstrap_servers",
    "kafka.topic_prefix",
    "fetch.roots",
    "library.shards",
    "library.snapshot_folder",
    "library.snapshot_store",
    "search.snapshot_folder",
    "worker.data_folder",
    "worker.session_timeout_seconds",
    "console.host",
    "console.port",
    "console.public_url",
    "console.match_store",
    "console.database_url",
}


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings of a demo's workers, none of which starts."""
    taken: list[Settings] = []

    def refuse(settings: Settings, **_: object) -> None:
        taken.append(settings)
        raise BrokerError("no worker is wanted")

    @contextmanager
    def no_drawing(_: Path) -> Iterator[Drawing]:
        yield Drawing(DemoSet([], [], {}), {})

    monkeypatch.setattr(run, "running_workers", refuse)
    monkeypatch.setattr(run, "drawing", no_drawing)
    return taken


def differing(before: Settings, after: Settings) -> set[str]:
    """The keys that differ, with their sections."""
    sections: dict[str, dict[str, Any]] = after.model_dump()
    return {
        f"{section}.{key}"
        for section, keys in before.model_dump().items()
        for key, value in keys.items()
        if sections[section][key] != value
    }


@pytest.mark.parametrize(
    ("judging", "with_console"),
    [
        ({}, False),
        (
            {
                "decode": {"frames_per_second": 2.0},
                "key_frames": {"query_every_seconds": 2.0},
                "library": {
                    "min_score": 0.71,
                    "min_similarity": 0.33,
                    "min_similarity_growth": 0.01,
                    "candidate_hits": 1,
                    "candidates": 7,
                    "aligner": "hough_voting",
                },
            },
            True,
        ),
    ],
    ids=["as shipped", "set by somebody"],
)
def test_the_demo_changes_no_setting_that_judges(
    taken: list[Settings], judging: dict[str, Any], with_console: bool
) -> None:
    quiet = {"log_level": "WARNING"}  # or it would quieten the loggers of all tests
    settings = load_settings(kafka={"broker": "embedded"}, worker=quiet, **judging)
    with pytest.raises(BrokerError, match="no worker is wanted"):
        run.run_demo(settings, None, Console(file=io.StringIO()), with_console=with_console)
    [own] = taken
    assert differing(settings, own) <= OF_THE_DEMO


def test_make_demo_sets_nothing_of_the_service() -> None:
    makefile = Path(__file__).parents[3] / "Makefile"
    assert "SAMESOURCE_" not in makefile.read_text()
