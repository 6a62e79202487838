"""Arrays as the contract's base64, and back. Serves `fingerprint.py` and tests that make events."""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

CODE_SCALE = 127  # the largest int8 whose negative is one too
TIMES = np.dtype("<f4")  # as the contract says, whatever this machine's own order
CODES = np.dtype(np.int8)
MOTION = np.dtype(np.uint8)


def quantise(values: NDArray[np.float32]) -> NDArray[np.int8]:
    """Numbers in [-1, 1] as int8 codes of the same shape: times 127, rounded.

    For unit descriptors (N, D) and score biases (N,) alike.
    """
    scaled = np.rint(values * np.float32(CODE_SCALE))
    # `astype` wraps: a number a little over 1 would become -128.
    codes: NDArray[np.int8] = np.clip(scaled, -CODE_SCALE, CODE_SCALE).astype(np.int8)
    return codes


def pack_times(times: NDArray[np.float32]) -> str:
    """Times, (N,) float32 seconds, as the contract's base64."""
    return _pack(times, TIMES)


def pack_codes(codes: NDArray[np.int8]) -> str:
    """Codes, (N, D) or (N,) int8, as the contract's base64."""
    return _pack(codes, CODES)


def pack_motion(codes: NDArray[np.uint8]) -> str:
    """A motion curve, (M,) uint8, as the contract's base64."""
    return _pack(codes, MOTION)


def _pack(array: NDArray[Any], kind: np.dtype[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array, dtype=kind).tobytes()).decode()


def unpack(name: str, text: str, kind: np.dtype[Any]) -> NDArray[Any]:
    """One array as it was packed, flat and read-only.

    Args:
        name: of the field, for the error.
        text: base64.
        kind: `TIMES`, `CODES` or `MOTION`.

    Raises:
        ValueError: not base64, or no whole number of values; names the field.
    """
    try:
        # Without `validate`, what isn't base64 is skipped, and all numbers behind it are other
        # ones.
        return np.frombuffer(base64.b64decode(text, validate=True), dtype=kind)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
