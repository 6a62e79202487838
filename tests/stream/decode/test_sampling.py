"""The plan of what to decode: every even time has its frame, and what it refers to."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream.decode.sampling import PacketTable, plan_sampling


@given(
    gaps=st.lists(st.integers(1, 3000), min_size=1, max_size=60),
    keys=st.lists(st.booleans(), min_size=60, max_size=60),
    frames_per_second=st.sampled_from([0.5, 1.0, 2.0]),
    tolerance_seconds=st.sampled_from([0.0, 0.1]),
)
def test_every_even_time_has_a_frame_within_the_tolerance(
    gaps: list[int], keys: list[bool], frames_per_second: float, tolerance_seconds: float
) -> None:
    pts = np.cumsum([0, *gaps[:-1]]).astype(np.int64)
    key = np.array(keys[: len(pts)])
    key[0] = True
    duration = (pts[-1] + gaps[-1]) / 1000
    table = PacketTable(
        pts=pts,
        seconds=pts / 1000,
        key=key,
        shown=np.ones(len(pts), bool),
        duration_seconds=duration,
        complete=True,
    )
    plan = plan_sampling(
        table, frames_per_second=frames_per_second, tolerance_seconds=tolerance_seconds
    )
    times = np.arange(len(plan.sample_pts)) / frames_per_second
    assert times[-1] < duration <= times[-1] + 1 / frames_per_second + 1e-5
    assert (np.abs(plan.sample_seconds - times) <= tolerance_seconds + 1e-9).all()
    assert (np.diff(plan.sample_seconds) > 0).all()
    chosen = np.searchsorted(pts, plan.sample_pts)
    assert plan.feed[chosen].all()
    assert plan.wanted[chosen].all()
    for index in np.flatnonzero(plan.feed):  # what it refers to is fed too
        head = np.flatnonzero(key[: index + 1])[-1]
        assert plan.feed[head : index + 1].all()


@given(
    gaps=st.lists(st.integers(1, 3000), min_size=1, max_size=60),
    keys=st.lists(st.booleans(), min_size=60, max_size=60),
)
def test_frames_for_the_motion_are_decoded_and_are_no_samples(
    gaps: list[int], keys: list[bool]
) -> None:
    pts = np.cumsum([0, *gaps[:-1]]).astype(np.int64)
    key = np.array(keys[: len(pts)])
    key[0] = True
    table = PacketTable(
        pts, pts / 1000, key, np.ones(len(pts), bool), (pts[-1] + gaps[-1]) / 1000, complete=True
    )
    plans = {
        rates: plan_sampling(
            table,
            frames_per_second=rates[0],
            motion_frames_per_second=rates[1],
            tolerance_seconds=0.1,
        )
        for rates in ((1.0, 0.0), (1.0, 2.0), (2.0, 0.0))
    }
    few, both, all_samples = plans.values()
    np.testing.assert_array_equal(both.sample_pts, few.sample_pts)
    np.testing.assert_array_equal(both.sample_seconds, few.sample_seconds)
    assert set(np.flatnonzero(both.wanted)) >= set(np.flatnonzero(all_samples.wanted))
    # An even time of both rates may have one frame in each: the tolerance is the same.
    np.testing.assert_array_equal(both.wanted, all_samples.wanted | few.wanted)
    assert (both.feed >= all_samples.feed).all()
