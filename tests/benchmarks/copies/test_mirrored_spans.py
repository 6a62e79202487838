"""What the spans of a labelled set are in truth, and which of them copy nothing."""

import json
from pathlib import Path

from benchmarks.copies.mirrored_spans import Span, beside_others, spans_of
from stream.evaluate.copy_set import read_copy_set


def test_spans_are_those_of_the_labels_and_half_of_them_beside_other_references(
    tmp_path: Path,
) -> None:
    for side, names in (("queries", "q"), ("references", "rs")):
        (tmp_path / side).mkdir()
        for name in names:
            (tmp_path / side / f"{name}.mp4").touch()
    (tmp_path / "pairs.csv").write_text("query_id,reference_id\nq,r\nq,s\n")
    labels = {"q-r": [[0, 5, 2, 7], [4, 9, 6, 11]], "q-s": [[2, 1, 4, 3]]}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    edits = [
        {"reference": "r", "edits": ["grey"]},
        {"reference": "s", "edits": [], "times": [2.5, 1.5, 4, 3]},
        {"reference": "r", "edits": ["text", "flip"]},
    ]
    (tmp_path / "edits.json").write_text(json.dumps({"q": edits}))
    spans = list(spans_of(tmp_path, read_copy_set(tmp_path)))
    assert spans == [
        Span("q", "r", (0, 5, 2, 7), "not mirrored"),
        Span("q", "s", (2.5, 1.5, 4, 3), "not mirrored"),
        Span("q", "r", (4, 9, 6, 11), "mirrored"),
    ]
    assert list(beside_others(spans)) == [
        Span("q", "s", (0, 1.5, 2, 3), "copies nothing"),
        Span("q", "s", (4, 1.5, 6, 3), "copies nothing"),
    ]
