"""What is submitted last holds on the topic of the vectors too, whose vector comes first."""

import shutil
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from stream.agents.search_view import search_step
from tests.stream.list_log import ListLog
from tests.stream.search_views import new_view
from tests.stream.submissions import World, held, library

VIDEOS = st.integers(0, 1).map(lambda number: f"v{number}")
NUMBERS = st.integers(0, 20)
STEPS = st.one_of(
    st.tuples(st.just("submit"), VIDEOS, st.integers(1, 3)),
    st.tuples(st.just("begin"), NUMBERS),
    st.tuples(st.just("deliver"), NUMBERS),
    st.tuples(st.just("begin takedown"), VIDEOS),
    st.tuples(st.just("take down"), VIDEOS, st.booleans()),
    st.tuples(st.just("finish"), NUMBERS),
    st.tuples(st.just("read"), st.integers(0, 1)),
)


def play(world: World, steps: list[tuple[object, ...]]) -> None:
    """Each delivery and takedown that was begun is finished, some time."""
    for kind, *rest in steps:
        if kind == "submit":
            world.submit(*rest)  # type: ignore[arg-type]
        elif kind in ("begin", "deliver") and world.submitted:
            number = int(str(rest[0])) % len(world.submitted)
            (world.begin_delivery if kind == "begin" else world.deliver)(number)
        elif kind == "begin takedown":
            world.begin_takedown(str(rest[0]))
        elif kind == "take down":
            world.take_down(str(rest[0]), by_hand=bool(rest[1]))
        elif kind == "finish":
            world.finish(int(str(rest[0])))
        elif kind == "read":
            world.read(int(str(rest[0])))
    world.settle()


def found(vectors: ListLog) -> dict[str, int]:
    """The version of each video in a view that reads all of a topic."""
    view = new_view()
    for source in vectors.sources:
        search_step(view, source)
    table = view.state.table
    numbers = (table.records["model"] >= 0).nonzero()[0].tolist()
    return {table.video_id(one): int(table.records[one]["version"]) for one in numbers}


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(STEPS, max_size=14), compacted=st.integers(0, 40))
@example(  # a worker that was frozen writes the older version's vector behind the newer's
    steps=[
        ("submit", "v0", 1), ("submit", "v0", 2), ("begin", 1), ("begin", 0), ("finish", 1),
    ],
    compacted=40,
)  # fmt: skip
@example(  # submitted again before a shard has read the takedown, which it says again
    steps=[
        ("submit", "v0", 1), ("deliver", 0), ("take down", "v0", False), ("submit", "v0", 2),
        ("begin", 1), ("read", 0), ("read", 1),
    ],
    compacted=40,
)  # fmt: skip
def test_any_order_of_halves_leaves_the_vector_of_what_the_library_holds(
    tmp_path: Path, steps: list[tuple[object, ...]], compacted: int
) -> None:
    shutil.rmtree(tmp_path, ignore_errors=True)
    world = World(library(tmp_path))
    play(world, steps)
    assert held(one.state for one in world.shards) == world.holds
    assert found(world.vectors) == world.holds
    left = world.vectors.compacted(compacted)
    assert found(left) == world.holds
    assert found(world.vectors.compacted(len(world.vectors.sources))) == world.holds
