"""CPU of decoding a set in several ways, one after the other in one run.

Serves `same_source`: what the candidate frames and one frame a second cost by the service's
decoder, and one a second by decoding all.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from benchmarks.copies.set_frames import VideoFrames
from models.video.frames import prepare
from stream.decode.decoder import Decoder
from stream.decode.settings import DecodeSettings
from stream.settings import Settings

EVERY = 4  # videos: a sample is enough, and the whole run is short


@dataclass(frozen=True)
class DecodeCosts:
    """CPU seconds per video-hour.

    Attributes:
        candidates: the candidate frames of the settings, by the service's decoder.
        one_a_second: one frame a second, by the service's decoder.
        everything: every frame decoded, one a second prepared.
    """

    candidates: float
    one_a_second: float
    everything: float


def decode_costs(videos: Sequence[VideoFrames], settings: Settings, size: int) -> DecodeCosts:
    """Measure on every fourth video.

    Args:
        videos: of the set.
        settings: of the service.
        size: side of the prepared frames in pixels.
    """
    sample = videos[::EVERY]
    hours = sum(video.duration_seconds for video in sample) / 3600
    whole_rate = settings.decode.model_copy(update={"repeat_gap_seconds": 0.0})
    dense, sparse = (
        _service_seconds(sample, decode, size)
        for decode in (whole_rate, whole_rate.model_copy(update={"frames_per_second": 1.0}))
    )
    before = time.process_time()
    for video in sample:
        decode_everything(video.path, size)
    whole = time.process_time() - before
    return DecodeCosts(dense / hours, sparse / hours, whole / hours)


def _service_seconds(videos: Sequence[VideoFrames], settings: DecodeSettings, size: int) -> float:
    """CPU seconds of the service's decoder, for all of them."""
    spent = 0.0
    with Decoder(settings, size) as decoder:
        for video in videos:
            with decoder.decode(video.path) as decoded:
                spent += decoded.decode_cpu_seconds
    return spent


def decode_everything(path: Path, size: int) -> int:
    """Decode every frame, on one thread, and prepare one a second; how many were prepared."""
    prepared, due = 0, -np.inf
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            if frame.time is not None and frame.time >= due:
                due = frame.time + 1.0
                prepare(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8), size)
                prepared += 1
    return prepared
