"""Which candidate frames a row of a benchmark stores and searches, as events of the library log."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.set_frames import VideoFrames
from stream.events import VideoFingerprinted
from stream.packed import pack_codes, pack_times

LEAST_PDQ_QUALITY = 50
# Bits as -1 and 1 over the square root of 256 are a unit row: its product is 1 - hamming / 128.
PDQ_CODE = 8

Descriptor = Literal["encoder", "pdq"]


@dataclass(frozen=True)
class Choice:
    """Indices of one video's candidate frames, ascending.

    Attributes:
        stored: (K,) that the library keeps.
        searching: (Q,) that are compared with it.
    """

    stored: NDArray[np.intp]
    searching: NDArray[np.intp]

    @property
    def described(self) -> NDArray[np.intp]:
        """Those that the encoder has to see."""
        return np.union1d(self.stored, self.searching)


def even(video: VideoFrames, every_seconds: float) -> NDArray[np.intp]:
    """The candidate nearest to each multiple of `every_seconds`; blank ones are left out.

    The rule of `EvenSelector`, but exact repeats are stored like other frames.
    """
    wanted = np.arange(0.0, video.duration_seconds, every_seconds)
    middles = (video.seconds[1:] + video.seconds[:-1]) / 2
    nearest = np.unique(np.searchsorted(middles, wanted, side="right"))
    return nearest[~video.blank[nearest]]


def event_of(
    video: VideoFrames, choice: Choice, descriptor: Descriptor, model_version: str
) -> VideoFingerprinted:
    """The video as the library log carries it.

    Args:
        video: its frames.
        choice: which of them.
        descriptor: `encoder`, or `pdq`: hashes of low quality are left out.
        model_version: of the encoder.
    """
    stored, searching = choice.stored, choice.searching
    codes, offsets = video.codes, video.offsets
    if descriptor == "pdq":
        codes, offsets = PDQ_CODE * video.hashes, np.zeros(len(video.seconds), np.int8)
        good = video.qualities >= LEAST_PDQ_QUALITY
        stored, searching = stored[good[stored]], searching[good[searching]]
        model_version = "pdq"
    denser = not np.array_equal(stored, searching)
    return VideoFingerprinted(
        video_id=video.video_id,
        content_version=1,
        owner_id=video.role,
        role=video.role,
        request_id=f"benchmark-{video.video_id}",
        model_version=model_version,
        duration_seconds=video.duration_seconds,
        dimension=codes.shape[1],
        key_frame_seconds=pack_times(video.seconds[stored]),
        descriptors=pack_codes(codes[stored]),
        score_offsets=pack_codes(offsets[stored]),
        cut_seconds=pack_times(video.cut_seconds),
        query_frame_seconds=pack_times(video.seconds[searching]) if denser else None,
        query_descriptors=pack_codes(codes[searching]) if denser else None,
        query_score_offsets=pack_codes(offsets[searching]) if denser else None,
    )
