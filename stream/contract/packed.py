"""Arrays as the contract's base64, and back. Serves events and who fills them."""

import base64

import numpy as np
from numpy.typing import NDArray

from models.video.motion import RATE

CODE_SCALE = 127
SPARE_MOTION_CODES = 4


def quantise(values: NDArray[np.float32]) -> NDArray[np.int8]:
    """Numbers in [-1, 1] as int8 codes of the same shape: times 127, rounded.

    For unit descriptors (N, D) and score biases (N,) alike.
    """
    scaled = np.rint(values * np.float32(CODE_SCALE))
    codes: NDArray[np.int8] = np.clip(scaled, -CODE_SCALE, CODE_SCALE).astype(np.int8)
    return codes


def pack_times(times: NDArray[np.float32]) -> str:
    """Times, (N,) float32 seconds, as the contract's base64."""
    return base64.b64encode(np.ascontiguousarray(times, dtype="<f4").tobytes()).decode()


def pack_codes(codes: NDArray[np.int8]) -> str:
    """Codes, (N, D) or (N,) int8, as the contract's base64."""
    return base64.b64encode(np.ascontiguousarray(codes, dtype=np.int8).tobytes()).decode()


def pack_motion(codes: NDArray[np.uint8]) -> str:
    """A motion curve, (M,) uint8, as the contract's base64."""
    return base64.b64encode(np.ascontiguousarray(codes, dtype=np.uint8).tobytes()).decode()


def unpack_times(text: str) -> NDArray[np.float32]:
    """Times, (N,) float32 seconds.

    Raises:
        ValueError: not base64, or no whole number of values; as for the others here.
    """
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4")


def unpack_codes(text: str, dimension: int) -> NDArray[np.int8]:
    """Descriptor codes, (N, dimension) int8."""
    raw = np.frombuffer(base64.b64decode(text, validate=True), dtype=np.int8)
    if len(raw) % dimension:
        raise ValueError(f"{len(raw)} descriptor bytes are no multiple of {dimension}")
    return raw.reshape(-1, dimension)


def unpack_biases(text: str | None, count: int) -> NDArray[np.int8]:
    """Score-bias codes, (N,) int8; `count` zeros where there are none."""
    if text is None:
        return np.zeros(count, np.int8)
    return np.frombuffer(base64.b64decode(text, validate=True), dtype=np.int8)


def unpack_motion(text: str) -> NDArray[np.uint8]:
    """A motion curve, (M,) uint8."""
    return np.frombuffer(base64.b64decode(text, validate=True), dtype=np.uint8)


def check_times(name: str, times: NDArray[np.float32]) -> None:
    """Refuse times that go back.

    Raises:
        ValueError: names the field.
    """
    if not np.isfinite(times).all() or (np.diff(times) < 0).any():
        raise ValueError(f"{name} are not ascending finite numbers")


def check_count(
    name: str, values: NDArray[np.int8], times_name: str, times: NDArray[np.float32]
) -> None:
    """Refuse values that aren't one for each time.

    Raises:
        ValueError: names both fields.
    """
    if len(values) != len(times):
        raise ValueError(f"{len(times)} {times_name} for {len(values)} {name}")


def check_motion(codes: NDArray[np.uint8], duration_seconds: float) -> None:
    """Refuse a motion curve that is longer than its video.

    Raises:
        ValueError: says how many codes there may be.
    """
    most = np.ceil(duration_seconds * RATE) + SPARE_MOTION_CODES
    if len(codes) > most:
        raise ValueError(
            f"{len(codes)} codes of motion for duration_seconds = {duration_seconds:g}, expected "
            f"{RATE:g} a second, {most:.0f} at most"
        )
