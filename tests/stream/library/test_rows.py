"""Packed rows: multiplied exactly, and read in the order of their files."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.library.frame_search import ascending
from stream.library.rows import Bits, RowCodes


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("dimension", [128, 7])
def test_packed_rows_are_multiplied_exactly(bits: Bits, dimension: int) -> None:
    random = np.random.default_rng(7)
    codes = RowCodes(dimension, bits)
    packed = codes.pack(random.integers(-127, 128, (50, dimension), dtype=np.int8))
    query = random.integers(-127, 128, dimension, dtype=np.int8)
    found = np.empty(50, np.float32)
    codes.multiply(packed, query, out=found)
    assert found.tolist() == (codes.whole(packed) @ query.astype(np.float32)).tolist()


@given(st.lists(st.integers(0, 2**40)))
def test_ascending_puts_values_in_order(values: list[int]) -> None:
    given_values = np.array(values, np.int64)
    assert given_values[ascending(given_values)].tolist() == sorted(values)
