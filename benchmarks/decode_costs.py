"""CPU of decoding a set in other ways than the one that its frames were decoded in.

Serves `same_source`: what one frame a second costs by the service's decoder, and by decoding all.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from benchmarks.set_frames import VideoFrames
from models.frames import prepare
from stream.decode.decoder import Decoder
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
    one = settings.decode.model_copy(update={"frames_per_second": 1.0, "repeat_gap_seconds": 0.0})
    sparse = 0.0
    with Decoder(one, size) as decoder:
        for video in sample:
            with decoder.decode(video.path) as decoded:
                sparse += decoded.decode_cpu_seconds
    before = time.process_time()
    for video in sample:
        decode_everything(video.path, size)
    whole = time.process_time() - before
    known = sum(video.decode_cpu_seconds for video in videos)
    all_hours = sum(video.duration_seconds for video in videos) / 3600
    return DecodeCosts(known / all_hours, sparse / hours, whole / hours)


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
