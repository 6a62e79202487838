"""The hash map of whole numbers is a dictionary."""

from hypothesis import given, settings
from hypothesis import strategies as st

from stream.index.hash_map import HashMap


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(-1, 9)), max_size=200))
def test_a_hash_map_is_a_dictionary(changes: list[tuple[int, int]]) -> None:
    ours, theirs = HashMap(), dict[int, int]()
    for number, (key, value) in enumerate(changes):
        key = key << 58 | key
        if value < 0:
            ours.drop(key)
            theirs.pop(key, None)
        else:
            ours.put(key, value)
            theirs[key] = value
        if number % 17 == 0:
            ours = HashMap(*ours.arrays())
        assert ours.get(key) == theirs.get(key)
        assert len(ours) == len(theirs)
    keys, values = ours.arrays()
    assert dict(zip(keys.tolist(), values.tolist(), strict=True)) == theirs
    assert keys.tolist() == sorted(theirs)
