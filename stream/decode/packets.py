"""Reads the packets of a video file, which is nearly free beside decoding them.

Everything that can be refused without decoding a frame is refused here, or where the file is opened
(`stream.decode.container`).
"""

from array import array
from collections.abc import Iterator
from pathlib import Path

import av.error
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from stream.decode.container import (
    frame_seconds,
    jumps,
    open_video,
    pixel_aspect_ratio,
    stated_seconds,
)
from stream.decode.jumping_clock import JUMP_SECONDS, JumpingClock
from stream.decode.sampling import PacketTable
from stream.decode.settings import DecodeSettings
from stream.errors import CorruptError, TooLargeError, UnsupportedError

# Packets of a file, after which the rest is given up; set by hand.
MANY_BROKEN = 1000
MAX_GUESSED_SECONDS = 1.0  # that a last frame is shown for when only the mean is known; by hand
MIN_LEAD_SECONDS = 0.1  # less is the delay of an encoder


def readable_packets(
    container: InputContainer, stream: VideoStream
) -> "Iterator[Packet[VideoStream] | None]":
    """The stream's packets in order of decoding, None for each that can't be read.

    Where the container's clock may jump, the jumps are taken out. The same file gives the same
    sequence again.

    Raises:
        UnsupportedError: the packets are encrypted.
    """
    broken = 0
    packets = container.demux(stream)
    clock = JumpingClock(stream) if jumps(container) else None
    while broken < MANY_BROKEN:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.error.FFmpegError:
            # A demuxer's generator ends with its error: a new one goes on behind the broken packet.
            broken += 1
            packets = container.demux(stream)
            yield None
            continue
        if packet.size:
            if packet.has_sidedata("encryption_info"):
                raise UnsupportedError("the video is encrypted")
            if clock is not None:
                clock.set(packet)
            yield packet


def read_table(path: Path, settings: DecodeSettings) -> PacketTable:
    """Read all packets of the video stream.

    Raises:
        RejectedError: as `open_video`; also without a single packet, and as `check_duration`.
    """
    with open_video(path, settings) as (container, stream):
        packets = _Packets()
        for packet in readable_packets(container, stream):
            packets.add(packet)
        table = packets.table(container, stream)
    # Else as its frames come: only they say when they are shown.
    if table.complete:
        check_duration(table.duration_seconds, table.stated_seconds, settings)
        check_duration(table.lead_seconds + table.duration_seconds, None, settings)
    return table


class _Packets:
    """Columns of packets, compact: a ten-hour video has two million."""

    def __init__(self) -> None:
        self._pts, self._dts, self._durations = array("q"), array("q"), array("q")
        self._key, self._hidden = bytearray(), bytearray()
        self._untimed = self._broken = 0

    def add(self, packet: "Packet[VideoStream] | None") -> None:
        if packet is None:
            self._broken += 1
            return
        if packet.pts is None:
            # A zero stands for it below: without all times no plan is made of the table.
            self._untimed += 1
        self._pts.append(packet.pts or 0)
        if packet.dts is not None:
            self._dts.append(packet.dts)
        self._durations.append(packet.duration or 0)
        self._key.append(packet.is_keyframe)
        self._hidden.append(packet.is_discard)

    def table(self, container: InputContainer, stream: VideoStream) -> PacketTable:
        if not self._pts:
            raise CorruptError("a video stream without any packet")
        unit = float(stream.time_base or 0)
        pts = np.array(self._pts, np.int64)
        hidden = np.array(self._hidden, np.uint8).astype(bool)
        # An edit list that hides everything is wrong: players show the video.
        shown = ~hidden if not hidden.all() else ~np.zeros_like(hidden)
        start = int(pts[shown].min())
        # In float64, where a damaged time is merely wrong.
        seconds = (pts.astype(np.float64) - start) * unit  # a lying file's may overflow as integers
        stated = stated_seconds(container, stream)
        held = self._shown_for(seconds, shown, unit, frame_seconds(stream), stated)
        in_order = bool((np.diff(np.array(self._dts, np.int64)) >= 0).all())
        return PacketTable(
            pts=pts,
            seconds=seconds,
            key=np.array(self._key, np.uint8).astype(bool),
            shown=shown,
            duration_seconds=float((seconds + held)[shown].max()),
            stated_seconds=stated,
            lead_seconds=0.0 if self._untimed else _lead_seconds(container, start * unit),
            frame_seconds=frame_seconds(stream),
            complete=not self._untimed and in_order and len(np.unique(pts)) == len(pts),
            broken=self._broken,
            pixel_aspect_ratio=pixel_aspect_ratio(stream),
        )

    def _shown_for(
        self,
        seconds: NDArray[np.float64],
        shown: NDArray[np.bool_],
        unit: float,
        guess: float,
        stated: float | None,
    ) -> NDArray[np.float64]:
        """How long each packet's frame is shown, in seconds: (N,).

        Matroska states one duration for all frames, and converters write the mean of them. Where
        frames come unevenly that says nothing of the last one, on which the end depends.
        """
        durations = np.array(self._durations, np.int64) * unit
        held = np.where(durations > 0, durations, guess)
        gaps = np.diff(np.sort(seconds[shown]))
        if np.ptp(held) or not len(gaps) or np.ptp(gaps) < held[0] / 2:
            return held
        rest = 0.0 if stated is None else stated - float(seconds[shown].max())
        return np.minimum(held, max(MAX_GUESSED_SECONDS, rest))


def _lead_seconds(container: InputContainer, start_seconds: float) -> float:
    """How long sound plays before the first picture is shown: players' clocks run by then."""
    starts = [
        float(sound.start_time * sound.time_base)
        for sound in container.streams.audio
        if sound.start_time is not None and sound.time_base
    ]
    lead = start_seconds - min(starts, default=start_seconds)
    # More than a jump, where clocks start anew: sound and pictures begin in different stretches.
    if lead < MIN_LEAD_SECONDS or (jumps(container) and lead > JUMP_SECONDS):
        return 0.0
    return lead


def check_duration(seconds: float, stated: float | None, settings: DecodeSettings) -> None:
    """Refuse a video that is too long, or of which too little is there.

    Args:
        seconds: what is there.
        stated: what the container says, if it does.
        settings: the limits.

    Raises:
        TooLargeError: over `max_duration_seconds`.
        CorruptError: less than `min_readable_share` of the stated duration.
    """
    if seconds > settings.max_duration_seconds:
        raise TooLargeError(
            f"the video lasts {seconds:.0f} s or more, over "
            f"decode.max_duration_seconds = {settings.max_duration_seconds:.0f}"
        )
    if stated and seconds < settings.min_readable_share * stated:
        raise CorruptError(
            f"truncated: only {seconds:.1f} s of the stated {stated:.1f} s are there, less than "
            f"decode.min_readable_share = {settings.min_readable_share}"
        )
