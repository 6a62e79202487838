"""What the library keeps is small, comes back as it was, and is near enough to what came."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from stream.contract.packed import quantise
from stream.index.exact import cosines
from stream.library.codes import (
    coarse,
    levels_of,
    pack_motion,
    pack_nibbles,
    pack_times,
    step_of,
    unpack_motion,
    unpack_nibbles,
    unpack_times,
    whole_milliseconds,
)
from stream.library.rows import Bits, RowCodes

times = arrays.arrays(np.float32, st.integers(0, 8), elements=st.floats(0, 40_000, width=32)).map(
    np.sort
)


@given(arrays.arrays(np.int8, st.tuples(st.integers(0, 5), st.integers(1, 9)),
                     elements=st.integers(-8, 7)))  # fmt: skip
def test_two_codes_in_a_byte_come_back(levels: NDArray[np.int8]) -> None:
    packed = pack_nibbles(levels)
    assert packed.nbytes == len(levels) * -(-levels.shape[1] // 2)
    np.testing.assert_array_equal(unpack_nibbles(packed, levels.shape[1]), levels)


@given(arrays.arrays(np.uint8, st.integers(0, 9), elements=st.integers(0, 15)))
def test_two_levels_of_motion_in_a_byte_come_back(levels: NDArray[np.uint8]) -> None:
    packed = pack_motion(levels)
    assert packed.nbytes == -(-len(levels) // 2)
    np.testing.assert_array_equal(unpack_motion(packed, len(levels)), levels)


@given(times)
def test_times_come_back_to_the_millisecond(seconds: NDArray[np.float32]) -> None:
    kept = whole_milliseconds(seconds)
    np.testing.assert_array_equal(unpack_times(pack_times(kept)), kept)
    np.testing.assert_array_equal(whole_milliseconds(kept), kept)
    np.testing.assert_allclose(kept, seconds, atol=0.003)
    assert (np.diff(kept) >= 0).all()


@pytest.mark.parametrize("step", [0.0, 65.534, 65.535, 65.536, 131.07, 3600.0])
def test_long_steps_take_more_bytes_and_come_back(step: float) -> None:
    seconds = np.array([1.0, 1.0 + step, 2.0 + step], np.float32)
    packed = pack_times(seconds)
    assert len(packed) == 3 + int(round(step, 3) * 1000) // 65535
    np.testing.assert_array_equal(unpack_times(packed), whole_milliseconds(seconds))


def test_a_4_bit_code_is_as_the_contract_of_the_library_says() -> None:
    codes = np.zeros((1, 128), np.int8)
    codes[0, :6] = [12, 13, -13, 36, -36, 127]
    assert coarse(codes)[0, :6].tolist() == [2, 3, -3, 7, -7, 7]
    assert [step_of(dimension) for dimension in (32, 128, 512)] == [10, 5, 2]


def off(dimension: int, bits: Bits) -> NDArray[np.float32]:
    """By how much the similarities of 200 rows change that are kept with few bits, (200, 200)."""
    random = np.random.default_rng(0)
    rows = random.standard_normal((200, dimension)).astype(np.float32)
    codes = quantise(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    kept = RowCodes(dimension, bits)
    return cosines(codes, kept.whole(kept.pack(codes))) - cosines(codes, codes)


@pytest.mark.parametrize("dimension", [32, 128, 512])
def test_few_bits_change_a_similarity_little(dimension: int) -> None:
    apart = off(dimension, 4)
    assert np.abs(apart).mean() < 0.03
    assert np.abs(np.diagonal(apart)).max() < 0.1


@pytest.mark.parametrize(("bits", "by"), [(2, 0.04), (1, 0.07)])
@pytest.mark.parametrize("dimension", [32, 128, 512])
def test_fewer_bits_change_it_more_and_move_no_threshold(
    dimension: int, bits: Bits, by: float
) -> None:
    apart = off(dimension, bits)
    by *= max(1.0, np.sqrt(128 / dimension))  # of fewer numbers less of what is off evens out
    assert np.abs(apart).mean() < by
    # On the average a row is as similar to its own code as to itself.
    assert abs(np.diagonal(apart).mean()) < by


def test_codes_of_few_bits_are_as_the_contract_of_the_library_says() -> None:
    codes = np.array([[-127, -12, -11, -10, 0, 1, 11, 12, 127]], np.int8)
    codes = np.pad(codes, ((0, 0), (0, 119)))
    two, one = RowCodes(128, 2), RowCodes(128, 1)
    assert two.whole(two.pack(codes))[0, :9].tolist() == [-19, -19, -19, -6, -6, 6, 6, 19, 19]
    assert one.whole(one.pack(codes))[0, :9].tolist() == [-14] * 5 + [14] * 4
    assert levels_of(2, 512).tolist() == [-10, -3, 3, 10]
    assert (two.width, one.width, RowCodes(7, 2).width, RowCodes(7, 1).width) == (32, 16, 2, 1)


@pytest.mark.parametrize(("bits", "width", "step"), [(4, 64, 5), (8, 128, 1)])
def test_packed_rows_are_whole_numbers_again(bits: Bits, width: int, step: int) -> None:
    random = np.random.default_rng(1)
    codes = random.integers(-35, 36, (50, 128)).astype(np.int8)
    rows = RowCodes(128, bits)
    packed = rows.pack(codes)
    assert packed.shape == (50, width) and packed.dtype == np.dtype(rows.kind)
    np.testing.assert_allclose(rows.whole(packed), codes, atol=step / 2)
    np.testing.assert_array_equal(rows.whole(packed) % step, 0)
