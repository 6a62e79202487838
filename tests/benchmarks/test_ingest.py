"""The shares of intake's stages add up, and the cost of the embedding is held against the rest."""

import pytest

from benchmarks.ingest import ALONE, STAGES, report_of, shares, verdict

PER_HOUR = {
    "decode": 40.0, "select": 2.0, "encode": 18.0, "embed": 6.0, ALONE: 50.0,
    "every_frame": 22.0, "key_frames": 2.0,
}  # fmt: skip


def test_every_stage_but_decode_gets_its_share_of_what_the_parent_spent() -> None:
    seconds = {"fetch": 9.0, "decode": 9.0, "select": 1.0, "encode": 2.0, "embed": 1.0}
    assert shares(8.0, seconds) == {"select": 2.0, "encode": 4.0, "embed": 2.0}


def test_a_stage_that_did_not_run_costs_nothing() -> None:
    assert shares(3.0, {"select": 1.0, "encode": 2.0})["embed"] == 0


def test_the_embedding_is_compared_with_the_other_stages_and_with_runs_without_it() -> None:
    report = report_of(PER_HOUR, "encoder-1", embeds=True)
    costs = report["cpu_seconds_per_video_hour"]
    assert costs["total"] == sum(costs[stage] for stage in STAGES) == 66
    assert report["ratios"]["total_to_every_frame"] == 3
    embedding = report["embedding"]
    assert embedding["stage_to_fingerprint"] == pytest.approx(0.1)
    assert embedding["added_to_fingerprint_alone"] == pytest.approx(0.32)  # decode was dearer too
    assert "10.0%" in verdict(embedding) and "+32.0%" in verdict(embedding)


def test_without_a_pair_the_cost_of_the_embedding_is_not_claimed() -> None:
    report = report_of(PER_HOUR | {"embed": 0.0}, "encoder-1", embeds=False)
    assert report["embedding"] is None
    assert verdict(report["embedding"]).startswith("nothing was embedded")
