"""`samesource skip`: a message that an operator leaves behind is a dead letter, and decided."""

from pathlib import Path

import pytest

from stream.broker.embedded import embedded_kafka
from stream.broker.settings import KafkaSettings
from tests.stream.command import Command
from tests.stream.service import Platform, running_service, service_settings, upload
from tests.stream.videos import make_video


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capfd)


async def test_the_next_start_leaves_it_behind_and_takes_what_follows(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = make_video(tmp_path / "one.mp4", count=2)
    with embedded_kafka(KafkaSettings()) as kafka:
        settings = service_settings(kafka, tmp_path)
        monkeypatch.setenv("SAMESOURCE_WORKER__DATA_FOLDER", str(settings.worker.data_folder))
        with Platform(kafka) as before:
            await before.submit(upload(video, "skipped"), upload(video, "behind"))
        for number in range(8):  # the key's partition is the client's affair
            done = command("skip", "video.uploaded", str(number), "0")
            assert (done.code, done.err) == (0, "")
        async with running_service(settings) as platform:
            await platform.read_until(platform.has_decided("skipped", "behind"))
    (letter,) = platform.of("video.rejected", "skipped")
    assert (letter["error"], letter["message"]) == (
        "internal",
        "left behind by `samesource skip`",
    )
    assert platform.of("video.decided", "skipped")[0]["outcome"] == "rejected"
    assert platform.of("video.decided", "behind")[0]["outcome"] != "rejected"


def test_a_topic_that_stops_nobody_is_refused(command: Command) -> None:
    done = command("skip", "policy.updated", "0", "1")
    assert done.code != 0
    assert "no message of policy.updated can be in a worker's way" in done.err
