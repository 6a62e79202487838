"""Evaluation of a small labelled set of real files: copies are found, mistakes are named."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import orjson
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from rich.console import Console

from models.encoder.serve import default_encoder_path
from stream.errors import SettingsError
from stream.evaluate.copies import evaluate_copies
from stream.evaluate.copy_set import read_copy_set
from stream.evaluate.report import CopiesReport, Sampling
from stream.settings import Settings

SIZE = (160, 120)
FRAMES_PER_SECOND = 10
Pictures = list[NDArray[np.uint8]]


def scenes(seed: int, seconds: int, kind: str) -> Pictures:
    """A new picture of one kind every two seconds, that slowly slides."""
    random, pictures = np.random.default_rng(seed), []
    step = SIZE[0] // (2 * FRAMES_PER_SECOND)
    for _ in range(seconds // 2):
        wide = painting(random, kind)
        pictures += [
            np.asarray(wide)[:, number * step : number * step + SIZE[0]]
            for number in range(2 * FRAMES_PER_SECOND)
        ]
    return pictures


def painting(random: np.random.Generator, kind: str) -> Image.Image:
    """Twice as wide as a frame."""
    ground = {"shapes": random.integers(0, 256, 3).tolist(), "lines": [250] * 3, "text": [10] * 3}
    wide = Image.new("RGB", (SIZE[0] * 2, SIZE[1]), tuple(ground[kind]))
    draw = ImageDraw.Draw(wide)
    for _ in range(random.integers(8, 30)):
        corners = [tuple(corner) for corner in (random.uniform(0, 1, (4, 2)) * wide.size).tolist()]
        if kind == "shapes":
            draw.polygon(corners, tuple(random.integers(0, 256, 3).tolist()))
        elif kind == "lines":
            draw.line(corners, (0, 0, 0), int(random.integers(1, 3)))
        else:
            draw.text(corners[0], "".join(map(chr, random.integers(65, 91, 12))), "white")
    return wide


def write(path: Path, pictures: Pictures) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture))))
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two references; one query that copies 8 seconds, one that copies nothing, one broken."""
    folder = tmp_path_factory.mktemp("set") / "set"
    reference = scenes(1, 20, "shapes")
    write(folder / "references/r1.mp4", reference)
    write(folder / "references/r2.mp4", scenes(2, 20, "lines"))
    copied = reference[6 * FRAMES_PER_SECOND : 14 * FRAMES_PER_SECOND]
    write(folder / "queries/q1.mp4", [*scenes(3, 6, "text"), *copied, *scenes(4, 4, "text")])
    write(folder / "queries/q2.mp4", scenes(5, 16, "text"))
    (folder / "queries/q3.mp4").write_text("no video")
    (folder / "pairs.csv").write_text(
        "query_id,reference_id\nq1,r1\nq1,r2\nq2,r1\nq3,r1\n", encoding="utf-8"
    )
    labels = {"q1-r1": [[6, 6, 14, 14]], "q3-r1": [[0, 0, 5, 5]]}
    (folder / "labels.json").write_bytes(orjson.dumps(labels))
    return folder


@pytest.fixture
def own(made: Path, tmp_path: Path) -> Path:
    """A copy of the set that a test may spoil."""
    return Path(shutil.copytree(made, tmp_path / "set"))


def evaluated(
    folder: Path, *, aligner: str | None = None, sampling: Sampling = "keyframes"
) -> tuple[CopiesReport, str]:
    screen = io.StringIO()
    report = evaluate_copies(
        folder,
        Settings(),
        aligner=aligner,
        sampling=sampling,
        console=Console(file=screen, width=200),
    )
    return report, screen.getvalue()


needs_weights = pytest.mark.skipif(
    not default_encoder_path().is_file(), reason="no encoder is trained yet"
)


@needs_weights
@pytest.mark.parametrize("sampling", ["keyframes", "uniform"])
def test_the_copy_is_boxed_and_a_broken_video_is_named(made: Path, sampling: Sampling) -> None:
    report, screen = evaluated(made, sampling=sampling)
    np.testing.assert_allclose(report.boxes["q1-r1"][0], [6, 6, 14, 14], atol=2.0)
    assert report.score.missed_rate == 0.5, "q3 holds a labelled copy"
    assert 0.25 < report.score.recall <= 0.5
    of_all = report.score_of_all
    assert (of_all.recall, of_all.missed_rate) == (report.score.recall, 0.5)
    assert of_all.false_alarm_rate <= report.score.false_alarm_rate, "more pairs, no more boxes"
    assert report.unanswered.keys() == {"q3"}
    assert report.unanswered["q3"].split(":")[0] in {"unsupported", "corrupt", "no_video"}
    assert "q3" in screen and "precision" in screen


@needs_weights
def test_the_json_holds_the_figures_that_were_promised(made: Path) -> None:
    report, _ = evaluated(made, aligner="temporal_network")
    fields = orjson.loads(orjson.dumps(report.to_json()))
    assert fields["f1"] == pytest.approx(report.score.f1)
    low, high = fields["f1_interval"]
    assert 0 <= low <= report.score.f1 <= high <= 1
    for key in ("precision", "recall", "missed_rate", "false_alarm_rate"):
        assert 0 <= fields[key] <= 1
        assert 0 <= fields["score_of_all"][key] <= 1
    stages = fields["cpu_seconds_per_video_hour"]
    assert stages.keys() == {
        "fetch", "decode", "select", "encode", "search", "align", "total",
    }  # fmt: skip
    assert stages["encode"] > 0 and stages["decode"] > 0
    assert stages["total"] == pytest.approx(sum(stages.values()) / 2)
    for outcome in ("clear", "matched"):
        of_uploads = fields["cpu_seconds_per_video_hour_by_outcome"][outcome]
        assert of_uploads.keys() == stages.keys()
        assert of_uploads["decode"] > 0
        assert of_uploads["total"] == pytest.approx(sum(of_uploads.values()) / 2)
    assert fields["query_frames_per_video_hour"] >= fields["key_frames_per_video_hour"] > 0
    assert fields["cpu_seconds_per_upload"].keys() == {"search", "align", "total"}
    assert fields["aligner_version"] == "temporal_network"
    codes = fields["key_frames_per_video_hour"] * 128 * Settings().library.code_bits / 8
    assert codes < fields["library_bytes_per_video_hour"] < 3 * codes + 3600 / 76 * 4096
    assert fields["boxes"] == report.boxes
    assert fields["video_hours"] == pytest.approx(74 / 3600, rel=0.05)


@needs_weights
def test_two_runs_find_the_same(made: Path) -> None:
    assert evaluated(made)[0].boxes == evaluated(made)[0].boxes


@needs_weights
def test_an_unknown_aligner_is_refused_with_the_known_ones(made: Path) -> None:
    with pytest.raises(SettingsError, match="crystal_ball.*temporal_network"):
        evaluated(made, aligner="crystal_ball")


def spoil_labels(folder: Path) -> None:
    (folder / "labels.json").write_bytes(orjson.dumps({"q1-r1": [[6, 6, 4, 14]]}))


def spoil_labels_key(folder: Path) -> None:
    (folder / "labels.json").write_bytes(orjson.dumps({"q1_r1": [[6, 6, 14, 14]]}))


def spoil_labels_text(folder: Path) -> None:
    (folder / "labels.json").write_text("{")


def spoil_pairs(folder: Path) -> None:
    (folder / "pairs.csv").write_text("query_id,reference_id\nq1,r9\n")


def spoil_pairs_columns(folder: Path) -> None:
    (folder / "pairs.csv").write_text("query,reference\nq1,r1\n")


def lose_pairs(folder: Path) -> None:
    (folder / "pairs.csv").unlink()


def lose_references(folder: Path) -> None:
    shutil.rmtree(folder / "references")


def same_id(folder: Path) -> None:
    shutil.copy(folder / "queries/q2.mp4", folder / "references/q1.mp4")


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (spoil_labels, "labels.json: q1-r1.*ends before it starts"),
        (spoil_labels_key, "labels.json: 'q1_r1' is no query-reference"),
        (spoil_labels_text, "labels.json can't be read"),
        (spoil_pairs, "pairs.csv names 'r9'.*references has no file"),
        (spoil_pairs_columns, "pairs.csv: columns .*expected query_id,reference_id"),
        (lose_pairs, "pairs.csv can't be read"),
        (lose_references, "no folder .*references"),
        (same_id, "'q1' is a query and a reference"),
    ],
)
def test_a_mistake_in_the_set_is_named_before_anything_is_decoded(
    own: Path, spoil: Callable[[Path], None], named: str
) -> None:
    spoil(own)
    with pytest.raises(SettingsError, match=named):
        evaluated(own)


def test_videos_are_read_in_order_of_their_ids(made: Path) -> None:
    copies = read_copy_set(made)
    assert list(copies.references) == ["r1", "r2"]
    assert list(copies.queries) == ["q1", "q2", "q3"]
    assert copies.pairs[0] == ("q1", "r1")
    assert copies.labels["q1-r1"].tolist() == [[6, 6, 14, 14]]
