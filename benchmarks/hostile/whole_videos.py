"""Whole small videos of many kinds, to be damaged; serves `benchmarks.mutated_videos`."""

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame
from PIL import Image

FRAMES, RATE, SIDE = 24, 8, 96
KINDS: dict[str, tuple[str, str, dict[str, str], dict[str, str]]] = {
    "h264.mp4": ("libx264", "yuv420p", {"preset": "ultrafast"}, {}),
    "fragmented.mp4": (
        "libx264",
        "yuv420p",
        {"preset": "ultrafast"},
        {"movflags": "frag_keyframe+empty_moov"},
    ),
    "hevc.mp4": ("libx265", "yuv420p", {"preset": "ultrafast", "x265-params": "log-level=0"}, {}),
    "h264.mkv": ("libx264", "yuv420p", {"preset": "ultrafast"}, {}),
    "vp9.webm": ("libvpx-vp9", "yuv420p", {"deadline": "realtime", "cpu-used": "8"}, {}),
    "vp8.webm": ("libvpx", "yuv420p", {"deadline": "realtime"}, {}),
    "av1.mkv": ("libsvtav1", "yuv420p", {"preset": "12"}, {}),
    "h264.ts": ("libx264", "yuv420p", {"preset": "ultrafast"}, {}),
    "mpeg2.mpg": ("mpeg2video", "yuv420p", {}, {}),
    "mpeg4.avi": ("mpeg4", "yuv420p", {}, {}),
    "mjpeg.mov": ("mjpeg", "yuvj420p", {}, {}),
    "prores.mov": ("prores_ks", "yuv422p10le", {}, {}),
    "h264.flv": ("libx264", "yuv420p", {"preset": "ultrafast"}, {}),
    "wmv.asf": ("wmv2", "yuv420p", {}, {}),
    "a.gif": ("gif", "rgb8", {}, {}),
    "a.apng": ("apng", "rgb24", {}, {}),
    "a.y4m": ("wrapped_avframe", "yuv420p", {}, {}),
    "raw.h264": ("libx264", "yuv420p", {"preset": "ultrafast"}, {}),
}


def drawn(index: int) -> VideoFrame:
    """A frame of moving noise, so that nothing is blank and nothing repeats."""
    noise = np.random.default_rng(index // 8).integers(0, 255, (12, 12, 3), np.uint8)
    rgb = np.roll(noise.repeat(SIDE // 12, axis=0).repeat(SIDE // 12, axis=1), 3 * index, axis=1)
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    frame.pts, frame.time_base = index, Fraction(1, RATE)
    return frame


def made_videos(folder: Path) -> dict[str, bytes]:
    """One whole video of each kind."""
    # In a thread that ends with it: SVT-AV1 gives the thread that calls it real-time priority where
    # it may, which all that is started from there inherits.
    with ThreadPoolExecutor(1) as thread:
        made = {name: thread.submit(_coded, folder / name).result() for name in KINDS}
    pictures = [Image.fromarray(drawn(index).to_ndarray()) for index in range(FRAMES)]
    path = folder / "a.webp"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=1000 // RATE)
    return {**made, "a.webp": path.read_bytes()}


def _coded(path: Path) -> bytes:
    codec, pixel_format, options, movflags = KINDS[path.name]
    with av.open(path.as_posix(), "w", options=movflags) as container:
        stream: Any = container.add_stream(codec, rate=RATE, options=options)
        stream.width = stream.height = SIDE
        stream.pix_fmt, stream.gop_size = pixel_format, RATE
        for index in range(FRAMES):
            frame = drawn(index).reformat(format=pixel_format)
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path.read_bytes()
