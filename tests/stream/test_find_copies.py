"""Two files in, the copied seconds out: the service's answer without the service."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from models.encoder.serve import default_encoder_path
from stream import find_copies
from stream.broker.embedded import embedded_kafka
from stream.broker.settings import KafkaSettings
from stream.demo.footage import FRAMES_PER_SECOND, write_video
from stream.demo.scenes import SCENES
from stream.errors import NotFoundError, RejectedError, SettingsError
from stream.settings import load_settings
from tests.stream.answers import spans
from tests.stream.service import running_service, service_settings, upload

SHOT_SECONDS = 4
EDGE_SECONDS = 0.75
Pictures = Sequence[Image.Image]

needs_weights = pytest.mark.skipif(
    not default_encoder_path().is_file(), reason="no encoder is trained yet"
)


def shots(*names: str) -> Pictures:
    return [
        scene.draw(number / FRAMES_PER_SECOND)
        for scene in (SCENES[name](3) for name in names)
        for number in range(SHOT_SECONDS * FRAMES_PER_SECOND)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A known video of 16 s; uploads with 4 to 12 s of it from 4 s on, or nothing."""
    folder = tmp_path_factory.mktemp("pair")
    known, other = shots("landscape", "road", "reef", "wheel"), shots("skyline")
    copied = known[SHOT_SECONDS * FRAMES_PER_SECOND : 3 * SHOT_SECONDS * FRAMES_PER_SECOND]
    write_video(folder / "known.mp4", known)
    write_video(folder / "copy.mp4", [*other, *copied])
    write_video(folder / "backwards.mp4", [*other, *copied[::-1]])
    write_video(folder / "unrelated.mp4", [*other, *shots("chart")])
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


@needs_weights
def test_a_copy_is_found_at_its_seconds(folder: Path) -> None:
    (found,) = find_copies(folder / "copy.mp4", folder / "known.mp4")
    assert spans([found]) == [pytest.approx([4, 12, 4, 12], abs=EDGE_SECONDS)]
    assert not found.reversed
    assert 0.65 < found.score <= 1


@needs_weights
def test_a_copy_that_runs_backwards_is_said_to(folder: Path) -> None:
    found = find_copies(folder / "backwards.mp4", folder / "known.mp4")
    assert found
    assert all(segment.reversed for segment in found)


@needs_weights
def test_nothing_is_found_in_an_unrelated_video(folder: Path) -> None:
    assert find_copies(folder / "unrelated.mp4", folder / "known.mp4") == []


@needs_weights
@pytest.mark.parametrize("lost", ["upload", "known"])
def test_a_missing_file_is_named_whichever_it_is(folder: Path, lost: str) -> None:
    there, gone = folder / "copy.mp4", folder / "gone.mp4"
    with pytest.raises(NotFoundError, match=r"gone\.mp4: no file at"):
        find_copies(*((gone, there) if lost == "upload" else (there, gone)))


@needs_weights
def test_a_file_that_is_no_video_is_named_with_the_reason(folder: Path) -> None:
    with pytest.raises(RejectedError, match=r"broken\.mp4: .") as raised:
        find_copies(folder / "copy.mp4", folder / "broken.mp4")
    assert raised.value.code in {"corrupt", "unsupported", "no_video"}


@needs_weights
def test_the_policy_of_the_settings_holds(folder: Path) -> None:
    settings = load_settings(policy={"least_seconds": 60.0})
    assert find_copies(folder / "copy.mp4", folder / "known.mp4", settings=settings) == []


def test_settings_that_name_no_model_are_refused(folder: Path) -> None:
    settings = load_settings(encoder={"path": folder / "gone.onnx"})
    with pytest.raises(SettingsError, match=r"gone\.onnx"):
        find_copies(folder / "copy.mp4", folder / "known.mp4", settings=settings)


@needs_weights
def test_the_environment_names_the_settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMESOURCE_LIBRARY__LEAST_SCORE", "1.0")
    assert find_copies(folder / "copy.mp4", folder / "known.mp4") == []


@needs_weights
def test_two_lines_of_a_script_do(folder: Path, tmp_path: Path) -> None:
    """No `if __name__ == "__main__":` around them, as the first example of the README."""
    script = tmp_path / "two_lines.py"
    script.write_text('import stream\nprint(stream.find_copies("copy.mp4", "known.mp4"))\n')
    run = subprocess.run(
        [sys.executable, str(script)], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("[MatchedSegment(video_start_seconds=")
    assert run.stdout.count("\n") == 1, "the script ran once"


def test_importing_the_package_loads_no_library() -> None:
    heavy = "{'numpy', 'av', 'onnxruntime', 'pydantic', 'faust', 'torch'}"
    code = f"import sys, stream; print({heavy} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"


@needs_weights
async def test_the_service_raises_the_same(folder: Path, tmp_path: Path) -> None:
    with embedded_kafka(KafkaSettings()) as kafka:
        settings = service_settings(kafka, tmp_path)
        fetch = settings.fetch.model_copy(update={"roots": (folder,)})
        settings = settings.model_copy(update={"fetch": fetch})
        async with running_service(settings) as platform:
            await platform.submit(upload(folder / "known.mp4", "known", role="reference"))
            await platform.read_until(platform.has_decided("known"))
            await platform.submit(upload(folder / "copy.mp4", "copy"))
            await platform.read_until(lambda: bool(platform.of("alert.raised", "copy")))
            (alert,) = platform.of("alert.raised", "copy")
    found = find_copies(folder / "copy.mp4", folder / "known.mp4", settings=settings)
    assert alert["segments"] == [segment.model_dump() for segment in found]
