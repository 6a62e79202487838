"""One shot of ten: what is counted."""

from pathlib import Path

import numpy as np
import orjson

from benchmarks.text.one_of_ten import _found, in_first, main
from benchmarks.text.shots import ClipVectors


def test_a_shot_that_its_caption_knows_is_found_by_its_frame() -> None:
    alone = np.eye(200, dtype=np.float32)
    lost = np.zeros((20, 200), np.float32)
    lost[:10] = 1  # ten clips that are nearer to everything
    seen = ClipVectors(lost, alone.reshape(20, 10, 200))
    vector, nearest, served, photo = _found(alone[3::10], seen, alone[3::10])
    assert (vector, nearest, served, photo) == (0.5, 1.0, 0.5, 1.0)
    assert in_first(np.zeros((30, 30), np.float32)) == 1  # nothing is nearer


def test_every_photo_is_asked_for(data: Path, colours: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    main(data, colours, json=report)
    told = orjson.loads(report.read_bytes())
    assert [*told] == ["machine", "rows"]
    assert [(row["language"], row["clips"]) for row in told["rows"]] == [("en", 4), ("zh", 4)]
    for row in told["rows"]:  # of four clips all are among ten
        assert [row[way] for way in ("vector", "nearest", "served", "alone")] == [100] * 4
