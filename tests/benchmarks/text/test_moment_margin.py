"""The sweep of the margin: what moments gain, and what they cost."""

from pathlib import Path

import numpy as np
import orjson
import pytest

from benchmarks.text.moment_margin import MARGINS, PAIR, by_margin, main
from benchmarks.text.one_of_ten import LANGUAGES
from benchmarks.text.shots import clip_vectors, make_clips, read_shots
from models.metrics.recall import retrieval_of
from models.text_video.serve import open_pair
from tests.stream.text_video_pair import SIZE


def test_every_margin_is_measured_and_above_one_no_moment_counts(data: Path, colours: Path) -> None:
    pair = open_pair(colours)
    photos, pictures = read_shots(data, "train", SIZE, seed=1)
    rows = by_margin(pair, photos, pictures, seed=1)
    assert [*rows] == [*LANGUAGES]
    for language, found in rows.items():
        assert [*found] == [*MARGINS]
        assert all(ten == 100 for ten, _ in found.values()), "of six clips, all are among ten"
        made = make_clips(photos, language, PAIR, seed=1)
        whole = clip_vectors(pair.video, pictures, made.groups).whole
        alone = retrieval_of(pair.text.embed(made.texts) @ whole.T, np.arange(len(whole)))
        assert found[1.0][1] == pytest.approx(alone.r_sum)
    assert len({two for _, two in rows["en"].values()}) > 1, "moments change what is found"


def test_the_report_says_which_photos(data: Path, colours: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    main(data, colours, json=report)
    told = orjson.loads(report.read_bytes())
    assert (told["split"], [*told["rows"]]) == ("train", ["en", "zh"])
    assert [float(margin) for margin in told["rows"]["en"]] == [*MARGINS]
